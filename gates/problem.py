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
from gates.mixing import mixture_margin
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
        with torch.no_grad():
            weights = gates.weights(self.validation.state)
        if self.explained is None:
            return self._scores(weights, None)
        return self._scores(weights, self._gap(self._chained(gates, self.explained), self.explained))

    def score_points(self, points: Tensor) -> ValidationScores:
        """Scores of c static mixtures [c, m]; their attributions chain through the logits alone."""
        weights = points[:, None, :].expand(-1, len(self.validation.labels), -1)
        few = self.explained
        if few is None:
            return self._scores(weights, None)
        assert few.attributions is not None
        slope = torch.sigmoid(few.state.logits) * torch.sigmoid(-few.state.logits)
        factors = points[:, None, :] * slope  # dM/dz_k up to a factor per row, which shares do not see
        return self._scores(weights, self._gap(torch.einsum("crm,rmk->crk", factors, few.attributions), few))

    def rank_points(self, points: Tensor) -> Tensor:
        """[c] sort key of static mixtures [c, m] under the rule: larger is better."""
        return self.score_points(points).rank_key(self.floor)

    def score(self, gate: ProjectedGate) -> ValidationScore:
        """Score of one gate, whose weights are [r, m]."""
        with torch.no_grad():
            weights = gate.weights(self.validation.state)
        if self.explained is None:
            return self._scores(weights[None], None)[0]
        gap = self._gap(self._chained(gate, self.explained), self.explained)
        return self._scores(weights[None], gap[None])[0]

    def finish(self, gate: ProjectedGate, score: ValidationScore) -> ValidationScore:
        """The score with the costlier procedural measure, where there is one."""
        return score if self.procedural is None else replace(score, fair_proc=self.procedural(gate))

    def _scores(self, weights: Tensor, fair_proc: Tensor | None) -> ValidationScores:
        """Scores of c candidates from their weights [c, n, m] on validation rows."""
        part = self.validation
        margins = mixture_margin(weights, part.state.logits)
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
