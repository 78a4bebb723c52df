"""Gate training: frozen experts, out-of-fold outputs, C configurations at once, the winner chosen on validation rows.

Works from stored logits and features only, so experts of any family are mixed by the same function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from experts.networks.adam import LaneAdam
from foundation.seeding import torch_generator
from gates.best_single import fit_best_single
from gates.dense import DenseGate, initial_tensors
from gates.gate import GateState, ProjectedGate
from gates.mixing import mixture_margin
from gates.objective import attribution_gap, chained_attributions, mixture_terms
from gates.selection import ValidationScore, ValidationScores, choose, validation_scores
from gates.static_simplex import StaticSimplexGate, fit_static_simplex
from gates.topk import TopKGate
from gates.uniform import UniformGate
from tasks.task import TaskView

EXPLAINED_ROWS = 1024
"""Validation rows on which the ATT_JSD of candidates is measured while gates are trained."""


@dataclass(frozen=True)
class GateConfig:
    """One configuration of a trained gate.

    Attributes
    ----------
    lambda_fair, lambda_attention : float >= 0
        Weights of the mixture's soft group gaps and of its ATT_JSD; see :mod:`gates.objective`.
    balance, decision : float >= 0
        Weights of "use all experts" and "decide for one per row"; three deliberately different experts need
        not be used equally, so both are small.
    temperature : float > 0
    learning_rate : float > 0
    """

    lambda_fair: float = 1.0
    lambda_attention: float = 0.0
    balance: float = 1e-3
    decision: float = 0.0
    temperature: float = 1.0
    learning_rate: float = 0.01


DEFAULT_CONFIGS: tuple[GateConfig, ...] = tuple(
    GateConfig(lambda_fair=fair, lambda_attention=attention, learning_rate=rate)
    for rate in (0.003, 0.03)
    for fair, attention in ((0.0, 0.0), (0.5, 1.0), (2.0, 1.0), (8.0, 4.0))
)
"""Eight configurations from pure utility to strongly fair, each at two learning rates."""


@dataclass(frozen=True)
class GateBudget:
    """How long gates are trained.

    Attributes
    ----------
    steps : int
        Most optimiser steps.
    patience : int
        Checkpoints in a row without a new overall best, after which training stops.
    batch : int
        Rows per step (all rows when there are fewer).
    attention_rows : int
        Rows per step whose attributions enter the objective.
    evaluate_every : int
        Steps between validation checkpoints.
    hidden : int
        Width of the gate network.
    k : int
        Experts kept per row by a "topk" gate.
    noise : float
        Standard deviation of the noise on the scores of a "topk" gate in training.
    """

    steps: int = 300
    patience: int = 4
    batch: int = 1024
    attention_rows: int = 128
    evaluate_every: int = 25
    hidden: int = 16
    k: int = 2
    noise: float = 0.5


@dataclass(frozen=True)
class GateFit:
    """A gate, and how it was found.

    Attributes
    ----------
    gate : ProjectedGate
    kind : str
    config : GateConfig or None
        None for gates that are not trained.
    score : ValidationScore
        Of the returned gate.
    history : list of dict
        One record per validation checkpoint and configuration: ``step, lane, utility, fair_res, fair_proc``.
    finalists : tuple of ProjectedGate
        The best checkpoint of every configuration; empty for gates that are not trained.
    """

    gate: ProjectedGate
    kind: str
    config: GateConfig | None
    score: ValidationScore
    history: list[dict[str, float | int]] = field(default_factory=list)
    finalists: tuple[ProjectedGate, ...] = ()


@dataclass(frozen=True)
class _Part:
    """Stored expert outputs on some rows."""

    state: GateState
    labels: Tensor
    groups: Tensor
    attributions: Tensor | None

    def take(self, index: Tensor) -> _Part:
        """The part's rows at ``index``."""
        attributions = None if self.attributions is None else self.attributions[index]
        state = GateState(self.state.features[index], self.state.logits[index])
        return _Part(state, self.labels[index], self.groups[index], attributions)


def _part(view: TaskView, rows: Tensor, logits: Tensor, attributions: Tensor | None, what: str) -> _Part:
    if logits.ndim != 2 or len(logits) != len(rows):
        raise ValueError(
            f"{what} logits have shape {tuple(logits.shape)} but the split has {len(rows)} {what} rows; "
            "pass [rows, experts] in the order of the split"
        )
    if attributions is not None and attributions.shape != (*logits.shape, len(view.columns)):
        raise ValueError(
            f"{what} attributions have shape {tuple(attributions.shape)}; "
            f"expected [rows, experts, columns] = {(*logits.shape, len(view.columns))}"
        )
    state = GateState(view.features[rows], logits.detach().to(view.features.dtype))
    return _Part(state, view.labels[rows], view.groups[rows], attributions)


def train_gate(
    view: TaskView,
    logits_oof: Tensor,
    kind: str,
    configs: Sequence[GateConfig] = DEFAULT_CONFIGS,
    *,
    seed: int,
    utility_floor: float,
    logits_validation: Tensor,
    attributions_train: Tensor | None = None,
    attributions_validation: Tensor | None = None,
    procedural: Callable[[ProjectedGate], float] | None = None,
    budget: GateBudget | None = None,
    hide_sensitive: bool = False,
) -> GateFit:
    """Fit a gate of a kind and choose among configurations, checkpoints or weights on validation rows.

    Parameters
    ----------
    view : TaskView
    logits_oof : [n_train, m]
        Out-of-fold logits of the experts on the training rows, in the order of ``view.split.train``.
    kind : {"dense", "topk", "uniform", "best_single", "static_simplex"}
    configs : sequence of GateConfig
        Trained at once as lanes; ignored by kinds that are not trained.
    seed : int
    utility_floor : float
        Validation utility that a winner must reach; see :func:`gates.selection.choose`.
    logits_validation : [n_validation, m]
        Logits of the final experts on ``view.split.validation``.
    attributions_train, attributions_validation : [rows, m, columns], optional
        The experts' attributions. Those of training rows are needed when a configuration has
        ``lambda_attention`` > 0; those of validation rows let the rule see the ATT_JSD of each candidate.
    procedural : callable, optional
        A costlier procedural score of a gate on validation rows. Where given, it decides among the best
        checkpoint of each configuration in place of the chained ATT_JSD.
    budget : GateBudget, optional
    hide_sensitive : bool
        Hide the sensitive columns from the gate when they are features (a group-blind gate).

    Raises
    ------
    ValueError
        On shapes that contradict the view, an unknown kind, or ``lambda_attention`` > 0 without attributions.
    """
    train = _part(view, view.split.train, logits_oof, attributions_train, "training")
    validation = _part(view, view.split.validation, logits_validation, attributions_validation, "validation")
    explained = _explained(validation, torch_generator(seed, "gate", "explained rows"))
    problem = _Problem(view, train, validation, explained, utility_floor, procedural, hide_sensitive)
    if kind in _STATIC:
        return _STATIC[kind](problem)
    if kind not in ("dense", "topk"):
        raise ValueError(f"no gate of kind {kind!r} can be fitted; kinds are {['dense', 'topk', *_STATIC]}")
    if any(c.lambda_attention > 0 for c in configs) and attributions_train is None:
        raise ValueError(
            "lambda_attention > 0 needs the experts' attributions on training rows; "
            "pass attributions_train, or set lambda_attention to 0"
        )
    return _train(problem, kind, configs, budget or GateBudget(), seed)


def _explained(validation: _Part, generator: torch.Generator) -> tuple[_Part, Tensor] | None:
    """At most ``EXPLAINED_ROWS`` random validation rows for the ATT_JSD of candidates; None without attributions."""
    if validation.attributions is None:
        return None
    few = torch.randperm(len(validation.labels), generator=generator)[:EXPLAINED_ROWS]
    return validation.take(few), validation.attributions[few]


@dataclass(frozen=True)
class _Problem:
    view: TaskView
    train: _Part
    validation: _Part
    explained: tuple[_Part, Tensor] | None
    floor: float
    procedural: Callable[[ProjectedGate], float] | None
    hide_sensitive: bool

    @property
    def experts(self) -> int:
        return self.train.state.logits.shape[-1]

    @property
    def n_groups(self) -> int:
        return len(self.view.group_names)

    @property
    def visible(self) -> Tensor:
        """[d] what the gate may look at."""
        visible = torch.ones(len(self.view.feature_names))
        if self.hide_sensitive:
            for index in self.view.sensitive_columns:
                visible[list(self.view.columns[index].features)] = 0
        return visible

    def score_weights(self, weights: Tensor, fair_proc: Tensor | None) -> ValidationScores:
        """Scores of c candidates from their weights [c, n, m] on validation rows."""
        part = self.validation
        margins = mixture_margin(weights, part.state.logits)
        return validation_scores(margins, part.labels, part.groups, self.n_groups, fair_proc)

    def score_gates(self, gates: DenseGate) -> ValidationScores:
        """Scores of C stacked gates."""
        with torch.no_grad():
            weights = gates.weights(self.validation.state)
        if self.explained is None:
            return self.score_weights(weights, None)
        few, attributions = self.explained
        chained = chained_attributions(gates, few.state, attributions, self.view.column_of_feature)
        return self.score_weights(weights, attribution_gap(chained.detach(), few.groups, self.n_groups))

    def score_points(self, points: Tensor) -> ValidationScores:
        """Scores of c static mixtures [c, m]; their attributions chain through the logits alone."""
        weights = points[:, None, :].expand(-1, len(self.validation.labels), -1)
        if self.explained is None:
            return self.score_weights(weights, None)
        few, attributions = self.explained
        slope = torch.sigmoid(few.state.logits) * torch.sigmoid(-few.state.logits)
        factors = points[:, None, :] * slope  # dM/dz_k up to a factor per row, which shares do not see
        chained = torch.einsum("crm,rmk->crk", factors, attributions)
        return self.score_weights(weights, attribution_gap(chained, few.groups, self.n_groups))

    def finish(self, gate: ProjectedGate, score: ValidationScore) -> ValidationScore:
        """The score with the costlier procedural measure, where there is one."""
        return score if self.procedural is None else replace(score, fair_proc=self.procedural(gate))


def _static_fit(problem: _Problem, gate: ProjectedGate) -> GateFit:
    point = gate.weights_of(gate.project(problem.view.features[:1]), torch.zeros(1, problem.experts))
    score = problem.finish(gate, problem.score_points(point)[0])
    return GateFit(gate, gate.name, None, score)


def _uniform(problem: _Problem) -> GateFit:
    return _static_fit(problem, UniformGate(problem.experts))


def _best_single(problem: _Problem) -> GateFit:
    gate = fit_best_single(problem.experts, lambda points: problem.score_points(points).rank_key(problem.floor))
    return _static_fit(problem, gate)


def _best_point(problem: _Problem) -> StaticSimplexGate:
    return fit_static_simplex(problem.experts, lambda points: problem.score_points(points).rank_key(problem.floor))


def _static_simplex(problem: _Problem) -> GateFit:
    return _static_fit(problem, _best_point(problem))


_STATIC: dict[str, Callable[[_Problem], GateFit]] = {
    "uniform": _uniform,
    "best_single": _best_single,
    "static_simplex": _static_simplex,
}


class _Flat:
    """The trainable tensors of C stacked gates as one [C, P] tensor, which is what the optimiser of lanes works on."""

    def __init__(self, gates: DenseGate) -> None:
        self._gates = gates
        tensors = gates.trainable()
        self._shapes = {name: t.shape[1:] for name, t in tensors.items()}
        self.theta = torch.cat([t.flatten(1) for t in tensors.values()], 1)

    def gates(self, theta: Tensor) -> DenseGate:
        """The gates with these parameters, as views."""
        parts = torch.split(theta, [shape.numel() for shape in self._shapes.values()], 1)
        shapes = self._shapes.items()
        tensors = {name: p.view(len(theta), *shape) for p, (name, shape) in zip(parts, shapes, strict=True)}
        return self._gates.replace(**tensors)


def stacked_gate(
    problem_shape: tuple[int, int],
    kind: str,
    configs: Sequence[GateConfig],
    start: Tensor,
    budget: GateBudget,
    visible: Tensor,
    generator: torch.Generator,
) -> DenseGate:
    """C untrained gates as lanes; all begin at the same parameters, near the mixture ``start`` [m]."""
    features, experts = problem_shape
    tensors = initial_tensors(features, experts, budget.hidden, start, generator)
    temperature = torch.tensor([c.temperature for c in configs])
    lanes = {name: t.expand(len(configs), *t.shape).clone() for name, t in tensors.items()}
    lanes["score_bias"] = lanes["score_bias"] * temperature[:, None]  # the start holds at every temperature
    lanes["score_weight"] = lanes["score_weight"] * temperature[:, None, None]
    if kind == "topk":
        return TopKGate(visible, **lanes, temperature=temperature, k=budget.k)
    return DenseGate(visible, **lanes, temperature=temperature)


def gate_loss(
    gates: DenseGate,
    part: _Part,
    configs: Sequence[GateConfig],
    view: TaskView,
    attention_rows: int,
    noise: Tensor | None = None,
) -> Tensor:
    """[C] objective of C stacked gates on a batch; lane c is weighted by ``configs[c]``.

    ``noise`` [n, m] is added to the scores (shared by the lanes). The attention term looks at the first
    ``attention_rows`` rows.
    """

    def lanes(name: str) -> Tensor:
        return torch.tensor([getattr(c, name) for c in configs])

    scores = gates.scores(gates.project(part.state.features), part.state.logits)
    weights = gates.normalise(scores if noise is None else scores + noise)
    n_groups = len(view.group_names)
    terms = mixture_terms(weights, part.state.logits, part.labels, part.groups, n_groups)
    loss = terms.utility + lanes("lambda_fair") * terms.fair
    loss = loss + lanes("balance") * terms.balance + lanes("decision") * terms.decision
    if part.attributions is None or not any(c.lambda_attention > 0 for c in configs):
        return loss
    few = part.take(torch.arange(min(attention_rows, len(part.labels))))
    assert few.attributions is not None
    chained = chained_attributions(gates, few.state, few.attributions, view.column_of_feature)
    return loss + lanes("lambda_attention") * attribution_gap(chained, few.groups, n_groups)


def _batches(rows: int, batch: int, steps: int, generator: torch.Generator) -> list[Tensor]:
    """Row indices of each step: shuffled passes over the rows, all rows every time when they fit in a batch."""
    if rows <= batch:
        return [torch.randperm(rows, generator=generator) for _ in range(steps)]
    per_pass = rows // batch
    passes = -(-steps // per_pass)
    orders = [torch.randperm(rows, generator=generator)[: per_pass * batch] for _ in range(passes)]
    return [index for order in orders for index in torch.split(order, batch)][:steps]


class _Best:
    """The best checkpoint of every lane under the rule; gates are cloned when they become the best."""

    def __init__(self, lanes: int, floor: float) -> None:
        self._floor = floor
        self.keys = torch.full((lanes,), -torch.inf, dtype=torch.float64)
        self.gates: list[DenseGate | None] = [None] * lanes
        self.scores: list[ValidationScore | None] = [None] * lanes
        self.waited = 0

    def offer(self, gates: DenseGate, scores: ValidationScores) -> None:
        """Remember the lanes that improved."""
        keys = scores.rank_key(self._floor)
        self.waited = 0 if bool(keys.max() > self.keys.max()) else self.waited + 1
        for lane in torch.nonzero(keys > self.keys).flatten().tolist():
            self.keys[lane], self.gates[lane], self.scores[lane] = keys[lane], gates.lane(lane), scores[lane]

    def finalists(self) -> list[tuple[int, DenseGate, ValidationScore]]:
        """Lane, gate and score of every lane that ever had a finite score."""
        every = zip(range(len(self.gates)), self.gates, self.scores, strict=True)
        return [(lane, gate, score) for lane, gate, score in every if gate is not None and score is not None]


def _train(problem: _Problem, kind: str, configs: Sequence[GateConfig], budget: GateBudget, seed: int) -> GateFit:
    generator = torch_generator(seed, "gate", kind)
    point = _best_point(problem).point
    shape = (len(problem.view.feature_names), problem.experts)
    gates = stacked_gate(shape, kind, configs, point, budget, problem.visible, generator)
    best, history = _Best(len(configs), problem.floor), list[dict[str, float | int]]()
    flat = _Flat(gates)
    rates = torch.tensor([c.learning_rate for c in configs])
    adam = LaneAdam(flat.theta, rates, torch.zeros_like(rates))
    batches = _batches(len(problem.train.labels), budget.batch, budget.steps, generator)
    for step in range(budget.steps + 1):
        if step % budget.evaluate_every == 0 or step == budget.steps:
            scores = problem.score_gates(flat.gates(flat.theta))
            best.offer(flat.gates(flat.theta), scores)
            history += _records(step, scores)
            if best.waited >= budget.patience:
                break
        if step < budget.steps:
            theta = flat.theta.detach().requires_grad_()
            part = problem.train.take(batches[step])
            noise = _noise(part, kind, budget, generator)
            loss = gate_loss(flat.gates(theta), part, configs, problem.view, budget.attention_rows, noise)
            adam.step(torch.autograd.grad(loss.sum(), theta)[0])
    return _winner(problem, kind, configs, best, history)


def _noise(part: _Part, kind: str, budget: GateBudget, generator: torch.Generator) -> Tensor | None:
    if kind != "topk" or budget.noise == 0:
        return None
    return torch.randn(part.state.logits.shape, generator=generator) * budget.noise


def _records(step: int, scores: ValidationScores) -> list[dict[str, float | int]]:
    return [
        {"step": step, "lane": lane, "utility": s.utility, "fair_res": s.fair_res, "fair_proc": s.fair_proc}
        for lane in range(len(scores.utility))
        for s in (scores[lane],)
    ]


def _winner(
    problem: _Problem,
    kind: str,
    configs: Sequence[GateConfig],
    best: _Best,
    history: list[dict[str, float | int]],
) -> GateFit:
    """The best lane; with a costlier procedural measure the finalists are compared by it."""
    finalists = [(lane, gate, problem.finish(gate, score)) for lane, gate, score in best.finalists()]
    if not finalists:
        raise ValueError("every gate diverged: the loss is not finite at any checkpoint; lower the learning rates")
    column = [
        torch.tensor([getattr(s, f) for *_, s in finalists]) for f in ("utility", "fair_res", "fair_proc", "rarer")
    ]
    lane, gate, score = finalists[choose(ValidationScores(*column), problem.floor)]
    return GateFit(gate, kind, configs[lane], score, history, tuple(gate for _, gate, _ in finalists))
