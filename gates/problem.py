"""What a gate is fitted to: stored outputs of frozen experts, and scores of candidates on validation rows.

Stored logits and features are all that is needed, so experts of any family are mixed by the same gates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from foundation.seeding import torch_generator
from gates.gate import GateState, ProjectedGate
from gates.mixing import gate_margin, mixture_margin
from gates.objective import attribution_gap, chained_attributions
from gates.selection import ValidationScore, ValidationScores, validation_scores
from gates.settings import DEFAULT_CONFIGS, GateBudget, GateConfig
from tasks.task import TaskView
from tasks.thinning import thinned

EXPLAINED_ROWS = 1024
"""Validation rows on which the ATT_JSD of candidates is measured."""


@dataclass(frozen=True)
class ExpertOutputs:
    """Stored expert outputs on r rows.

    Attributes
    ----------
    state : GateState
    labels, groups : [r] int64
    attributions : [r, m, columns] or None
        The experts' attributions, where they are known.
    """

    state: GateState
    labels: Tensor
    groups: Tensor
    attributions: Tensor | None

    @classmethod
    def of(cls, view: TaskView, rows: Tensor, logits: Tensor, attributions: Tensor | None, part: str) -> ExpertOutputs:
        """Outputs on the rows of a part of the split, named in errors.

        Raises
        ------
        ValueError
            On shapes that contradict the view.
        """
        if logits.ndim != 2 or len(logits) != len(rows):
            raise ValueError(
                f"{part} logits have shape {tuple(logits.shape)} but the split has {len(rows)} {part} rows; "
                "pass [rows, experts] in the order of the split"
            )
        if attributions is not None and attributions.shape != (*logits.shape, len(view.columns)):
            raise ValueError(
                f"{part} attributions have shape {tuple(attributions.shape)}; "
                f"expected [rows, experts, columns] = {(*logits.shape, len(view.columns))}"
            )
        state = GateState(view.features[rows], logits.detach().to(view.features.dtype))
        return cls(state, view.labels[rows], view.groups[rows], attributions)

    def take(self, index: Tensor) -> ExpertOutputs:
        """The outputs on some of the rows."""
        attributions = None if self.attributions is None else self.attributions[index]
        state = GateState(self.state.features[index], self.state.logits[index])
        return ExpertOutputs(state, self.labels[index], self.groups[index], attributions)


@dataclass(frozen=True)
class GateProblem:
    """What a gate's ``fit`` is given.

    Attributes
    ----------
    view : TaskView
    train : ExpertOutputs
        On training rows, by experts that have not seen them: what is learnt from.
    validation : ExpertOutputs
        On validation rows: what candidates are chosen on.
    seed : int
    floor : float
        Validation utility that a winner must reach; see :func:`gates.selection.choose`.
    procedural : callable or None
        A costlier procedural score of a gate on validation rows, for finalists; see :meth:`finish`.
    hide_sensitive : bool
        The sensitive columns must not steer the gate.
    configs : sequence of GateConfig
        Of gates that are trained.
    budget : GateBudget
        Of gates that are trained.
    explained : ExpertOutputs or None
        The validation rows on which reasons are compared; None when attributions are not known.
    families : tuple of m str
        Family of each expert; empty: each is a family of its own.
    """

    view: TaskView
    train: ExpertOutputs
    validation: ExpertOutputs
    seed: int
    floor: float
    procedural: Callable[[ProjectedGate], float] | None = None
    hide_sensitive: bool = False
    configs: Sequence[GateConfig] = DEFAULT_CONFIGS
    budget: GateBudget = field(default_factory=GateBudget)
    explained: ExpertOutputs | None = None
    families: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.families and len(self.families) != self.experts:
            raise ValueError(f"{len(self.families)} families were given for {self.experts} experts")

    @property
    def oof(self) -> ExpertOutputs:
        """All rows with outputs of experts that have not been fitted on them: training rows, then validation rows."""
        first, second = self.train, self.validation
        state = GateState(
            torch.cat([first.state.features, second.state.features]),
            torch.cat([first.state.logits, second.state.logits]),
        )
        labels, groups = (torch.cat([getattr(p, n) for p in (first, second)]) for n in ("labels", "groups"))
        return ExpertOutputs(state, labels, groups, None)

    @property
    def membership(self) -> Tensor:
        """[f, m] float64: row f spreads a weight of 1 evenly over the experts of family f, in order of appearance."""
        names = self.families or tuple(map(str, range(self.experts)))
        order = tuple(dict.fromkeys(names))
        member = torch.tensor([[name == family for name in names] for family in order], dtype=torch.float64)
        return member / member.sum(1, keepdim=True)

    @property
    def experts(self) -> int:
        """Number of experts, m."""
        return self.train.state.logits.shape[-1]

    @property
    def n_groups(self) -> int:
        """Number of groups of the task."""
        return len(self.view.group_names)

    @property
    def visible(self) -> Tensor:
        """[d] 1 for features that the gate may look at, 0 for hidden ones."""
        visible = torch.ones(len(self.view.feature_names))
        if self.hide_sensitive:
            for index in self.view.sensitive_columns:
                visible[list(self.view.columns[index].features)] = 0
        return visible

    def score_gates(self, gates: ProjectedGate) -> ValidationScores:
        """Scores of C stacked gates, whose weights are [C, r, m]."""
        margins = self._margins(gates)
        if self.explained is None:
            return self._scores(margins, None)
        return self._scores(margins, self._gap(self._chained(gates, self.explained), self.explained))

    def score_points(self, points: Tensor) -> ValidationScores:
        """Scores of c static mixtures [c, m]; their attributions chain through the logits alone."""
        weights = points[:, None, :].expand(-1, len(self.validation.labels), -1)
        margins, few = mixture_margin(weights, self.validation.state.logits), self.explained
        if few is None:
            return self._scores(margins, None)
        assert few.attributions is not None
        slope = torch.sigmoid(few.state.logits) * torch.sigmoid(-few.state.logits)
        factors = points[:, None, :] * slope  # dM/dz_k up to a factor per row, which shares do not see
        return self._scores(margins, self._gap(torch.einsum("crm,rmk->crk", factors, few.attributions), few))

    def rank_points(self, points: Tensor) -> Tensor:
        """[c] sort key of static mixtures [c, m] under the rule: larger is better."""
        return self.score_points(points).rank_key(self.floor)

    def score(self, gate: ProjectedGate) -> ValidationScore:
        """Score of one gate, whose weights are [r, m]."""
        margins = self._margins(gate)[None]
        if self.explained is None:
            return self._scores(margins, None)[0]
        gap = self._gap(self._chained(gate, self.explained), self.explained)
        return self._scores(margins, gap[None])[0]

    def finish(self, gate: ProjectedGate, score: ValidationScore) -> ValidationScore:
        """The score with the costlier procedural measure, where there is one."""
        return score if self.procedural is None else replace(score, fair_proc=self.procedural(gate))

    def _margins(self, gate: ProjectedGate) -> Tensor:
        """[..., n] margins of a gate's mixture on validation rows."""
        state = self.validation.state
        with torch.no_grad():
            return gate_margin(gate, gate.weights(state), state.logits)

    def _scores(self, margins: Tensor, fair_proc: Tensor | None) -> ValidationScores:
        """Scores of c candidates from their margins [c, n] on validation rows."""
        part = self.validation
        return validation_scores(margins, part.labels, part.groups, self.n_groups, fair_proc)

    def _chained(self, gate: ProjectedGate, few: ExpertOutputs) -> Tensor:
        """[..., r, columns] attributions of mixtures with a gate."""
        assert few.attributions is not None
        return chained_attributions(gate, few.state, few.attributions, self.view.column_of_feature).detach()

    def _gap(self, attributions: Tensor, few: ExpertOutputs) -> Tensor:
        """[...] ATT_JSD of attributions [..., r, columns]."""
        return attribution_gap(attributions, few.groups, self.n_groups)


def explained_rows(validation: ExpertOutputs, seed: int) -> ExpertOutputs | None:
    """At most ``EXPLAINED_ROWS`` validation rows for the ATT_JSD of candidates; None without attributions."""
    if validation.attributions is None:
        return None
    generator = torch_generator(seed, "gate", "explained rows")
    return validation.take(thinned(validation.labels, validation.groups, EXPLAINED_ROWS, generator))
