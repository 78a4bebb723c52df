"""Which rows an expert can be asked about, from its encoder and the data card."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from artefacts.packing.reading import Facts

MOST, LONGEST = 200, 200
"""Categories of a column, and signs of one, that the manifest repeats; ``encoder.json`` holds all."""


def inputs_of(model: Facts, encoder: Facts, card: Facts) -> dict[str, Any]:
    """The manifest's ``inputs``.

    Parameters
    ----------
    model, encoder, card : mapping
        ``model.json``, ``encoder.json`` and ``card.json`` of a saved model.
    """
    sensitive = _sensitive(model, card)
    columns = [_column(one) for one in encoder["encoders"]]
    if model["needs_group"]:
        named = {column["name"] for column in columns}
        columns += [_unread(name, card) for name in sensitive if name not in named]
    return {
        "columns": columns, "needs_group": model["needs_group"], "sensitive": sensitive, "groups": model["groups"],
        "positive": model.get("positive"), "negative": model.get("negative"),
        "needs_edges": bool(model.get("needs_graph")),
    }  # fmt: skip


def _sensitive(model: Facts, card: Facts) -> list[str]:
    """Source columns of the model's sensitive attributes, each once."""
    columns = {attribute["name"]: attribute["column"] for attribute in card["sensitive"]}
    return list(dict.fromkeys(columns[name] for name in model["sensitive"]))


def _column(encoder: Facts) -> dict[str, Any]:
    spec = encoder["spec"]
    found = {"name": spec["name"], "kind": "bins" if spec.get("bins") else spec["kind"]}
    return {**found, **_further(spec, [*encoder.get("categories", ()), *encoder.get("rare", ())])}


def _unread(name: str, card: Facts) -> dict[str, Any]:
    """A column that only says which group a row is in."""
    spec: Facts = next((column for column in card["column"] if column["name"] == name), {})
    return {"name": name, "kind": spec.get("kind", "categorical"), **_further(spec, [])}


def _further(spec: Facts, categories: list[str]) -> dict[str, Any]:
    told = dict(_told(spec, categories))
    return {name: value for name, value in told.items() if value}


def _told(spec: Facts, categories: list[str]) -> Iterator[tuple[str, Any]]:
    yield "unit", spec.get("unit")
    if len(categories) <= MOST and all(len(category) <= LONGEST for category in categories):
        yield "categories", categories
