"""How an expert is trained, whatever trains it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SCHEDULES = ("cosine", "linear", "constant")
OPTIMISERS = ("adamw", "adamw_8bit", "paged_adamw_8bit")
STYLES = ("auto", "chat", "plain", "instruct")
OWN = ("lr", "epochs", "steps", "warm_up", "schedule", "weight_decay", "clip", "evaluate_every", "patience", "seed")
"""Settings that each lane has for itself; experts that agree in all others train together."""


class SettingsError(ValueError):
    """Settings that nothing can be trained with; the text names the setting and its bounds."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one expert is trained.

    Attributes
    ----------
    method : str
        A file of ``llm_experts/training/methods``.
    kind : str
        Of :data:`llm_experts.adapters.registry.ADAPTERS`.
    rank : int or None
        As the kind takes it.
    start : int
        First layer that the adapter changes; negative counts from the end. What lies below is computed once a text.
    lr : float or None
        Peak learning rate; None: :func:`llm_experts.training.loop.presets.learning_rate`.
    epochs : float
        Passes over the items; ``steps`` goes before it.
    steps : int or None
        Optimiser steps.
    batch_size : int
        Items of an optimiser step.
    accumulation : int
        Micro-batches of it at least; the same step in less memory.
    max_length : int
        Most tokens of a text.
    packing : bool
        Several short texts in one row, which do not see each other.
    warm_up : float
        Share of the steps in which the learning rate rises.
    schedule : {"cosine", "linear", "constant"}
        Of the learning rate after it; the first two end at 0.
    weight_decay : float
        Decoupled (AdamW), towards the adapter that changes nothing.
    clip : float
        Largest Euclidean norm of a step's gradient.
    optimiser : {"adamw", "adamw_8bit", "paged_adamw_8bit"}
    checkpointing : bool
        Compute a layer's activations again in the backward pass instead of keeping them.
    evaluate_every : int or None
        Steps between evaluations on the validation items; None: once an epoch.
    patience : int
        Evaluations without a better score after which training stops.
    seed : int
        Of the adapter's first weights and of the order of items.
    style : {"auto", "chat", "plain", "instruct"}
        How a prompt is put to the base.
    adapter_options, options : mapping
        Of the adapter's configuration, and of the method.

    Raises
    ------
    SettingsError
        If a setting is out of its bounds.
    """

    method: str = "sft"
    kind: str = "lora"
    rank: int | None = 16
    start: int = 0
    lr: float | None = None
    epochs: float = 3
    steps: int | None = None
    batch_size: int = 16
    accumulation: int = 1
    max_length: int = 512
    packing: bool = False
    warm_up: float = 0.1
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: float = 0.0
    clip: float = 1.0
    optimiser: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"] = "adamw"
    checkpointing: bool = False
    evaluate_every: int | None = None
    patience: int = 3
    seed: int = 0
    style: Literal["auto", "chat", "plain", "instruct"] = "auto"
    adapter_options: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulation", "patience"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("steps", "evaluate_every", "rank"):
            value = getattr(self, name)
            self._check(name, value is None or value >= 1, "at least 1, or left out")
        self._check("max_length", self.max_length >= 2, "at least 2")
        self._check("epochs", math.isfinite(self.epochs) and self.epochs > 0, "above 0")
        self._check("lr", self.lr is None or (math.isfinite(self.lr) and self.lr > 0), "above 0")
        self._check("clip", self.clip > 0, "above 0")
        self._check("warm_up", 0 <= self.warm_up < 1, "at least 0 and below 1, a share of the steps")
        self._check("weight_decay", self.weight_decay >= 0, "at least 0")
        for name, known in (("schedule", SCHEDULES), ("optimiser", OPTIMISERS), ("style", STYLES)):
            self._check(name, getattr(self, name) in known, f"one of {', '.join(known)}")
        self._check("accumulation", self.accumulation <= self.batch_size, f"at most batch_size = {self.batch_size}")

    def _check(self, name: str, sound: bool, bounds: str) -> None:
        if not sound:
            raise SettingsError(f"{name} is {getattr(self, name)!r}; it must be {bounds}.")

    def as_json(self) -> dict[str, Any]:
        """All settings as plain JSON."""
        return asdict(self) | {"adapter_options": dict(self.adapter_options), "options": dict(self.options)}
