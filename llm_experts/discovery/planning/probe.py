"""Whether a domain's data help at all: a few dozen steps on it, all domains as lanes of one run."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foundation.numbers import finite_dict
from llm_experts.bases.base import Base
from llm_experts.discovery.measuring.domain import Domain, scenarios
from llm_experts.evaluation.compare import PairedShares
from llm_experts.training.loop.assignment import Assignment, Progress
from llm_experts.training.loop.fit import fit
from llm_experts.training.loop.settings import Settings
from llm_experts.training.sequences.choices import choices_of, margins_of
from llm_experts.training.sequences.lanes import SequenceLanes
from metrics.proportions import Z

BATCH = 8
"""Items of a step."""
WATCHED = 16
"""Items of the evaluation that the training loop wants; nothing is decided by it."""


@dataclass(frozen=True)
class Probe:
    """What a short training did for one domain, on the items of the capability report.

    Attributes
    ----------
    domain : str
    steps, n : int
        Optimiser steps, and items that both models were measured on.
    before, after : float
        Shares of right choices.
    gain, low, high : float
        after - before with the 95 % interval of paired proportions (Newcombe 1998, method 10).
    log_p, log_p_low, log_p_high : float
        Mean gain in log P(right | listed), with its 95 % interval: it moves long before choices do.
    """

    domain: str
    steps: int
    n: int
    before: float
    after: float
    gain: float
    low: float
    high: float
    log_p: float
    log_p_low: float
    log_p_high: float

    @property
    def helps(self) -> bool:
        """Whether the data may help: more right choices, or a probability that may have risen."""
        return self.gain > 0 or self.log_p_high > 0

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        return finite_dict(asdict(self) | {"helps": self.helps})


def probe_domains(
    base: Base,
    domains: Sequence[Domain],
    *,
    steps: int,
    items: int = 100,
    seed: int = 0,
    kind: str = "lora",
    rank: int | None = None,
    start: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> tuple[Probe, ...]:
    """Train a fresh adapter on each domain for a few steps, together, and compare it with the base.

    Parameters
    ----------
    base : Base
    domains : sequence of Domain
    steps : int
        Of :data:`BATCH` items, all different.
    items : int
        Of the comparison.
    seed : int
    kind, rank, start
        Of the adapters.
    progress : callable, optional
        As of :func:`llm_experts.training.loop.fit.fit`.

    Raises
    ------
    DataError
        If a domain has not items enough.
    """
    settings = Settings(
        kind=kind, rank=rank, start=start, steps=steps, batch_size=BATCH, evaluate_every=steps, schedule="constant",
        max_length=base.context, seed=seed,
    )  # fmt: skip
    assignments = [
        Assignment(
            domain.name,
            domain.items("training", steps * BATCH, seed),
            domain.items("watching", WATCHED, seed),
            settings,
        )
        for domain in domains
    ]
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit(base, assignments, folder=Path(folder), progress=progress)
    found = []
    for domain, expert in zip(domains, fitted, strict=True):
        told = scenarios([domain], "capability", items, seed)
        choices = choices_of(base, told)
        lanes = SequenceLanes.of(base, [expert.adapter], start)
        before, after = choices.base_logprobs(lanes), choices.logprobs(lanes, lanes.start)[0]
        found.append(_compared(domain.name, steps, before, after))
    return tuple(found)


def _compared(domain: str, steps: int, before: Tensor, after: Tensor) -> Probe:
    was, now = margins_of(before) > 0, margins_of(after) > 0
    n, (low, high) = len(was), PairedShares.of(now, was).interval()
    log_p = torch.log_softmax(after, -1)[:, 0] - torch.log_softmax(before, -1)[:, 0]
    mean, half = float(log_p.mean()), Z * float(log_p.std()) / math.sqrt(n)
    shares = float(was.double().mean()), float(now.double().mean())
    return Probe(domain, steps, n, *shares, shares[1] - shares[0], low, high, mean, mean - half, mean + half)
