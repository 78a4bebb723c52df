"""Files of an examination: tables for programs, all answers, and what an expert's folder promises."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.examining.holding import Examined, Held
from foundation.files import write_json, write_text
from foundation.numbers import finite

if TYPE_CHECKING:
    from llm_experts.evaluation.answers import Asking

SCORES, COMPARISONS, ANSWERS, FACTS = "scores.csv", "comparisons.csv", "answers.jsonl", "examination.json"
KEPT = "kept.jsonl"
FORMAT = "fairmoe-examination/1"


def write(held: Held, folder: Path, asking: Asking, facts: dict[str, Any]) -> None:
    """Write ``scores.csv``, ``comparisons.csv``, ``answers.jsonl`` and ``examination.json``; the last comes last."""
    import pandas as pd

    scores = [{"model": model.name, **asdict(row)} for model in held.models for row in model.rows]
    write_text(folder / SCORES, pd.DataFrame(scores).to_csv(index=False))
    write_text(folder / COMPARISONS, pd.DataFrame([asdict(one) for one in held.comparisons]).to_csv(index=False))
    lines = [json.dumps(line, ensure_ascii=False) for model in held.models for line in _answers(model)]
    write_text(folder / ANSWERS, "".join(f"{line}\n" for line in lines))
    write_json(folder / FACTS, finite(told(held, asking, facts)))


def told(held: Held, asking: Asking, facts: dict[str, Any]) -> dict[str, Any]:
    """All that was found, but for the answers."""
    return {
        "format": FORMAT, "set": _set(held), "asking": asdict(asking), **facts,
        "models": [_model(model) for model in held.models], "comparisons": [asdict(one) for one in held.comparisons],
    }  # fmt: skip


def promise(held: Held, model: Examined, folder: Path, asking: Asking) -> Path:
    """Write a model's scores into its adapter's folder, where ``fairmoe package`` finds them."""
    rows = [asdict(row) for row in model.rows]
    mine = [asdict(one) for one in held.comparisons if one.model == model.name]
    path = folder / FACTS
    write_json(
        path,
        finite({"format": FORMAT, "set": _set(held), "asking": asdict(asking), "scores": rows, "against_base": mine}),
    )
    return path


def _set(held: Held) -> dict[str, Any]:
    made = held.material
    return {"name": made.name, "part": made.part, "items": len(made.examples), "sha256": made.sha256}


def _model(model: Examined) -> dict[str, Any]:
    seen = None if model.contamination is None else asdict(model.contamination)
    return {
        "name": model.name, "scores": [asdict(row) for row in model.rows], "cut": model.cut, "unread": model.unread,
        "contamination": seen,
    }  # fmt: skip


def _answers(model: Examined) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for item in model.items:
        line: dict[str, Any] = {"model": model.name, "id": item.example.id, "answers": list(item.answers)}
        if item.verdicts:
            line |= {"correct": [v.correct for v in item.verdicts], "reasons": [v.reason for v in item.verdicts]}
        if item.tokens:
            line |= {"log_prob": item.log_prob, "tokens": item.tokens}
        found.append(line)
    return found
