"""Saved models: what of their folder is packed, and what their files say for the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artefacts.format.error import PackageError
from artefacts.packing.adapters import adapters_of, base_of
from artefacts.packing.fairness import bias_of, fairness_of
from artefacts.packing.inputs import inputs_of
from artefacts.packing.kinds import check_kinds, kind_of
from artefacts.packing.provenance import provenance_of
from artefacts.packing.reading import Facts, experts_in, facts_in, optional
from artefacts.packing.source import Source, below, files_of
from artefacts.packing.told import name_of

MODEL, ENCODER, DATA, PROMISE, CHOICE = "model.json", "encoder.json", "card.json", "promise.json", "choice.json"
BIAS = "bias.json"
EXPERT = "expert"


def model_folder(folder: Path) -> Source:
    """A saved model. Pages (``card.html``) and tables of single rows (``changed.csv``) stay where they are.

    Raises
    ------
    PackageError
        ``kind``, ``file-missing``, ``json-...``, ``link-symbolic``; ``no-model`` where a file lacks what all have.
    """
    check_kinds(folder / EXPERT)
    model, encoder, data = (facts_in(folder / name) for name in (MODEL, ENCODER, DATA))
    promise, bias = optional(folder / PROMISE), optional(folder / BIAS)
    try:
        facts = _facts(folder, model, encoder, data, promise, bias)
    except (KeyError, TypeError, AttributeError) as error:
        raise PackageError(
            "no-model",
            f"The files of {folder} are not as fairmoe writes them ({type(error).__name__}: {error}); save or copy the "
            "model again.",
        ) from error
    rights = (f"It was trained on: {data['title']}", f"Licence of the data: {data['licence']}", data["citation"])
    return Source(_files(folder), facts, rights, warnings=_warnings(folder / EXPERT))


def _warnings(expert: Path) -> tuple[str, ...]:
    """Rows of people that anybody who has the package can read."""
    shots = sum(_shots(facts) for _, facts in experts_in(expert))
    if not shots:
        return ()
    return (
        f"{shots} rows of the training data are in the package in clear text, with their answers: the expert shows "
        "them in every prompt (--shots). Whoever has the package can read them; train without --shots where the rows "
        "are not yours to publish.",
    )


def _shots(facts: Facts) -> int:
    asking = facts.get("asking")
    shots = asking.get("shots") if isinstance(asking, dict) else None
    return len(shots) if isinstance(shots, list) else 0


def _facts(folder: Path, model: Facts, encoder: Facts, data: Facts, promise: Facts, bias: Facts) -> dict[str, Any]:
    suite = str(model.get("origin", {}).get("suite") or "none")
    found = {
        "name": name_of(model["task"], model["method"]),
        "description": f"{model['method']} for {model['task']}: says how probable it is that a row is "
        f'"{model["positive"]}".',
        "licence": data["licence"].split(" (")[0].split(";")[0][:200].strip() or "not told",
        "kind": kind_of(folder / EXPERT),
        "provenance": provenance_of(folder / EXPERT, model, data, promise),
        "inputs": inputs_of(model, encoder, data),
        "fairness": _fairness(promise, bias, suite),
        "base": base_of(folder / EXPERT),
        "adapters": adapters_of(folder),
    }
    return {name: value for name, value in found.items() if value}


def _fairness(promise: Facts, bias: Facts, suite: str) -> dict[str, Any] | None:
    measured = fairness_of(promise, suite) if promise else {"suite": suite}
    if not bias:
        return measured if promise else None
    told, note = bias_of(bias)
    return {**measured, "bias": told, "note": " ".join(filter(None, (measured.get("note"), note)))}


def _files(folder: Path) -> dict[str, Path]:
    names = [MODEL, ENCODER, DATA, *(name for name in (PROMISE, CHOICE) if (folder / name).exists())]
    return files_of(folder, [*names, *(path.relative_to(folder).as_posix() for path in below(folder / EXPERT))])
