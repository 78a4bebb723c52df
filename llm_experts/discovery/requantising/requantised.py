"""An expert in the weights of its base, and these rounded again: what is left of what the expert had learnt.

Experts train on matrices. Whoever wants codes again at the end adds the expert to the weights and quantises those,
which rounds the expert away where it changes weights by less than a step of the code. What this costs is measured on
scenarios, as every choice is, and told with its uncertainty: three models answer the same items, and their differences
are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from foundation.numbers import finite_dict
from llm_experts.adapters.composition import melted
from llm_experts.bases.agreement import TEXTS, Agreement, agreement
from llm_experts.bases.base import Base
from llm_experts.bases.dequantised import dequantised
from llm_experts.bases.quantised import holds_codes, weight_bytes
from llm_experts.bases.quantising import quantised
from llm_experts.bases.ternary import Scale
from llm_experts.decoder.program import Adapter
from llm_experts.discovery.measuring.domain import Scenario
from llm_experts.evaluation.compare import PairedShares
from llm_experts.training.sequences.choices import choices_of
from llm_experts.training.sequences.lanes import SequenceLanes
from metrics.proportions import wilson


@dataclass(frozen=True)
class Right:
    """Choices that a model gets right.

    Attributes
    ----------
    right : int
    share, low, high : float
        Of all, with Wilson's 95 % interval.
    p_mean : float
        Mean probability of the right answer among the listed ones.
    """

    right: int
    share: float
    low: float
    high: float
    p_mean: float


@dataclass(frozen=True)
class Paired:
    """Difference of two shares on the same items: Newcombe's 95 % interval and McNemar's exact p-value."""

    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Requantised:
    """What rounding a base with an expert in its weights has cost.

    Attributes
    ----------
    to : str
        ``ternary``, ``nf4`` or ``int8``.
    n : int
        Scenarios.
    base, folded, rounded : Right
        Of the base as it was, with the expert in float32 weights, and with those rounded.
    cost : Paired
        Share of ``rounded`` minus that of ``folded``.
    left : Paired
        Share of ``rounded`` minus that of the base: what is left of the expert's gain.
    agreement : Agreement
        Of ``rounded`` with ``folded`` on texts.
    bytes_before, bytes_after : int
        Weights of ``folded`` and of ``rounded``, as they are kept.
    """

    to: str
    n: int
    base: Right
    folded: Right
    rounded: Right
    cost: Paired
    left: Paired
    agreement: Agreement
    bytes_before: int
    bytes_after: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return finite_dict(asdict(self))

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Requantised:
        """What :meth:`as_dict` gave."""
        rights = {name: Right(**told[name]) for name in ("base", "folded", "rounded")}
        pairs = {name: Paired(**told[name]) for name in ("cost", "left")}
        return cls(**{**told, **rights, **pairs, "agreement": Agreement.from_dict(told["agreement"])})


def requantised(
    base: Base,
    adapter: Adapter,
    to: str,
    scenarios: Sequence[Scenario],
    *,
    texts: Sequence[str] = TEXTS,
    group: int | None = None,
    scale: Scale = "fitted",
    seed: int = 0,
) -> tuple[Base, Requantised]:
    """Add an expert to the weights of its base, round these, and measure what that costs.

    Parameters
    ----------
    base : Base
        What the expert was trained on; codes are dequantised first.
    adapter : Adapter
        An expert, or a mixture as one (:func:`llm_experts.mixtures.item_mixtures.mixed`), that changes weights.
    to : {"ternary", "nf4", "int8"}
    scenarios : sequence of Scenario
        What all three models answer; at least one.
    texts : sequence of str
        On which predictions are compared.
    group, scale
        Of ternary weights; "fitted" takes ternary weights that the expert leaves alone as they are.
    seed : int
        Of the bootstrap of texts.

    Returns
    -------
    base, requantised : Base, Requantised
        The rounded base with the expert in its weights, and what is to say about it.

    Raises
    ------
    AdapterError
        If the kind does not change weights.
    BaseError
        If there is no such quantisation.
    """
    plain = dequantised(base) if holds_codes(base.model) else base
    folded = melted(plain, adapter.config, adapter.state)
    rounded = quantised(folded, to, group=group, scale=scale)
    first, second, third = (choice_margins(one, scenarios) for one in (plain, folded, rounded))
    found = Requantised(
        to, len(scenarios), right_of(first), right_of(second), right_of(third), paired(third, second),
        paired(third, first), agreement(folded, rounded, texts, seed=seed), weight_bytes(folded.model),
        weight_bytes(rounded.model),
    )  # fmt: skip
    return rounded, found


def choice_margins(base: Base, scenarios: Sequence[Scenario]) -> Tensor:
    """[n] float64 log-odds of the right answer of each scenario among those that are listed."""
    return choices_of(base, scenarios).base_margins(SequenceLanes.bare(base, base.n_layers - 1))


def right_of(margins: Tensor) -> Right:
    """Share of the margins above 0."""
    n, right = len(margins), int((margins > 0).sum())
    return Right(right, right / n, *wilson(right, n), float(torch.sigmoid(margins).mean()))


def paired(one: Tensor, other: Tensor) -> Paired:
    """Difference of the shares of two models' margins above 0 on the same items."""
    pair = PairedShares.of(one > 0, other > 0)
    return Paired(pair.difference, *pair.interval(), pair.p)
