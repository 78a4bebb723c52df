"""The folder of an expert: its adapter, what it was made with, its history and its log."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from foundation.files import write_json, write_text
from foundation.hashing import hash_file, hash_json
from llm_experts.adapters.error import AdapterError
from llm_experts.adapters.store import LIBRARIES, read_adapter, save_adapter
from llm_experts.bases.base import Base
from llm_experts.data.fingerprint import hash_examples
from llm_experts.decoder.program import Adapter
from llm_experts.training.loop.assignment import Assignment, Fitted
from llm_experts.training.loop.earlier import earlier_hash
from llm_experts.training.loop.method import method_named

ADAPTER, FACTS, HISTORY, LOG, CHECKPOINT = "adapter", "expert.json", "history.csv", "training.log", "checkpoint"
FORMAT = 1
SOURCES = Path(__file__).resolve().parents[2]
CODE = ("adapters", "data", "decoder", "training")


def key_of(base: Base, assignment: Assignment, engine: str = "") -> str:
    """What decides an expert: base, settings, items, and whose trainer ran ("" is the project's own)."""
    return hash_json(_made_with(base, assignment, engine))


def _made_with(base: Base, assignment: Assignment, engine: str) -> dict[str, Any]:
    method = method_named(assignment.settings.method)
    return {
        "base": base_facts(base),
        "settings": assignment.settings.as_json(),
        "data": {"train": hash_examples(assignment.train), "validation": hash_examples(assignment.validation)},
        "judged": assignment.judge is not None,
        "longest_answer": assignment.longest_answer,
        "after": None if assignment.after is None else earlier_hash(assignment.after),
        "sources": dict(method.sources(method.options_of(assignment.settings.options))),
        **({} if assignment.watch is None else {"watch": assignment.watch.key}),
        **({"engine": engine} if engine else {}),
    }


def base_facts(base: Base) -> dict[str, Any]:
    """What decides a base's numbers: the hash is of its files, which are read in one dtype or another."""
    scaling = base.rope_scaling
    return {
        "id": base.id,
        "hash": base.hash,
        "dtype": str(base.model.dtype).removeprefix("torch."),
        "quantisation": base.quantisation,
        "rope_scaling": None if scaling is None else asdict(scaling),
    }


def code_hash() -> str:
    """sha256 of the sources that training goes through."""
    files = sorted(path for room in CODE for path in (SOURCES / room).rglob("*.py"))
    return hash_json({str(path.relative_to(SOURCES)): hash_file(path) for path in files})


def note(folder: Path, text: str) -> None:
    """A line in the expert's log."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
    with (folder / LOG).open("a", encoding="utf-8") as stream:
        stream.write(f"{now}  {text}\n")


def write_history(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """One row per evaluation; a number that is undefined is left empty."""
    columns = list(dict.fromkeys(name for row in history for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, lineterminator="\n")
    writer.writeheader()
    for row in history:
        writer.writerow({name: "" if _undefined(value) else value for name, value in row.items()})
    write_text(folder / HISTORY, stream.getvalue())


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The rows of :func:`write_history`, as numbers."""
    with (folder / HISTORY).open(encoding="utf-8", newline="") as stream:
        return [{name: _number(name, value) for name, value in row.items() if value} for row in csv.DictReader(stream)]


def write_expert(base: Base, assignment: Assignment, fitted: Fitted, engine: str = "") -> None:
    """Adapter, history and facts; the facts come last and say that all is there."""
    settings = assignment.settings
    facts = {
        "method": settings.method,
        "seed": settings.seed,
        "score": _json(fitted.score),
        "best_step": fitted.best_step,
    }
    save_adapter(fitted.folder / ADAPTER, base, fitted.adapter.config, fitted.adapter.state, facts)
    write_history(fitted.folder, fitted.history)
    write_json(
        fitted.folder / FACTS,
        {
            "format": FORMAT,
            "name": assignment.name,
            "key": key_of(base, assignment, engine),
            **_made_with(base, assignment, engine),
            "method": settings.method,
            "kind": fitted.adapter.kind,
            "items": {"train": len(assignment.train), "validation": len(assignment.validation)},
            "score": _json(fitted.score),
            "score_before": _json(fitted.history[0]["score"]) if fitted.history else None,
            "best_step": fitted.best_step,
            "steps": fitted.steps,
            "stopped": fitted.stopped,
            "notes": list(fitted.notes),
            "parameters": fitted.parameters,
            "bytes": fitted.adapter.bytes,
            "seconds": fitted.seconds,
            "code": code_hash(),
            "libraries": {name: version(name) for name in LIBRARIES},
        },
    )


def read_expert(folder: Path, base: Base, assignment: Assignment, engine: str = "") -> Fitted | None:
    """The expert of a folder, if this engine made it of this very base, items and settings; None otherwise.

    Raises
    ------
    AdapterError
        If its adapter or its facts were changed or damaged.
    """
    path = folder / FACTS
    if not path.is_file():
        return None
    written = _facts_in(path)
    if written.get("key") != key_of(base, assignment, engine):
        return None
    saved = read_adapter(folder / ADAPTER)
    score = written["score"]
    return Fitted(
        assignment.name,
        Adapter(saved.config, saved.state),
        math.nan if score is None else float(score),
        int(written["best_step"]),
        int(written["steps"]),
        read_history(folder),
        str(written["stopped"]),
        folder,
        int(written["parameters"]),
        float(written["seconds"]),
        tuple(written["notes"]),
    )


def _facts_in(path: Path) -> dict[str, Any]:
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        written = None
    if not isinstance(written, dict):
        raise AdapterError(
            f"{path} is damaged: it holds no facts of an expert. Remove the folder {path.parent} to train it anew, or "
            "copy the file there again."
        )
    return written


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _undefined(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _number(name: str, value: str) -> Any:
    return int(value) if name == "step" else float(value)
