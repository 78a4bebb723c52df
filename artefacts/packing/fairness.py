"""What was measured of a saved model, from its ``promise.json`` and ``bias.json``."""

from __future__ import annotations

from typing import Any

from artefacts.packing.reading import Facts

MEASURED = ("estimate", "low", "high", "null_p95", "status", "reason")


def fairness_of(promise: Facts, suite: str) -> dict[str, Any]:
    """The manifest's ``fairness``: every metric with its interval and null, groups with their sizes.

    Parameters
    ----------
    promise : mapping
        ``promise.json``.
    suite : str
        Of the run that the model was chosen in.
    """
    facts = promise.get("facts", {})
    return {
        "suite": suite, "task": facts.get("task"), "split": _split(facts), "rows": promise["rows"],
        "groups": {name: _sizes(promise["groups"][name]) for name in promise["order"]},
        "metrics": {name: {key: value[key] for key in MEASURED if key in value}
                    for name, value in promise["metrics"].items()},
        "demand": _demand(promise), "note": promise.get("note", ""),
    }  # fmt: skip


def bias_of(told: Facts) -> tuple[dict[str, dict[str, Any]], str]:
    """The manifest's ``fairness.bias``, metrics by language bias set, and a sentence where sets were not read whole.

    Parameters
    ----------
    told : mapping
        ``bias.json``.
    """
    found: dict[str, dict[str, Any]] = {}
    for row in told["rows"]:
        found.setdefault(row["set"], {})[row["metric"]] = {key: row[key] for key in MEASURED if key in row}
    part = {f"{row['set']} {row['items']:,} of {row['of']:,}" for row in told["rows"] if row["items"] < row["of"]}
    return found, f"Items of bias sets that were asked: {', '.join(sorted(part))}." if part else ""


def examination_of(told: Facts) -> dict[str, Any]:
    """The manifest's ``fairness`` of an expert on items: its scores, and how far it is from its base.

    Parameters
    ----------
    told : mapping
        ``examination.json`` of ``fairmoe llm evaluate --promise``.
    """
    asked, scores = told["set"], told["scores"]
    metrics = {row["score"]: {key: row[key] for key in MEASURED if key in row} for row in scores}
    beside = {f"{one['score']} minus base": _difference(one) for one in told["against_base"]}
    signatures = sorted({f"{row['score']} {row['signature']}" for row in scores if row.get("signature")})
    return {
        "suite": "examination", "task": str(asked["name"])[:200], "split": asked["part"] or None,
        "rows": asked["items"], "metrics": {**metrics, **beside},
        "note": "; ".join([f"Items have the sha256 {asked['sha256']}", *signatures]),
    }  # fmt: skip


def _difference(one: Facts) -> dict[str, Any]:
    return {
        "estimate": one["difference"], "low": one["low"], "high": one["high"], "status": one["status"],
        "reason": one["reason"],
    }  # fmt: skip


def _split(facts: Facts) -> str | None:
    """``robust 0, test``: protocol, number and part."""
    if "split" not in facts:
        return None
    return f"{facts.get('protocol', '')} {facts['split']}, {facts.get('part', 'test')}".strip()


def _sizes(group: Facts) -> dict[str, int]:
    return {"positive": group["positives"], "negative": group["negatives"]}


def _demand(promise: Facts) -> dict[str, Any] | None:
    """What was demanded, and how probable it was before the test rows were looked at that new rows keep it."""
    if promise.get("demand") is None:
        return None
    kept = promise.get("probability_kept")
    return {**promise["demand"], **({} if kept is None else {"probability_kept": kept})}
