"""What the roles of language-model experts optimise: the tabular definitions, on verbaliser margins.

All terms are by lane, [k]; a weight of 0 adds a gradient of exactly 0. Definitions are those of
:mod:`metrics.surrogates`, so that a gap means the same for every family.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid, one_hot

from experts.expert import Role
from experts.networks.objectives.adversary import Adversary
from llm_experts.decoder.layout import Answers, TopInput
from metrics.surrogates import (
    centre_distance,
    group_targets,
    jensen_shannon,
    known_rates,
    profile_divergence,
    rate_weights,
    relative_weights,
    soft_gaps,
)

UtilityLoss = Literal["cross_entropy", "reward"]
Attribution = Literal["attention", "gradient"]

_RESULT = ("lambda_fair", "lambda_rep")
_PROCEDURAL = ("lambda_cf", "lambda_attention", "lambda_adv")
LAMBDAS: dict[Role, tuple[str, ...]] = {
    "utility": (),
    "result": _RESULT,
    "procedural": _PROCEDURAL,
    "combined": (*_RESULT, *_PROCEDURAL),
}
"""Names of each role's weights."""

TINY = 1e-8


@dataclass(frozen=True)
class Options:
    """What the lanes of a call have in common.

    Attributes
    ----------
    utility_loss : str
        ``cross_entropy``, or ``reward``: the exact expected reward Σ_a p(a|x) r(a) with r = ±1, which is
        policy-gradient training without its sampling noise.
    kl : float
        ≥ 0, weight of KL(p ‖ p_base) beside the reward; in closed form for two answers.
    attribution : str
        What ``lambda_attention`` compares: ``attention`` of the answer tokens in the last layer, or |``gradient`` times
        activation| of the margin where texts enter the top, summed over a token's hidden units.
    adversary_width : int
        Hidden units of the adversary.
    """

    utility_loss: UtilityLoss = "cross_entropy"
    kl: float = 0.0
    attribution: Attribution = "attention"
    adversary_width: int = 16

    def __post_init__(self) -> None:
        if self.utility_loss not in ("cross_entropy", "reward") or self.attribution not in ("attention", "gradient"):
            raise ValueError(
                f"utility_loss is cross_entropy or reward and attribution is attention or gradient, not "
                f"{self.utility_loss!r} and {self.attribution!r}."
            )
        if not self.kl >= 0 or (self.kl > 0 and self.utility_loss != "reward"):
            raise ValueError(f"kl = {self.kl} must be ≥ 0 and has a meaning for utility_loss='reward' only.")


@dataclass(frozen=True)
class TextBatch:
    """Training texts of one step, shared by the lanes.

    Attributes
    ----------
    given : TopInput of n texts
    moved : TopInput of the same rows in another group, or None
    labels, groups : [n] int64
    n_groups, n_columns : int
    weights : [K, n] float32 or None
        Weight of each row in each lane; None: all 1.
    base : [n] or None
        Margins of the base, for the reward's KL.
    """

    given: TopInput
    labels: Tensor
    groups: Tensor
    n_groups: int
    n_columns: int
    moved: TopInput | None = None
    weights: Tensor | None = None
    base: Tensor | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.labels)

    @cached_property
    def targets(self) -> Tensor:
        """[n] float32 labels."""
        return self.labels.to(torch.float32)

    @cached_property
    def rates(self) -> Tensor:
        """[n, 2·g] weights of the selection and true positive rates."""
        return rate_weights(self.labels.cpu(), self.groups.cpu(), self.n_groups).to(self.labels.device)

    @cached_property
    def known_rates(self) -> Tensor:
        """[2·g] or [K, 2·g] bool: groups with rows that the rate speaks of."""
        return known_rates(self.rates, self.weights)

    @cached_property
    def relative_weights(self) -> Tensor | None:
        """[K, n] weights that sum to 1 in each lane; None: all 1/n."""
        return relative_weights(self.weights)

    @cached_property
    def group_targets(self) -> Tensor:
        """[o, n] what the adversary guesses."""
        return group_targets(self.groups, self.n_groups)

    def of(self, values: Tensor | None, lanes: slice) -> Tensor | None:
        """Rows of a lane-wise tensor that belong to a chunk of lanes."""
        return None if values is None else values[lanes]

    def known(self, lanes: slice) -> Tensor:
        """[2·g] or [k, 2·g]: :attr:`known_rates` of a chunk of lanes."""
        return self.known_rates if self.weights is None else self.known_rates[lanes]

    def group_sums(self, values: Tensor, lanes: slice) -> Tensor:
        """[k, g, c] weighted sums of values [k, n, c] over the rows of each group."""
        members = one_hot(self.groups, self.n_groups).to(values.dtype)
        weighted = values if self.weights is None else values * self.weights[lanes, :, None]
        return torch.einsum("knc,ng->kgc", weighted, members)


Run = Callable[[TopInput], Answers]
"""Answers [k, n, ...] of a chunk of lanes."""


class Objective:
    """The loss of K lanes of a role.

    Parameters
    ----------
    role : str
    lambdas : sequence of mapping
        Weights of each lane; a name that is missing is 0.
    options : Options
    pooled : int
        Width of the hidden states that the adversary sees.
    n_groups : int
    seeds : sequence of int
        Seeds of the lanes' adversaries.
    device : torch.device, optional
    """

    def __init__(
        self,
        role: Role,
        lambdas: Sequence[Mapping[str, float]],
        options: Options,
        pooled: int,
        n_groups: int,
        seeds: Sequence[int],
        device: torch.device | None = None,
    ) -> None:
        self.options = options
        self._lambdas = {
            name: torch.tensor([float(lane.get(name, 0.0)) for lane in lambdas], device=device)
            for name in LAMBDAS[role]
        }
        self._adversary = (
            Adversary(pooled, options.adversary_width, n_groups, seeds, "pooled", device)
            if self.uses("lambda_adv")
            else None
        )

    def uses(self, name: str) -> bool:
        """Whether a lane has a weight above 0 of this name."""
        return name in self._lambdas and bool((self._lambdas[name] > 0).any())

    def loss(self, run: Run, batch: TextBatch, lanes: slice, fair: bool = True) -> Tensor:
        """[k] losses of a chunk of lanes; ``fair`` False leaves out all but utility (warm-up)."""
        by_gradient = fair and self._weight("lambda_attention", lanes) is not None
        by_gradient = by_gradient and self.options.attribution == "gradient"
        given = _own_hidden(batch.given, lanes) if by_gradient else batch.given
        answers = run(given)
        loss = self._utility(answers.margin, batch, lanes)
        if fair:
            for term in (self._result, self._counterfactual, self._reasons, self._adversarial):
                loss = term(loss, run, answers, given, batch, lanes)
        return loss

    def after_step(self) -> None:
        """Update the adversaries, once all chunks have gone backward."""
        if self._adversary is not None:
            self._adversary.step()

    def select(self, lanes: Tensor) -> None:
        """Go on with some lanes only."""
        self._lambdas = {name: values[lanes.to(values.device)] for name, values in self._lambdas.items()}
        if self._adversary is not None:
            self._adversary.select(lanes)

    def _weight(self, name: str, lanes: slice) -> Tensor | None:
        """[k] weights of a term, or None if no lane of the chunk has it."""
        values = self._lambdas.get(name)
        return values[lanes] if values is not None and bool((values[lanes] > 0).any()) else None

    def _utility(self, margins: Tensor, batch: TextBatch, lanes: slice) -> Tensor:
        if self.options.utility_loss == "reward":
            by_row = -expected_reward(margins, batch.targets)
            if self.options.kl > 0:
                assert batch.base is not None  # the trainer provides it
                by_row = by_row + self.options.kl * bernoulli_kl(margins, batch.base)
        else:
            targets = batch.targets.expand_as(margins)
            by_row = binary_cross_entropy_with_logits(margins, targets, reduction="none")
        return _mean(by_row, batch, lanes)

    def _result(
        self, loss: Tensor, _run: Run, answers: Answers, _given: TopInput, batch: TextBatch, lanes: slice
    ) -> Tensor:
        weights = batch.of(batch.weights, lanes)
        if (fair := self._weight("lambda_fair", lanes)) is not None:
            loss = loss + fair * soft_gaps(answers.margin, batch.rates, batch.known(lanes), weights)
        if (rep := self._weight("lambda_rep", lanes)) is not None:
            sums = batch.group_sums(answers.pooled, lanes)
            sizes = batch.group_sums(torch.ones_like(answers.pooled[..., :1]), lanes)
            centres = (sums / sizes.clamp_min(TINY)).mT
            loss = loss + rep * centre_distance(centres, batch.known(lanes)[..., : batch.n_groups])
        return loss

    def _counterfactual(
        self, loss: Tensor, run: Run, answers: Answers, _given: TopInput, batch: TextBatch, lanes: slice
    ) -> Tensor:
        weight = self._weight("lambda_cf", lanes)
        if weight is None or batch.moved is None:
            return loss
        moved = run(batch.moved).margin
        return loss + weight * _mean(margin_divergence(answers.margin, moved), batch, lanes)

    def _reasons(
        self, loss: Tensor, _run: Run, answers: Answers, given: TopInput, batch: TextBatch, lanes: slice
    ) -> Tensor:
        weight = self._weight("lambda_attention", lanes)
        if weight is None:
            return loss
        size = self._attributions(answers, given, batch).abs()
        shares = size / size.sum(-1, keepdim=True).clamp_min(TINY)
        sums = batch.group_sums(shares, lanes)
        return loss + weight * profile_divergence(sums, batch.known(lanes)[..., : batch.n_groups])

    def _attributions(self, answers: Answers, given: TopInput, batch: TextBatch) -> Tensor:
        if self.options.attribution == "attention":
            return by_column(answers.attention, given.columns, batch.n_columns)
        # summed with its sign over the hidden units it is 0: behind a normalisation the margin has no slope along a
        # token's own state (Euler's identity for functions of degree 0)
        (slope,) = torch.autograd.grad(answers.margin.sum(), given.hidden, create_graph=True)
        return by_column((slope * given.hidden).abs().sum(-1), given.columns, batch.n_columns)

    def _adversarial(
        self, loss: Tensor, _run: Run, answers: Answers, _given: TopInput, batch: TextBatch, lanes: slice
    ) -> Tensor:
        weight = self._weight("lambda_adv", lanes)
        if weight is None or self._adversary is None:
            return loss
        weights = batch.of(batch.relative_weights, lanes)
        return loss + self._adversary.reversed_loss(answers.pooled.mT, weight, batch.group_targets, weights, lanes)


def _mean(by_row: Tensor, batch: TextBatch, lanes: slice) -> Tensor:
    """[k] weighted means of [k, n]."""
    weights = batch.of(batch.relative_weights, lanes)
    return by_row.mean(1) if weights is None else (by_row * weights).sum(1)


def _own_hidden(given: TopInput, lanes: slice) -> TopInput:
    """The same input with hidden states [k, n, T, d] of each lane's own, which the margin is differentiated in."""
    own = given.hidden.expand(lanes.stop - lanes.start, *given.hidden.shape)
    return given._replace(hidden=own.clone().requires_grad_())


def by_column(values: Tensor, columns: Tensor, n_columns: int) -> Tensor:
    """[k, n, c] sums of token values [k, n, T] over the tokens of each column; ``columns`` [n, T], -1 none."""
    members = one_hot(columns.to(torch.int64) + 1, n_columns + 1)[..., 1:].to(values.dtype)
    return torch.einsum("knt,ntc->knc", values, members)


def expected_reward(margins: Tensor, targets: Tensor) -> Tensor:
    """[k, n] Σ_a p(a|x) r(a) with r = 1 for the right answer and -1 for the wrong one: 2 p(y|x) - 1, in [-1, 1]."""
    sign = 2 * targets - 1
    return 2 * torch.sigmoid(sign * margins) - 1


def bernoulli_kl(margins: Tensor, base: Tensor) -> Tensor:
    """[k, n] KL(p ‖ p_base) in nats between the answers' distributions, from margins [k, n] and [n]."""
    p = torch.sigmoid(margins)
    yes = logsigmoid(margins) - logsigmoid(base)
    no = logsigmoid(-margins) - logsigmoid(-base)
    return p * yes + (1 - p) * no


def margin_divergence(a: Tensor, b: Tensor) -> Tensor:
    """[...] Jensen-Shannon divergence (base 2, in [0, 1]) of two answers' distributions, from margins."""
    pairs = [torch.stack([torch.sigmoid(-m), torch.sigmoid(m)], -1).clamp_min(TINY) for m in (a, b)]
    return jensen_shannon(*pairs)
