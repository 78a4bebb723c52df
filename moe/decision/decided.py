"""A mixture with its decision layer, itself an expert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from experts.expert import Expert
from experts.saved import DESCRIPTION, finite_parts, read_facts, with_others
from foundation.files import atomic_path, write_json
from gates.static_simplex import StaticSimplexGate
from metrics.thresholds import Thresholds, margins_of
from moe.decision.batch import batch_cuts
from moe.decision.decision import Decision
from moe.decision.demand import Demand, ProceduralBound
from moe.decision.group_model import GroupModel
from moe.decision.linear_post import LinearRule
from moe.explain import OCCLUSION, asked_attributions
from moe.mixture import Mixture, load_mixture
from tasks.task import TaskView

KIND, NUMBERS, BASE, GROUPS = "decided", "decided.safetensors", "base", "groups"


@dataclass(frozen=True, eq=False)
class Decided:
    """A mixture whose margins are moved so that their cut at 0 is the decision.

    Attributes
    ----------
    base : Expert
        The mixture of the members that have a share.
    decision : Decision
    group_model : GroupModel or None
        For "blind".
    explainer_seed : int
    """

    base: Expert
    decision: Decision
    group_model: GroupModel | None = None
    explainer_seed: int = 0
    role: str = "mixture"
    family: str = "mixture"

    @classmethod
    def of(cls, members: Sequence[Expert], decision: Decision, group_model: GroupModel | None = None) -> Decided:
        """From the members of the problem, in its order; those without a share are left out."""
        used = decision.members
        if len(used) == 1:
            return cls(members[used[0]], decision, group_model)
        gate = StaticSimplexGate(decision.shares[used].to(torch.float32))
        return cls(Mixture(tuple(members[k] for k in used), gate), decision, group_model)

    @property
    def knows_group(self) -> bool:
        """Whether it is told the group of a row when it decides."""
        return not self._is_blind or bool(getattr(self.base, "knows_group", False))

    @property
    def explainer(self) -> str:
        """That of the base: a group's threshold is no feature. A blind cut is one, and is asked for its reasons."""
        if self._is_blind and self.base.explainer != OCCLUSION:
            return "shapley_sampling"
        return self.base.explainer

    @property
    def _is_blind(self) -> bool:
        return isinstance(self.decision.rule, LinearRule)

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1, above 0 where the decision is 1.

        Raises
        ------
        ValueError
            If the mode is "batch" and the batch is not fixed: see :meth:`for_batch`.
        """
        probability = torch.sigmoid(self.base.logits(task, rows, keep).to(torch.float64))
        if self._is_blind:
            moved = self.decision.decide(probability, joint=self._joint(task, rows, probability, keep))
        elif self.decision.demand.mode == "batch":
            raise ValueError(
                "what a batch decision says depends on the batch: fix it first, with for_batch(task, rows)"
            )
        else:
            moved = self.decision.decide(probability, task.groups[rows])
        return margins_of(moved).to(torch.float32)

    def for_batch(self, task: TaskView, rows: Tensor) -> Decided:
        """The same with the cuts of one batch: a thresholds decision, whose selection rates hold on these rows only."""
        rule = self.decision.rule
        if self.decision.demand.mode != "batch" or not isinstance(rule, Thresholds):
            raise ValueError(f"a decision of the mode {self.decision.demand.mode!r} does not depend on a batch")
        margins = margins_of(torch.sigmoid(self.base.logits(task, rows).to(torch.float64)))
        cuts = batch_cuts(margins, task.groups[rows], self.decision.rates, rule.cuts)
        demand = replace(self.decision.demand, mode="aware")
        return replace(self, decision=replace(self.decision, demand=demand, rule=replace(rule, cuts=cuts)))

    def _joint(self, task: TaskView, rows: Tensor, probability: Tensor, keep: Tensor | None) -> Tensor:
        if self.group_model is None:
            raise ValueError("a blind decision needs a model of the group: pass group_model")
        features = task.features[rows]
        if keep is not None:
            features = features * keep[:, task.column_of_feature].to(features.dtype)
        return self.group_model.joint(features, probability)

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] of the base's margin; of a blind decision, of its own."""
        if not self._is_blind:
            return self.base.attributions(task, rows)
        return asked_attributions(self, task, rows, self.explainer_seed)

    @property
    def parameter_count(self) -> int:
        """Numbers that were learnt, thresholds included."""
        rule = self.decision.rule
        own = rule.multipliers.numel() + 1 if isinstance(rule, LinearRule) else rule.cuts.numel()
        return int(getattr(self.base, "parameter_count", 0)) + own

    def save(self, folder: Path) -> None:
        """Write the base, the decision's numbers, and the model of the group where there is one."""
        (folder / BASE).mkdir()
        self.base.save(folder / BASE)
        if self.group_model is not None:
            (folder / GROUPS).mkdir()
            self.group_model.save(folder / GROUPS)
        numbers, others = finite_parts(_numbers(self.decision))
        with atomic_path(folder / NUMBERS) as path:
            save_file(numbers, path)
        write_json(folder / DESCRIPTION, {**_facts(self), "not_finite": others})


def _numbers(decision: Decision) -> dict[str, Tensor]:
    rule = decision.rule
    own = {"multipliers": rule.multipliers} if isinstance(rule, LinearRule) else {"cuts": rule.cuts}
    told = torch.tensor(
        [
            decision.kappa, decision.disparity, decision.worth, decision.transfer, decision.ceiling,
            decision.procedural, rule.t if isinstance(rule, LinearRule) else 0.0, decision.demand.limit,
        ],
        dtype=torch.float64,
    )  # fmt: skip
    parts = {"shares": decision.shares, "rates": decision.rates, "told": told, **own}
    return {name: part.detach().contiguous().clone() for name, part in parts.items()}


def _facts(decided: Decided) -> dict[str, Any]:
    demand = {key: value for key, value in asdict(decided.decision.demand).items() if key != "limit"}  # may be infinite
    groups = None if decided.group_model is None else decided.group_model.n_groups
    return {
        "kind": KIND, "role": decided.role, "family": decided.family, "demand": demand,
        "further": dict(decided.decision.further), "groups": groups,
        "is_mixture": isinstance(decided.base, Mixture), "explainer_seed": decided.explainer_seed,
    }  # fmt: skip


def load_decided(folder: Path, load_expert: Callable[[Path], Expert]) -> Decided:
    """Read what :meth:`Decided.save` wrote.

    Parameters
    ----------
    folder : Path
    load_expert : callable
        Reads one expert's folder.
    """
    facts = read_facts(folder / DESCRIPTION)
    numbers = with_others(load_file(folder / NUMBERS), facts.get("not_finite", {}))
    base = load_mixture(folder / BASE, load_expert) if facts["is_mixture"] else load_expert(folder / BASE)
    model = None if facts["groups"] is None else GroupModel.load(folder / GROUPS, facts["groups"])
    return Decided(base, _decision_of(facts, numbers), model, facts["explainer_seed"])


def _decision_of(facts: dict[str, Any], numbers: dict[str, Tensor]) -> Decision:
    kappa, disparity, worth, transfer, ceiling, procedural, t, limit = numbers["told"].tolist()
    asked = facts["demand"]
    bound = None if asked["procedural"] is None else ProceduralBound(**asked["procedural"])
    rule: Thresholds | LinearRule
    if "multipliers" in numbers:
        rule = LinearRule(numbers["multipliers"], t)
    else:
        rule = Thresholds(numbers["cuts"], disparity, worth)
    return Decision(
        demand=Demand(**{**asked, "limit": limit, "procedural": bound}), shares=numbers["shares"], rule=rule,
        rates=numbers["rates"], kappa=kappa, disparity=disparity, worth=worth, transfer=transfer, ceiling=ceiling,
        procedural=procedural, further=facts["further"],
    )  # fmt: skip
