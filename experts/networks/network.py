"""Which network lanes are: what the trainer, twins and folds need to know of it, and the tabular one."""

from __future__ import annotations

from typing import Any, Protocol

from experts.expert import Role
from experts.networks.inputs import LaneInputs
from experts.networks.lane_expert import LaneExpert
from experts.networks.lanes import LaneParameters
from experts.networks.mlp import MLPExpert
from tasks.task import TaskView


class Network(Protocol):
    """A kind of network that is trained as lanes."""

    @property
    def name(self) -> str:
        """In file names; "" for the tabular network."""
        ...

    def settings(self) -> dict[str, Any]:
        """What beside role and budget determines the networks, for records of tunings."""
        ...

    def inputs(self, view: TaskView) -> LaneInputs:
        """What its lanes read of a task; :class:`experts.saved.ExpertError` if the task lacks it."""
        ...

    def expert(self, view: TaskView, role: Role, parameters: LaneParameters, lane: int = 0) -> LaneExpert:
        """The expert that a lane trained on a view becomes."""
        ...


class TabularNetwork:
    """One hidden layer on a row's own features."""

    name = ""

    def settings(self) -> dict[str, Any]:
        """Nothing: there is one."""
        return {}

    def inputs(self, view: TaskView) -> LaneInputs:
        """The features as they are."""
        return LaneInputs(view)

    def expert(self, view: TaskView, role: Role, parameters: LaneParameters, lane: int = 0) -> MLPExpert:
        """An MLP expert."""
        return MLPExpert.of_lane(view, role, parameters, lane)


MLP = TabularNetwork()
