"""What parts of a model read of the rows within a graph."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.models.onnx_form.graph import Array, Graph, Value

GROUP = "group"


@dataclass
class Rows:
    """The rows that a graph is given.

    Attributes
    ----------
    graph : Graph
    features : Value
        [r, d] float32 encoded features.
    groups : int
        Number of groups of the task.
    """

    graph: Graph
    features: Value
    groups: int
    _group: list[Value] = field(default_factory=list)

    def of_group(self, table: Array) -> Value:
        """[r, 1] what a table [g] says of each row's group; NaN of a group that there is not.

        The first call adds the input ``group``: positions of groups, [r, 1] int64.
        """
        graph, count = self.graph, self.graph.number(np.int64(self.groups))
        if not self._group:
            given = graph.input(graph.free(GROUP), "int64")
            inside = graph.op(
                "And", graph.op("GreaterOrEqual", given, graph.number(np.int64(0))), graph.op("Less", given, count)
            )
            self._group.append(graph.op("Where", inside, given, count))
        known = np.append(table, np.array([np.nan], dtype=table.dtype))
        return graph.column(graph.op("Gather", graph.number(known), self._group[0], axis=0))

    def constant(self, value: float) -> Value:
        """[r, 1] float32 the same number for each row."""
        graph = self.graph
        first = graph.op("Gather", self.features, graph.number(np.array([0])), axis=1)
        zero = graph.op("Mul", first, graph.number(np.float32(0)))
        return graph.op("Add", zero, graph.number(np.float32(value)))
