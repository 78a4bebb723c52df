"""All that a saved model's folder says of it, read once for every card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.models.error import ModelError
from benchmarks.models.promise import FILE, Promise
from tasks.card import Card

CUTS = "decided.safetensors"


class ModelCardError(ModelError):
    """A folder that no card can be written for."""


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a saved model.

    Attributes
    ----------
    name : str
        Of the folder.
    model : mapping
        ``model.json``.
    card : Card
        Of the data.
    promise : Promise or None
    choice : mapping
        ``choice.json``; empty where nobody chose.
    cuts : mapping of group -> float
        Threshold of each group as a margin above the model's own cut; empty where all have the same, 0.
    """

    name: str
    model: Mapping[str, Any]
    card: Card
    promise: Promise | None = None
    choice: Mapping[str, Any] = field(default_factory=dict)
    cuts: Mapping[str, float] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """Id of the method."""
        return str(self.model.get("method", "model"))

    @property
    def origin(self) -> Mapping[str, Any]:
        """Where it comes from."""
        found = self.model.get("origin")
        return found if isinstance(found, Mapping) else {}

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups."""
        return tuple(map(str, self.model.get("groups", ())))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Sensitive attributes of the task."""
        named = self.model.get("attributes") or self.model.get("sensitive") or self.card.default_sensitive.split("+")
        return tuple(named.split("+")) if isinstance(named, str) else tuple(map(str, named))


def read_facts(folder: Path) -> ModelFacts:
    """Read ``model.json``, ``card.json`` and, where they are, ``promise.json``, ``choice.json`` and the thresholds.

    Raises
    ------
    ModelCardError
        If the folder holds no saved model; the text says which file is absent or broken.
    """
    model = _json(folder / "model.json")
    try:
        card = Card.model_validate(_json(folder / "card.json"))
    except ValueError as error:
        if isinstance(error, ModelCardError):
            raise
        raise ModelCardError(f"{folder / 'card.json'} is no data card ({' '.join(str(error).split())}).") from error
    promise = Promise.read(folder) if (folder / FILE).is_file() else None
    choice = _json(folder / "choice.json") if (folder / "choice.json").is_file() else {}
    return ModelFacts(folder.resolve().name, model, card, promise, choice, _cuts(folder, model.get("groups", [])))


def _json(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelCardError(
            f"{path} cannot be read ({' '.join(str(error).split())}), so {path.parent} is no saved model. Give the "
            "folder that 'fairmoe choose' or save_model wrote."
        ) from error
    if not isinstance(held, dict):
        raise ModelCardError(f"{path} holds no JSON object, so {path.parent} is no saved model.")
    return held


def _cuts(folder: Path, groups: list[str]) -> dict[str, float]:
    """The thresholds in the saved decision itself: what the card says is what the model does."""
    path = folder / "expert" / CUTS
    if not path.is_file():
        return {}
    from safetensors.torch import load_file

    from experts.saved import DESCRIPTION, with_others

    others = _json(path.parent / DESCRIPTION).get("not_finite", {})
    held = with_others(load_file(path), others)
    if "cuts" not in held or len(held["cuts"]) != len(groups):
        return {}
    return dict(zip(groups, held["cuts"].tolist(), strict=True))
