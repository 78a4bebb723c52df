"""An expert of one trained graph lane."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from experts.expert import Role
from experts.graph.inputs import GraphInputs, graph_inputs
from experts.graph.layers import column_attributions, graph_margins
from experts.graph.settings import GraphSettings
from experts.networks.group_profiles import indicator_or_none
from experts.networks.integrated_gradients import path_slopes
from experts.networks.lane_expert import read_lane, read_theta, save_lane
from experts.networks.lanes import LaneParameters, hidden
from experts.networks.mlp import MLPExpert
from experts.saved import DESCRIPTION, WEIGHTS, ExpertError, check_features
from tasks.task import TaskView


@dataclass(frozen=True)
class GraphExpert:
    """One graph network and the features it reads.

    A row's margin depends on its neighbours, so the expert works on the graph it is handed: features of all nodes, and
    edges. A view whose rows were moved to another group moves the neighbours too.

    Attributes
    ----------
    role : {"utility", "result", "procedural", "combined"}
    settings : GraphSettings
    parameters : LaneParameters
        One lane.
    feature_names : tuple of str
        The d encoded features of the task, in order; not the propagated ones.
    task_hash : str
        Hash of the task that it was trained on.
    """

    role: str
    settings: GraphSettings
    parameters: LaneParameters
    feature_names: tuple[str, ...]
    task_hash: str
    explainer: str = "integrated_gradients"
    reads_graph: ClassVar[bool] = True

    @classmethod
    def of_lane(
        cls, view: TaskView, role: Role, settings: GraphSettings, parameters: LaneParameters, lane: int = 0
    ) -> GraphExpert:
        """The expert of one lane that was trained on a view."""
        return cls(role, settings, parameters.select([lane]), view.feature_names, view.hash)

    @property
    def family(self) -> str:
        """The kind of network: gcn, gin or sage."""
        return self.settings.kind

    @property
    def parameter_count(self) -> int:
        """Numbers that were learnt."""
        return self.parameters.theta.numel()

    def logits(self, task: TaskView, rows: Tensor, keep: Tensor | None = None) -> Tensor:
        """[r] margin of class 1; ``keep`` [r, columns] bool masks columns to unknown.

        With one layer a masked column is unknown in the row's neighbourhood, with two in the whole graph; both say
        the same, as no other node is read. With two, every distinct mask costs a pass over the rows' neighbourhood.
        """
        inputs = self._inputs(task)
        if self.settings.layers == 1:
            return self._first_layer(inputs).logits(inputs.view, rows, keep)
        if keep is None:
            return inputs.margins(self.parameters, rows)[0]
        return self._masked(inputs, rows, keep)

    @torch.no_grad()
    def _masked(self, inputs: GraphInputs, rows: Tensor, keep: Tensor) -> Tensor:
        """[r] margins of two layers with columns unknown, one pass over the graph per distinct row of ``keep``."""
        nodes, places = torch.unique(rows, return_inverse=True)
        around = inputs.neighbourhood(nodes)
        assert around is not None
        patterns, which = torch.unique(keep, dim=0, return_inverse=True)
        found = torch.empty(len(rows))
        for index, pattern in enumerate(patterns):
            kept = torch.cat([pattern[inputs.view.column_of_feature], pattern.new_ones(1)])
            margins = graph_margins(self.parameters, around, around.features * kept)[0]
            asked = which == index
            found[asked] = margins[places[asked]]
        return found

    @torch.no_grad()
    def attributions(self, task: TaskView, rows: Tensor) -> Tensor:
        """[r, columns] exact integrated gradients of the margin; Σ over columns = margin − margin of all unknown."""
        inputs = self._inputs(task)
        if self.settings.layers == 1:
            return self._first_layer(inputs).attributions(inputs.view, rows)
        around = inputs.neighbourhood(rows)
        assert around is not None
        parts = self.parameters.split()
        slopes = path_slopes(hidden(parts[0], around.features), parts[0][..., -1])
        indicator = indicator_or_none(inputs.view.column_of_feature, len(task.columns))
        return column_attributions(slopes, parts, around, indicator)[0].T

    def save(self, folder: Path) -> None:
        """Write ``weights.safetensors`` and ``expert.json`` into an existing folder."""
        save_lane(self, folder, layers=self.settings.layers)

    @classmethod
    def load(cls, folder: Path) -> GraphExpert:
        """Read what :meth:`save` wrote.

        Raises
        ------
        ExpertError
            If a file is missing, damaged, or the two files do not belong together; the text names the file.
        """
        path = folder / DESCRIPTION
        facts = read_lane(path, ("gcn", "gin", "sage"), "a graph expert")
        if facts.get("layers") not in (1, 2):
            raise ExpertError(f"{path} does not describe a graph expert: layers is {facts.get('layers')!r}.")
        settings, names = GraphSettings(facts["family"], facts["layers"]), tuple(facts["feature_names"])
        double = settings.kind == "sage"
        width, heads = len(names) * (1 + double), 2 if double and settings.layers == 2 else 1
        theta = read_theta(folder / WEIGHTS, (1, facts["hidden"] * (width + 1 + heads) + 1))
        parameters = LaneParameters(theta, width, facts["hidden"], heads)
        return cls(facts["role"], settings, parameters, names, facts["task_hash"])

    def _inputs(self, task: TaskView) -> GraphInputs:
        check_features(self.role, self.feature_names, task)
        return graph_inputs(task, self.settings)

    def _first_layer(self, inputs: GraphInputs) -> MLPExpert:
        """The same network on propagated features."""
        return MLPExpert(self.role, self.parameters, inputs.view.feature_names, self.task_hash)
