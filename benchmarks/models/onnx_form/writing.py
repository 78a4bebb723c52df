"""A saved model, alone or from a package, as one ONNX file that answers raw rows without fairmoe."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from artefacts.format.manifest import Manifest
from artefacts.packing.export import export
from artefacts.packing.kinds import check_kinds
from artefacts.packing.reading import experts_in
from benchmarks.models.error import ModelError
from benchmarks.models.loading import load_model
from benchmarks.models.onnx_form.building import built, need_onnx
from benchmarks.models.onnx_form.columns import features
from benchmarks.models.onnx_form.experts import margins
from benchmarks.models.onnx_form.graph import Graph, Value
from benchmarks.models.onnx_form.rows import Rows
from benchmarks.models.saved import SavedModel
from benchmarks.saving.layout import EXPERT, MODEL
from foundation.files import atomic_path

PROBABILITIES, DECISION, UNKNOWN = "probabilities", "decision", "unknown_cells"
NOT_DECIDED = -1
"""Decision about a row whose group there is not."""
TEXTS = ("text", "text mixture")


def write_onnx(manifest: Manifest, read: Callable[[str], bytes], path: Path) -> None:
    """Write what a package computes of raw rows as an ONNX file.

    Parameters
    ----------
    manifest, read
        As :func:`artefacts.packing.export.export`.
    path : Path
        New; whole or absent.

    Raises
    ------
    ModelError
        If the package holds no model of rows, a part of it has no ONNX form, the onnx package is absent, or the file
        exists.
    PackageError
        ``kind``: it holds what is not safe to read.
    """
    if MODEL not in manifest.files:
        raise ModelError(
            f"{manifest.name} {manifest.version} is of the kind {manifest.kind} and holds no model of rows, so "
            "there is nothing to write as ONNX; export it as peft or merged."
        )
    if path.exists() or path.is_symlink():
        raise ModelError(f"{path} exists already; give a file that does not.")
    with tempfile.TemporaryDirectory(prefix="fairmoe-onnx-") as name:
        place = Path(name) / "model"
        export(manifest, read, "model", place)
        check_kinds(place / EXPERT)
        _refuse_texts(place / EXPERT)
        written = to_onnx(load_model(place), _facts(manifest))
    with atomic_path(path) as temporary:
        temporary.write_bytes(written)


def to_onnx(model: SavedModel, facts: Mapping[str, str] | None = None) -> bytes:
    """A saved model as ONNX: from raw columns to probabilities and decisions.

    Inputs are the raw columns, each [rows, 1]: numbers as double (NaN where missing), words as strings ("" where
    missing), and ``group`` as int64 (position in the task's groups) of a model that must know it. Outputs are
    ``probabilities`` [rows, 2] double, ``decision`` [rows, 1] int64 (−1 where the group is none of the task's) and
    ``unknown_cells`` [rows, 1] int64, the number of cells with a category that no training row had, which count as
    empty.

    Parameters
    ----------
    model : SavedModel
    facts : mapping of str, optional
        Further properties that the file tells of itself.

    Returns
    -------
    bytes
        The same for the same model and facts.

    Raises
    ------
    ModelError
        If a part of it has no ONNX form, or the onnx package is absent.
    """
    need_onnx()
    graph = Graph()
    encoded, unknown = features(graph, model.encoder, model.card)
    rows = Rows(graph, encoded, len(model.group_names))
    probability = graph.op("Sigmoid", graph.cast(margins(rows, model.expert), "double"))
    other = graph.op("Sub", graph.number(np.float64(1)), probability)
    graph.output(graph.free(PROBABILITIES), "double", 2, graph.op("Concat", other, probability, axis=1))
    graph.output(graph.free(DECISION), "int64", 1, _decision(graph, probability))
    graph.output(graph.free(UNKNOWN), "int64", 1, unknown)
    return built(graph, _name(model), {**_told(model), **(facts or {})}, _about(model))


def _decision(graph: Graph, probability: Value) -> Value:
    chosen = graph.cast(graph.op("Greater", probability, graph.number(np.float64(0.5))), "int64")
    return graph.op("Where", graph.op("IsNaN", probability), graph.number(np.int64(NOT_DECIDED)), chosen)


def _name(model: SavedModel) -> str:
    return f"{model.task} {model.facts['method']}"


def _about(model: SavedModel) -> str:
    return f"Probability that {model.facts.get('positive') or 'the label is 1'}, of raw rows of {model.task}."


def _told(model: SavedModel) -> dict[str, str]:
    facts: dict[str, Any] = model.facts  # type: ignore[assignment]
    said = {name: str(facts.get(name, "")) for name in ("task", "method", "positive", "negative")}
    return {**said, "groups": _json(list(model.group_names))}


def _facts(manifest: Manifest) -> dict[str, str]:
    parts = manifest.model_dump(mode="json", exclude_defaults=True)
    return {
        "name": manifest.name, "version": manifest.version, "author": manifest.author, "licence": manifest.licence,
        "content": hashlib.sha256(manifest.canonical()).hexdigest(), "inputs": _json(parts.get("inputs", {})),
        "fairness": _json(parts.get("fairness", {})),
    }  # fmt: skip


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)


def _refuse_texts(folder: Path) -> None:
    """Say it before a language model is loaded."""
    for _, facts in experts_in(folder):
        if facts.get("kind") in TEXTS:
            raise ModelError(
                "The model cannot be written as ONNX: it holds a text expert, an adapter on a language model with a "
                "tokenizer, which are no operators on a row. Export it as peft, or with its base as merged."
            )
