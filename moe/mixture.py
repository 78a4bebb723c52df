"""The mixture: experts and a gate, itself an expert, scored and explained end to end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from experts.expert import Expert
from experts.networks.integrated_gradients import by_column, column_indicator
from experts.networks.mlp import MLPExpert
from experts.saved import DESCRIPTION, part_of, read_facts
from foundation.files import write_json
from gates.gate import GateState, ProjectedGate, TrainableGate, masked_features
from gates.mixing import gate_margin
from gates.objective import chained_attributions
from gates.registry import load_gate, save_gate
from moe.explain import OCCLUSION, asked_attributions, mixture_integrated_gradients
from moe.projection import Projection, projection_of
from tasks.task import TaskView

CHAINED = "chained"
KIND = "mixture"
SETTINGS = ("steps", "explainer_seed", "chained")
"""What ``expert.json`` says beside the parts."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """p(x) = sum_k g_k(x) p_k(x).

    Attributes
    ----------
    experts : tuple of Expert
        In the order of the gate's weights.
    gate : ProjectedGate
    steps : int
        Steps of integrated gradients.
    explainer_seed : int
        Of sampled Shapley values, which explain mixtures with experts that are not differentiable.
    chained : bool
        Explain by passing each expert's own attributions on with the factor ∂M/∂z_k (and the gate's part by gradient
        times input; :func:`gates.objective.chained_attributions`). A local linearisation of the mixture in its
        experts' margins: exact in the factors, and it asks every expert once where sampled Shapley values ask hundreds
        of times. Completeness does not hold: a row's attributions do not sum to M(x) − M(0).
    """

    experts: tuple[Expert, ...]
    gate: ProjectedGate
    steps: int = 32
    explainer_seed: int = 0
    role: str = "mixture"
    family: str = "mixture"
    chained: bool = False

    @cached_property
    def _projections(self) -> list[Projection] | None:
        """The experts' projections, None when an expert is not differentiable in the features."""
        found = [projection_of(expert) for expert in self.experts]
        return None if any(p is None for p in found) else cast(list[Projection], found)

    @property
    def knows_group(self) -> bool:
        """Whether an expert is told the group of a row."""
        return any(getattr(expert, "knows_group", False) for expert in self.experts)

    @property
    def explainer(self) -> str:
        """Integrated gradients when every expert is differentiable in the features, else sampled Shapley values.

        With an expert that explains itself by occlusion, the mixture does too: it asks what that expert has answered.
        A mixture that is told so chains its experts' own attributions.
        """
        if self.chained:
            return CHAINED
        if any(expert.explainer == OCCLUSION for expert in self.experts):
            return OCCLUSION
        return "shapley_sampling" if self._projections is None else "integrated_gradients"

    def state(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> GateState:
        """What the gate sees of rows: features and expert logits under the same mask."""
        logits = torch.stack([expert.logits(task, rows, keep) for expert in self.experts], -1)
        return GateState(masked_features(task, rows, keep), logits)

    def weights(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r, m] gate weights."""
        with torch.no_grad():
            return self.gate.weights(self.state(task, rows, keep))

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] logit of the mixed probability; ``keep`` masks columns for the experts and for the gate."""
        with torch.no_grad():
            state = self.state(task, rows, keep)
            return gate_margin(self.gate, self.gate.weights(state), state.logits)

    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] attribution of the mixture's margin, end to end, gate included."""
        if self.chained:
            own = torch.stack([expert.attributions(task, rows) for expert in self.experts], 1)
            return chained_attributions(self.gate, self.state(task, rows), own, task.column_of_feature).detach()
        if self.explainer != "integrated_gradients":
            return asked_attributions(self, task, rows, self.explainer_seed)
        projections = cast(list[Projection], self._projections)
        by_feature = mixture_integrated_gradients(projections, self.gate, task.features[rows], self.steps)
        return by_column(by_feature, column_indicator(task.column_of_feature, len(task.columns)))

    @property
    def parameter_count(self) -> int:
        """Numbers that were learnt, in the experts that are networks or adapters and in the gate."""
        gate = self.gate.trainable() if isinstance(self.gate, TrainableGate) else {}
        return sum(map(_learnt, self.experts)) + sum(t.numel() for t in gate.values())

    def save(self, folder: Path) -> None:
        """Write the whole system: one sub-folder per expert, one for the gate, and ``expert.json``."""
        names = [f"expert_{index}_{expert.role}" for index, expert in enumerate(self.experts)]
        for name, expert in zip(names, self.experts, strict=True):
            (folder / name).mkdir()
            expert.save(folder / name)
        (folder / "gate").mkdir()
        save_gate(self.gate, folder / "gate")
        told = {name: getattr(self, name) for name in SETTINGS}
        write_json(folder / DESCRIPTION, {"kind": KIND, "role": self.role, "experts": names, **told})


def _learnt(expert: Expert) -> int:
    """Numbers that an expert learnt; 0 for one that does not count them (trees)."""
    if isinstance(expert, MLPExpert):
        return expert.parameters.theta.numel()
    return int(getattr(expert, "parameter_count", 0))


def load_mixture(folder: Path, load_expert: Callable[[Path], Expert]) -> Mixture:
    """Read a mixture that :meth:`Mixture.save` wrote.

    Parameters
    ----------
    folder : Path
    load_expert : callable
        Reads one expert's folder.
    """
    record = read_facts(folder / DESCRIPTION)
    experts = tuple(load_expert(part_of(folder, name)) for name in record["experts"])
    facts = {name: record[name] for name in ("role", *SETTINGS)}
    return Mixture(experts, load_gate(folder / "gate"), **facts)
