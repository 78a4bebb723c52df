"""Joint fine-tuning of LLM experts and their gate: in small steps, kept only if validation rows say so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor

from experts.networks.adam import LaneAdam, clip_lanes
from foundation.seeding import derive_seed
from gates.dense import DenseGate
from gates.gate import GateState, ProjectedGate
from gates.mixing import mixture_log_probabilities
from gates.snapshots import best_snapshot
from llm_experts.adapters.error import AdapterError
from llm_experts.bases.memory import until_it_fits
from llm_experts.decoder.lanes import AdapterLanes
from llm_experts.reading.calibration import calibrated
from llm_experts.reading.expert import LLMExpert
from llm_experts.reading.margin_memory import MarginMemory
from llm_experts.training.batches import TrainingTexts
from llm_experts.training.trainer import answering_on, mass_rows
from metrics.surrogates import soft_gaps

if TYPE_CHECKING:
    from llm_experts.training.objectives import TextBatch
    from llm_experts.training.text_blocks import TaskTexts

log = logging.getLogger(__name__)

Score = TypeVar("Score")
"""What the caller's rule says of a system on validation rows."""
System = tuple[tuple[LLMExpert, ...], ProjectedGate]
"""Experts and gate."""


@dataclass(frozen=True)
class FineTuneConfig:
    """How experts and gate are trained together.

    Attributes
    ----------
    learning_rate, gate_learning_rate : float > 0
        Of the adapters and of the gate; small: the system starts from a chosen optimum.
    lambda_fair : float >= 0
        Weight of the soft DP and EO gaps of the mixture.
    steps : int
    batch_rows : int
    evaluate_every : int
        Steps between validation checkpoints.
    patience : int
        Checkpoints in a row that do not improve the run's best, after which it stops.
    clip : float
        Largest Euclidean norm of an adapter's gradient, and of the gate's.
    """

    learning_rate: float = 3e-4
    gate_learning_rate: float = 1e-3
    lambda_fair: float = 1.0
    steps: int = 40
    batch_rows: int = 64
    evaluate_every: int = 10
    patience: int = 2
    clip: float = 1.0


DEFAULT_CONFIGS = (FineTuneConfig(), FineTuneConfig(learning_rate=1e-3, gate_learning_rate=3e-3, lambda_fair=0.3))


@dataclass(frozen=True, eq=False)
class FineTuning(Generic[Score]):
    """What fine-tuning gave.

    Attributes
    ----------
    experts, gate
        The best whole-system snapshot, or the system as it was.
    kept : bool
        Whether a snapshot beat the system as it was, under the caller's rule.
    config : FineTuneConfig or None
        Of the kept snapshot.
    before, after
        Scores of the system handed in and of the one handed back.
    history : list of (config, step, score)
        One record per checkpoint.
    notes : list of str
        What had to be given up, such as a batch that did not fit in memory.
    """

    experts: tuple[LLMExpert, ...]
    gate: ProjectedGate
    kept: bool
    config: FineTuneConfig | None
    before: Score
    after: Score
    history: list[tuple[int, int, Score]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fine_tune(
    texts: TaskTexts,
    experts: Sequence[LLMExpert],
    gate: ProjectedGate,
    configs: Sequence[FineTuneConfig] = DEFAULT_CONFIGS,
    *,
    seed: int,
    judge: Callable[[tuple[LLMExpert, ...], ProjectedGate], Score],
    better: Callable[[Score, Score], bool],
) -> FineTuning[Score]:
    """Train adapters and gate of a mixture together on training rows; calibrations stay as they are.

    Parameters
    ----------
    texts : TaskTexts
        Of the layer at which the experts' adapters begin.
    experts : sequence of LLMExpert
    gate : ProjectedGate
        A :class:`gates.dense.DenseGate` trains along; a gate without parameters stays as it is.
    configs : sequence of FineTuneConfig
        Tried one after another, each from the system handed in.
    seed : int
    judge : callable
        Score of a whole system on validation rows.
    better : callable
        Whether the first score wins against the second under the caller's rule; a tie keeps the second.

    Raises
    ------
    AdapterError
        If an expert is the base itself: it has nothing that could be trained.
    """
    if any(expert.adapter is None for expert in experts):
        raise AdapterError("The base itself has nothing to fine-tune; leave it out, or train the gate alone.")
    notes: list[str] = []
    found = best_snapshot(
        (tuple(experts), gate),
        configs,
        lambda config: _run(texts, experts, gate, config, seed, notes),
        judge=lambda system: judge(*system),
        better=better,
    )
    kept = found.config is not None
    return FineTuning(*found.system, kept, found.config, found.before, found.score, found.history, notes)


def _run(
    texts: TaskTexts,
    experts: Sequence[LLMExpert],
    gate: ProjectedGate,
    config: FineTuneConfig,
    seed: int,
    notes: list[str],
) -> Iterator[tuple[int, System]]:
    """Snapshots at the checkpoints of one configuration."""
    state = _Joint(texts, experts, gate, config)
    batches = TrainingTexts(texts, config.batch_rows, derive_seed(seed, "fine-tune"))
    for step in range(1, config.steps + 1):
        batches.draw()
        until_it_fits(partial(_step, state, batches, texts), partial(_give_way, batches, texts, notes))
        if step % config.evaluate_every == 0 or step == config.steps:
            yield step, state.snapshot()


def _step(state: _Joint, batches: TrainingTexts, texts: TaskTexts) -> None:
    state.step(batches.batch(), texts.view.features[batches.train[batches.places]])


def _give_way(batches: TrainingTexts, texts: TaskTexts, notes: list[str]) -> bool:
    if not batches.halve():
        return False
    notes.append(f"A batch did not fit in memory; went on with {batches.rows} rows.")
    log.warning("%s, joint fine-tuning: %s", texts.view.name, notes[-1])
    return True


class _Joint:
    """Adapters [m, P] and the gate's numbers [1, G], each with its optimiser."""

    def __init__(
        self, texts: TaskTexts, experts: Sequence[LLMExpert], gate: ProjectedGate, config: FineTuneConfig
    ) -> None:
        self._experts, self._gate, self._config = experts, gate, config
        adapters = [expert.adapter for expert in experts if expert.adapter is not None]
        self._answering = answering_on(texts, mass_rows(texts.view, texts.view.split.validation))
        self._lanes = AdapterLanes.of(texts.cut, texts.prompts.answer_ids, adapters)
        self._tensors = gate.trainable() if isinstance(gate, DenseGate) else {}
        flat = flat_numbers(self._tensors.values())
        self._adapters = _adam(self._lanes.start.clone(), config.learning_rate)
        self._mixing = _adam(flat, config.gate_learning_rate)

    def step(self, batch: TextBatch, features: Tensor) -> None:
        """One optimiser step of all experts and the gate."""
        adapters, mixing = (part.theta.clone().requires_grad_() for part in (self._adapters, self._mixing))
        loss = self._loss(adapters, mixing, batch, features)
        gradients = torch.autograd.grad(loss, (adapters, mixing), allow_unused=True, materialize_grads=True)
        self._adapters.step(clip_lanes(self._lanes.precondition(gradients[0]), self._config.clip))
        self._mixing.step(clip_lanes(gradients[1], self._config.clip))

    def _loss(self, adapters: Tensor, mixing: Tensor, batch: TextBatch, features: Tensor) -> Tensor:
        """[] cross-entropy of the mixture, its soft gaps, and what its experts' answer mass falls short by."""
        parts = self._lanes.chunks(1 << 62, 1, 1)
        answers = [self._lanes.answers(adapters[part], part, batch.given) for part in parts]
        margins = torch.cat([found.margin for found in answers]).cpu()
        short = torch.cat([self._answering.shortfall(found) for found in answers]).cpu().sum()
        numbers = [torch.tensor([getattr(e, name) for e in self._experts]) for name in ("temperature", "bias")]
        logits = calibrated(margins.float(), *numbers).T
        weights = self._gate_of(mixing).weights(GateState(features, logits))
        yes, no = mixture_log_probabilities(weights, logits)
        labels = batch.labels.cpu()
        loss = -torch.where(labels == 1, yes, no).mean()
        gaps = soft_gaps((yes - no)[None], batch.rates.cpu(), batch.known_rates.cpu())[0]
        return loss + short + self._config.lambda_fair * gaps

    def _gate_of(self, flat: Tensor) -> ProjectedGate:
        """The gate with differentiable views of [1, G]."""
        if not isinstance(self._gate, DenseGate):
            return self._gate
        parts = torch.split(flat[0], [t.numel() for t in self._tensors.values()])
        named = zip(self._tensors.items(), parts, strict=True)
        return self._gate.replace(**{name: part.view(old.shape) for (name, old), part in named})

    def snapshot(self) -> System:
        """The whole system as it is now; later steps do not change it."""
        theta = self._adapters.theta
        experts = tuple(
            replace(expert, adapter=self._lanes.adapter(lane, theta[lane]), memory=MarginMemory())
            for lane, expert in enumerate(self._experts)
        )
        return experts, self._gate_of(self._mixing.theta.clone())


def flat_numbers(tensors: Iterable[Tensor]) -> Tensor:
    """[1, G] the numbers of tensors side by side, on their device; [1, 0] of none."""
    flat = [tensor.detach().flatten() for tensor in tensors]
    return torch.cat(flat)[None] if flat else torch.zeros(1, 0)


def _adam(theta: Tensor, lr: float) -> LaneAdam:
    rates = torch.full((len(theta),), lr, device=theta.device)
    return LaneAdam(theta, rates, torch.zeros_like(rates))
