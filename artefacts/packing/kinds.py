"""Of which kind an expert is, and which kinds have no place in a package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from artefacts.format.error import PackageError
from artefacts.packing.reading import DESCRIPTION, Facts, experts_in, facts_in

FAMILIES = {
    "mlp": "network", "ple_mlp": "network", "gbdt": "trees", "linear": "linear", "gcn": "graph", "gin": "graph",
    "sage": "graph",
}  # fmt: skip
MODELS = {"linear": "linear", "trees": "trees", "histogram trees": "trees", "network": "network"}
KINDS = {"graph baseline": "graph", "mixture": "mixture", "text mixture": "mixture", "text": "adapter"}
REFUSED = {
    "estimator": "an estimator of an own method, whose format (skops) may name any type of any library",
    "symmetric trees": "a CatBoost model, whose JSON is read by CatBoost alone, without checks of ours",
}
"""What may do harm to whoever reads it, however it is packed."""


def kind_of(folder: Path) -> str:
    """The manifest's kind of a saved expert: that of what decides and bags are about.

    Parameters
    ----------
    folder : Path
        With ``expert.json``.
    """
    facts = facts_in(folder / DESCRIPTION)
    kind = facts.get("kind")
    if kind == "decided":
        return kind_of(folder / "base")
    if kind == "bag":
        return kind_of(folder / _first(facts.get("models"), folder))
    if kind == "family":
        return FAMILIES.get(str(facts.get("family")), "method")
    if kind == "baseline":
        return MODELS.get(str(facts.get("model")), "method")
    return KINDS.get(str(kind), "method")


def check_kinds(folder: Path) -> None:
    """Refuse experts that cannot be read safely, at any depth.

    Raises
    ------
    PackageError
        ``kind``, naming the part.
    """
    for place, facts in experts_in(folder):
        if what := _refused(facts):
            raise PackageError(
                "kind",
                f"{place} is {what}. A package holds nothing that is not safe to read. Share the folder of the saved "
                "model with people who trust you instead, or choose another method.",
            )


def _refused(facts: Facts) -> str | None:
    return REFUSED.get(str(facts.get("kind"))) or REFUSED.get(str(facts.get("model")))


def _first(names: Any, folder: Path) -> str:
    """The first part of a bag; it must be a folder beside its description."""
    if isinstance(names, list) and names and isinstance(names[0], str) and re.fullmatch(r"\w[\w.-]*", names[0]):
        return names[0]
    raise PackageError("file-missing", f"{folder / DESCRIPTION} names no models that it is made of.")
