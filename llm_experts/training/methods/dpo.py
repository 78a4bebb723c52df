"""Direct preference optimisation (Rafailov et al. 2023): of two answers the preferred one gains on the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_experts.data.example import Example
from llm_experts.training.loop.method import Method, MethodRecord, Need, Run
from llm_experts.training.loop.order import items_of, micro_batches
from llm_experts.training.loop.settings import SettingsError
from llm_experts.training.losses.preference import preference_figures, preference_loss
from llm_experts.training.methods.reference import Reference, share
from llm_experts.training.sequences.batch import Batch, Item
from llm_experts.training.sequences.lanes import SequenceLanes


@dataclass(frozen=True)
class DPOOptions:
    """Options of direct preference optimisation.

    Attributes
    ----------
    beta : float
        How closely the expert keeps to the reference, above 0.
    smoothing : float
        Share of pairs that may be labelled the wrong way round, in [0, .5).
    normalised : bool
        Log-ratios per token instead of per answer, so that long answers do not count more; take a larger beta then.
    """

    beta: float = 0.1
    smoothing: float = 0.0
    normalised: bool = False

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise SettingsError(f"beta is {self.beta}; it must be above 0.")
        if not 0 <= self.smoothing < 0.5:
            raise SettingsError(f"smoothing is {self.smoothing}; it must be at least 0 and below 0.5.")


class DPO(Method):
    """Loss of pairs; the reference is the adapter that training starts with, for a fresh one the base itself."""

    needs: Need = "pair"

    def __init__(self, options: DPOOptions) -> None:
        self._options = options
        self._reference = Reference()

    def start(self, run: Run) -> None:
        """Take the reference, and the pairs that choose checkpoints."""
        self._reference.start(run)
        self._held_out = [_pairs(given.validation, run) for given in run.assignments]
        pairs = [*self._held_out, *(_pairs(given.train, run) for given in run.assignments)]
        self._reference.prepare(run, (row for some in pairs for pair in some for row in pair.parts))

    def loss(self, lanes: SequenceLanes, theta: Tensor, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """[K] share of the mean over pairs; figures: preference accuracy, margin and implicit rewards."""
        chosen, rejected = self._ratios(lanes, theta, batch)
        loss = preference_loss(chosen, rejected, self._options.beta, self._options.smoothing)
        figures = preference_figures(chosen, rejected, self._options.beta)
        return share(loss, batch), {name: share(value, batch) for name, value in figures.items()}

    def _ratios(
        self, lanes: SequenceLanes, theta: Tensor, batch: Batch, lane: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """[K, n] log-ratios to the reference of the preferred and the other answers."""
        gained = (lanes.token_logprobs(theta, batch) - self._reference.logprobs(lanes, batch, lane)).sum(-1)
        if self._options.normalised:
            gained = gained / batch.learnt.sum(-1).clamp_min(1)
        chosen, rejected = gained.chunk(2, -1)
        return chosen, rejected

    @torch.no_grad()
    def examine(self, lane: int, lanes: SequenceLanes, theta: Tensor) -> tuple[float, float] | None:
        """Share of held-out pairs whose preferred answer gained more, and the mean margin; None without pairs."""
        held_out = self._held_out[lane]
        if not held_out:
            return None
        accuracy = margin = 0.0
        for batch in micro_batches([held_out], theta.device):
            found = preference_figures(*self._ratios(lanes, theta, batch, lane), self._options.beta)
            accuracy += float(found["accuracy"].double().sum())
            margin += float(found["margin"].double().sum())
        return accuracy / len(held_out), margin / len(held_out)

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._reference.select(lanes)


def _pairs(examples: Sequence[Example], run: Run) -> list[Item]:
    """The items that are pairs, as tokens."""
    return items_of([example for example in examples if example.rejected is not None], run.base, run.settings, "pair")


METHOD = MethodRecord(
    name="dpo",
    label="direct preference optimisation",
    about="learns which of two answers is preferred",
    needs="pair",
    options=DPOOptions,
    make=DPO,
)
