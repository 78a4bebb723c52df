"""Joint fine-tuning: experts and gate together, in small steps, kept only if validation rows say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from experts.networks.adam import LaneAdam, clip_lanes
from experts.networks.batches import Batch, TrainingRows
from experts.networks.integrated_gradients import by_column, column_indicator
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from foundation.seeding import derive_seed
from gates.flat import FlatGate
from gates.gate import ComposingGate, GateState, ProjectedGate, TrainableGate
from gates.mixing import mixture_margin
from gates.objective import attribution_gap, mixture_terms
from gates.problem import EXPLAINED_ROWS
from gates.selection import ValidationScore, validation_scores
from gates.snapshots import best_snapshot
from moe.mixture import Mixture
from moe.projection import NetworkProjection
from tasks.task import TaskView
from tasks.thinning import thinned_rows


@dataclass(frozen=True)
class FineTuneConfig:
    """How experts and gate are trained together.

    Attributes
    ----------
    learning_rate : float > 0
        Small: the system starts from a chosen optimum.
    lambda_fair, lambda_attention, balance : float >= 0
        As in :class:`gates.settings.GateConfig`.
    steps : int
    batch : int
        Rows per step when the training rows do not fit in one batch.
    attention_rows : int
        Rows per step whose attributions enter the objective.
    evaluate_every : int
        Steps between validation checkpoints.
    patience : int
        Checkpoints in a row that do not improve the run's best, after which it stops.
    clip : float
        Largest Euclidean norm of the gradient of all parameters together.
    """

    learning_rate: float = 1e-3
    lambda_fair: float = 1.0
    lambda_attention: float = 1.0
    balance: float = 1e-3
    steps: int = 150
    batch: int = 1024
    attention_rows: int = 128
    evaluate_every: int = 25
    patience: int = 2
    clip: float = 1.0


DEFAULT_CONFIGS = (FineTuneConfig(), FineTuneConfig(learning_rate=3e-3, lambda_fair=0.3, lambda_attention=0.3))


@dataclass(frozen=True, eq=False)
class FineTuning:
    """What fine-tuning gave.

    Attributes
    ----------
    mixture : Mixture
        The best whole-system snapshot, or the mixture as it was.
    kept : bool
        Whether a snapshot beat the mixture as it was, under the rule of :mod:`gates.selection`.
    config : FineTuneConfig or None
        Of the kept snapshot.
    before, after : ValidationScore
        Of the mixture handed in and of the one handed back.
    history : list of dict
        One record per checkpoint: ``config, step, utility, fair_res, fair_proc``.
    """

    mixture: Mixture
    kept: bool
    config: FineTuneConfig | None
    before: ValidationScore
    after: ValidationScore
    history: list[dict[str, float | int]] = field(default_factory=list)


def fine_tune(
    view: TaskView,
    mixture: Mixture,
    configs: Sequence[FineTuneConfig] = DEFAULT_CONFIGS,
    *,
    seed: int,
    utility_floor: float,
    procedural: Callable[[Mixture], float] | None = None,
) -> FineTuning:
    """Train experts and gate of a mixture together on training rows.

    Parameters
    ----------
    view : TaskView
    mixture : Mixture
        Its experts are networks of this package (family "mlp"); a gate without parameters stays as it is.
    configs : sequence of FineTuneConfig
        Tried one after another, each from the mixture handed in.
    seed : int
    utility_floor : float
        See :func:`gates.selection.choose`.
    procedural : callable, optional
        Procedural unfairness of a mixture on validation rows; default: ATT_JSD of its end-to-end attributions.

    Raises
    ------
    ValueError
        If an expert has no parameters that this can train, or the gate does not mix probabilities.
    """
    if isinstance(mixture.gate, ComposingGate):
        raise ValueError(f"a mixture with the gate {mixture.gate.name!r} does not mix probabilities: it stays as it is")
    others = [expert.family for expert in mixture.experts if not isinstance(expert, MLPExpert)]
    if others:
        raise ValueError(
            f"experts of family {', '.join(others)} cannot be fine-tuned jointly; train only the gate of such a mixture"
        )
    found = best_snapshot(
        mixture,
        configs,
        lambda config: _run(view, mixture, config, seed),
        judge=_Judge(view, procedural or _default_procedural(view, seed)).score,
        better=lambda one, other: one.better_than(other, utility_floor),
    )
    history = [{"config": index, "step": step, **score.parts} for index, step, score in found.history]
    return FineTuning(found.system, found.config is not None, found.config, found.before, found.score, history)


def _default_procedural(view: TaskView, seed: int) -> Callable[[Mixture], float]:
    rows = thinned_rows(view, view.split.validation, EXPLAINED_ROWS, seed, "fine-tune")

    def att_jsd(mixture: Mixture) -> float:
        attributions = mixture.attributions(view, rows)
        return float(attribution_gap(attributions, view.groups[rows], len(view.group_names)))

    return att_jsd


@dataclass(frozen=True)
class _Judge:
    """Scores whole mixtures on validation rows."""

    view: TaskView
    procedural: Callable[[Mixture], float]

    def score(self, mixture: Mixture) -> ValidationScore:
        """Utility and disparities of a mixture, end to end."""
        rows = self.view.split.validation
        margins = mixture.logits(self.view, rows)[None]
        labels, groups = self.view.labels[rows], self.view.groups[rows]
        fair_proc = torch.tensor([self.procedural(mixture)])
        return validation_scores(margins, labels, groups, len(self.view.group_names), fair_proc)[0]


class _System:
    """All trainable numbers of a mixture as one [1, P] tensor, so that a snapshot is always the whole system."""

    def __init__(self, mixture: Mixture, experts: Sequence[MLPExpert]) -> None:
        self._mixture, self._experts = mixture, experts
        self._flat = FlatGate(mixture.gate) if isinstance(mixture.gate, TrainableGate) else None
        parts = [*(e.parameters.theta for e in experts), *([] if self._flat is None else [self._flat.theta])]
        self._sizes = [p.shape[1] for p in parts]
        self.theta = torch.cat([p.detach() for p in parts], 1)

    def unpack(self, theta: Tensor) -> tuple[list[LaneParameters], ProjectedGate]:
        """Experts' parameters and gate as differentiable views of theta."""
        parts = torch.split(theta, self._sizes, 1)
        nets = [
            LaneParameters(part, e.parameters.n_features, e.parameters.hidden)
            for part, e in zip(parts, self._experts, strict=False)
        ]
        return nets, self._mixture.gate if self._flat is None else self._flat.gate(parts[-1])

    def snapshot(self) -> Mixture:
        """The whole mixture as it is now; later steps do not change it."""
        nets, gate = self.unpack(self.theta.clone())
        experts = (replace(e, parameters=p) for e, p in zip(self._experts, nets, strict=True))
        return replace(self._mixture, experts=tuple(experts), gate=gate)


def _run(view: TaskView, mixture: Mixture, config: FineTuneConfig, seed: int) -> Iterator[tuple[int, Mixture]]:
    """Snapshots at the checkpoints of one configuration."""
    system = _System(mixture, [e for e in mixture.experts if isinstance(e, MLPExpert)])
    adam = LaneAdam(system.theta, torch.tensor([config.learning_rate]), torch.zeros(1))
    rows = TrainingRows(view, config.batch, None, derive_seed(seed, "fine-tune"), config.attention_rows)
    indicator = column_indicator(view.column_of_feature, len(view.columns))
    for step in range(1, config.steps + 1):
        theta = system.theta.detach().requires_grad_()
        loss = mixture_loss(*system.unpack(theta), rows.next(), indicator, config)
        (gradient,) = torch.autograd.grad(loss, theta)
        adam.step(clip_lanes(gradient, config.clip))
        if step % config.evaluate_every == 0 or step == config.steps:
            yield step, system.snapshot()


def mixture_loss(
    networks: Sequence[LaneParameters], gate: ProjectedGate, batch: Batch, indicator: Tensor, config: FineTuneConfig
) -> Tensor:
    """[] objective of a whole mixture on a batch, differentiable in networks and gate.

    The attention term explains the sample's rows by gradient times input of the end-to-end margin, gate included.

    Parameters
    ----------
    networks : sequence of m LaneParameters with one lane each
    gate : ProjectedGate
    batch : Batch
    indicator : [d, c]
        Source column of each feature.
    config : FineTuneConfig
    """
    projections = [NetworkProjection(network) for network in networks]

    def forward(features: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.stack([p.margin_of(p.project(features)) for p in projections], -1)
        return gate.weights(GateState(features, logits)), logits

    weights, logits = forward(batch.rows[:, :-1])
    terms = mixture_terms(weights, logits, batch.labels, batch.groups, batch.n_groups)
    loss = terms.utility + config.lambda_fair * terms.fair + config.balance * terms.balance
    if config.lambda_attention == 0:
        return loss
    features = batch.sample.rows[:, :-1].detach().requires_grad_()
    (slope,) = torch.autograd.grad(mixture_margin(*forward(features)).sum(), features, create_graph=True)
    gap = attribution_gap(by_column(slope * features, indicator), batch.sample.groups, batch.n_groups)
    return loss + config.lambda_attention * gap
