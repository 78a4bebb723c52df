"""Training of gates: frozen experts, out-of-fold outputs, C configurations at once as lanes of one tensor program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, Self

import torch
from torch import Tensor

from experts.networks.adam import LaneAdam
from experts.networks.batches import stratified_order
from foundation.seeding import torch_generator
from gates.candidates import Candidate, GateFit, Record, winner
from gates.flat import FlatGate
from gates.gate import TrainableGate
from gates.grid import best_point
from gates.objective import attribution_gap, chained_attributions, mixture_terms
from gates.problem import ExpertOutputs, GateProblem
from gates.selection import ValidationScore, ValidationScores


class LaneGate(TrainableGate, Protocol):
    """A gate whose tensors may have a leading lane dimension C: C gates are then evaluated at once."""

    def scores(self, projected: Tensor, logits: Tensor) -> Tensor:
        """[..., r, m] unnormalised scores."""
        ...

    def normalise(self, scores: Tensor) -> Tensor:
        """[..., r, m] weights from scores."""
        ...

    def lane(self, index: int) -> Self:
        """One of C stacked gates, its tensors cloned."""
        ...


def train_gate_lanes(
    problem: GateProblem, name: str, stack: Callable[[Tensor, torch.Generator], LaneGate], noise: float = 0.0
) -> GateFit:
    """Train a gate under every configuration of the problem and let the validation rows choose.

    All lanes begin near the best static mixture, so that what a trained gate achieves is beyond it.

    Parameters
    ----------
    problem : GateProblem
    name : str
        Of the gate: its random draws are its own.
    stack : callable
        (start [m], generator) → one untrained gate per configuration, stacked, close to the mixture ``start``.
    noise : float
        Standard deviation of the noise on the scores in training, which lets a sparse gate try other experts.

    Raises
    ------
    ValueError
        If a configuration has ``lambda_attention`` > 0 and attributions of training rows are not known, or every
        lane diverged.
    """
    if any(c.lambda_attention > 0 for c in problem.configs) and problem.train.attributions is None:
        raise ValueError(
            "lambda_attention > 0 needs the experts' attributions on training rows; "
            "pass attributions_train, or set lambda_attention to 0"
        )
    generator = torch_generator(problem.seed, "gate", name)
    start = best_point(problem.experts, problem.rank_points)
    best, history = _train(problem, stack(start, generator), noise, generator)
    if not best.candidates:
        raise ValueError("every gate diverged: the loss is not finite at any checkpoint; lower the learning rates")
    return winner(problem, best.candidates, history)


def _train(
    problem: GateProblem, gates: LaneGate, noise: float, generator: torch.Generator
) -> tuple[_Best, list[Record]]:
    """The best checkpoints of the lanes, and how their scores went."""
    budget, best, history = problem.budget, _Best(problem), list[Record]()
    flat = FlatGate(gates, len(problem.configs))
    rates = torch.tensor([c.learning_rate for c in problem.configs])
    adam = LaneAdam(flat.theta, rates, torch.zeros_like(rates))
    strata = problem.train.labels * problem.n_groups + problem.train.groups
    batches = _batches(strata, budget.batch, budget.steps, generator)
    for step in range(budget.steps + 1):
        if step % budget.evaluate_every == 0 or step == budget.steps:
            scores = problem.score_gates(flat.gate(flat.theta))
            best.offer(flat.gate(flat.theta), scores)
            history += _records(step, scores)
            if best.waited >= budget.patience:
                break
        if step < budget.steps:
            theta = flat.theta.detach().requires_grad_()
            part = problem.train.take(batches[step])
            loss = _loss(problem, flat.gate(theta), part, _noise(part, noise, generator))
            adam.step(torch.autograd.grad(loss.sum(), theta)[0])
    return best, history


def _loss(problem: GateProblem, gates: LaneGate, part: ExpertOutputs, noise: Tensor | None) -> Tensor:
    """[C] objective of C stacked gates on a batch; lane c is weighted by ``problem.configs[c]``.

    ``noise`` [n, m] is added to the scores (shared by the lanes). The attention term looks at the first
    ``budget.attention_rows`` rows.
    """

    def lanes(name: str) -> Tensor:
        return torch.tensor([getattr(c, name) for c in problem.configs])

    scores = gates.scores(gates.project(part.state.features), part.state.logits)
    weights = gates.normalise(scores if noise is None else scores + noise)
    terms = mixture_terms(weights, part.state.logits, part.labels, part.groups, problem.n_groups)
    loss = terms.utility + lanes("lambda_fair") * terms.fair
    loss = loss + lanes("balance") * terms.balance + lanes("decision") * terms.decision
    if part.attributions is None or not any(c.lambda_attention > 0 for c in problem.configs):
        return loss
    few = part.take(torch.arange(min(problem.budget.attention_rows, len(part.labels))))
    assert few.attributions is not None
    chained = chained_attributions(gates, few.state, few.attributions, problem.view.column_of_feature)
    return loss + lanes("lambda_attention") * attribution_gap(chained, few.groups, problem.n_groups)


def _batches(strata: Tensor, batch: int, steps: int, generator: torch.Generator) -> list[Tensor]:
    """Row indices of each step: shuffled passes over the rows, all rows every time when they fit in a batch.

    Every stretch of a pass holds the strata in proportion, so the first rows of a batch are a sample of it.
    """
    rows = len(strata)
    if rows <= batch:
        return [stratified_order(strata, generator) for _ in range(steps)]
    per_pass = rows // batch
    passes = -(-steps // per_pass)
    orders = [stratified_order(strata, generator)[: per_pass * batch] for _ in range(passes)]
    return [index for order in orders for index in torch.split(order, batch)][:steps]


def _noise(part: ExpertOutputs, deviation: float, generator: torch.Generator) -> Tensor | None:
    if deviation == 0:
        return None
    return torch.randn(part.state.logits.shape, generator=generator) * deviation


def _records(step: int, scores: ValidationScores) -> list[Record]:
    return [{"step": step, "lane": lane, **scores[lane].parts} for lane in range(len(scores.utility))]


class _Best:
    """The best checkpoint of every lane under the rule; gates are cloned when they become the best."""

    def __init__(self, problem: GateProblem) -> None:
        lanes = len(problem.configs)
        self._problem = problem
        self._keys = torch.full((lanes,), -torch.inf, dtype=torch.float64)
        self._found: list[tuple[LaneGate, ValidationScore] | None] = [None] * lanes
        self.waited = 0

    def offer(self, gates: LaneGate, scores: ValidationScores) -> None:
        """Remember the lanes that improved."""
        keys = scores.rank_key(self._problem.floor)
        self.waited = 0 if bool(keys.max() > self._keys.max()) else self.waited + 1
        for lane in torch.nonzero(keys > self._keys).flatten().tolist():
            self._keys[lane], self._found[lane] = keys[lane], (gates.lane(lane), scores[lane])

    @property
    def candidates(self) -> list[Candidate]:
        """The best of every lane that ever had a finite score."""
        pairs = zip(self._found, self._problem.configs, strict=True)
        return [Candidate(*found, config) for found, config in pairs if found is not None]
