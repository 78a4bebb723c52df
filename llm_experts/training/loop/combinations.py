"""Which settings cannot work together, told before a base is loaded.

Every combination of dtype, quantisation, kind, method and device that is not refused here trains
(``tests/llm_experts/training/loop/test_combinations.py`` runs them), and one that is refused would not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import Any

from llm_experts.adapters.registry import kind_named
from llm_experts.training.loop.method import method_named

TRL_METHODS = ("sft", "dpo")
"""Of :mod:`llm_experts.training.loop.trl_engine`, which imports much more."""

EIGHT_BITS = ("adamw_8bit", "paged_adamw_8bit")
DECAYS_TO_THE_BASE = ("lora", "rslora", "lora_fa", "svf")
"""Kinds that leave the base as it is where their trained weights are 0."""

LEARNS = {"dpo": "pairs of answers", "rl": "answers that it draws itself"}
"""What methods that cannot share rows learn from."""


@dataclass(frozen=True, kw_only=True)
class Combination:
    """What an expert is trained with, as far as parts of it may exclude each other.

    Attributes
    ----------
    method, kind, dtype, quantisation, device, optimiser, engine : str
    start : int
    packing : bool
    weight_decay : float
    adapter_options : mapping
    has_gpu : bool or None
        Whether there is a GPU; None: look.
    """

    method: str = "sft"
    kind: str = "lora"
    dtype: str = "auto"
    quantisation: str = "none"
    device: str = "auto"
    optimiser: str = "adamw"
    engine: str = "fairmoe"
    start: int = 0
    packing: bool = False
    weight_decay: float = 0.0
    adapter_options: Mapping[str, Any] = field(default_factory=dict)
    has_gpu: bool | None = None

    @property
    def gpu(self) -> bool:
        """Whether there is a GPU."""
        return _has_gpu() if self.has_gpu is None else self.has_gpu

    @property
    def on_cpu(self) -> bool:
        """Whether it trains on a CPU."""
        return self.device == "cpu" or (self.device == "auto" and not self.gpu)


def refusal(given: Combination) -> str:
    """Why a combination cannot work and what to choose instead; "" where it can."""
    return next((found for rule in RULES if (found := rule(given))), "")


def _no_gpu(given: Combination) -> str:
    if given.device.startswith("cuda") and not given.gpu:
        return f"The device {given.device} was asked for, and torch finds no GPU; use --device cpu."
    return ""


def _half_on_cpu(given: Combination) -> str:
    if given.dtype == "float16" and given.on_cpu:
        return "float16 is not supported on a CPU; use --dtype bfloat16 or float32, or --device cuda."
    return ""


def _without_library(given: Combination) -> str:
    what = [given.quantisation] if given.quantisation in ("nf4", "int8") else []
    what += [given.optimiser] if given.optimiser in EIGHT_BITS else []
    if what and find_spec("bitsandbytes") is None:
        return (
            f"{' and '.join(what)} need bitsandbytes, which is not installed: pip install bitsandbytes, or leave "
            "them out."
        )
    return ""


def _decay(given: Combination) -> str:
    if given.engine == "trl" and given.weight_decay and given.kind not in DECAYS_TO_THE_BASE:
        return (
            f"weight_decay of TRL draws weights to 0, which is not the base for {given.kind} adapters. Set "
            "weight_decay to 0, or leave engine out: the project's own draws them to the base."
        )
    return ""


def _virtual_tokens(given: Combination) -> str:
    if kind_named(given.kind).needs_full_model and given.start:
        return (
            f"Adapters of kind {given.kind} are virtual tokens, which all layers see; they cannot start at layer "
            f"{given.start}. Leave start out, or choose a kind that changes matrices."
        )
    return ""


def _packing(given: Combination) -> str:
    needs = method_named(given.method).needs
    if given.packing and needs not in ("completion", "text"):
        return (
            f"packing puts several answers into one row, and {given.method} learns from "
            f"{LEARNS.get(given.method, 'several answers of an item')}; leave packing out."
        )
    return ""


def _dropout(given: Combination) -> str:
    if given.adapter_options.get("dropout"):
        return (
            "dropout of adapters is not applied here: experts that train together and layers that are computed once "
            "need the same numbers in every pass. Leave it out; early stopping guards against learning by heart."
        )
    return ""


def _trl(given: Combination) -> str:
    if given.engine == "fairmoe":
        return ""
    if find_spec("trl") is None:
        return "The engine trl needs TRL, which is not installed: pip install trl, or leave engine out."
    if given.method not in TRL_METHODS or given.packing:
        what = f"the method {given.method}" if given.method not in TRL_METHODS else "packing"
        return f"The engine trl does not have {what} here; it has {' and '.join(TRL_METHODS)}. Leave engine out."
    return ""


RULES: tuple[Callable[[Combination], str], ...] = (
    _no_gpu, _half_on_cpu, _without_library, _virtual_tokens, _packing, _decay, _dropout, _trl,
)  # fmt: skip


@cache
def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
