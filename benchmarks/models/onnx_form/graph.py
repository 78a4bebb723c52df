"""A graph of ONNX operators while it grows; the onnx package is asked only when all of it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

ML = "ai.onnx.ml"
"""Domain of the operators for trees and categories."""
Array = npt.NDArray[Any]
Value = str
"""Name of a tensor in the graph."""
Kind = Literal["float", "double", "int64", "bool", "string"]


@dataclass(frozen=True)
class Node:
    """One operator."""

    operator: str
    domain: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Any]


@dataclass
class Graph:
    """Nodes in the order of computing, and the numbers that they use.

    Names of nodes and numbers begin with ``/``: those of inputs and outputs are free for columns.

    Attributes
    ----------
    inputs : dict
        Kind of each input, a column [r, 1].
    outputs : dict
        Kind and width of each output [r, width], and the value that it is.
    """

    inputs: dict[str, Kind] = field(default_factory=dict)
    outputs: dict[str, tuple[Kind, int, Value]] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    numbers: dict[Value, Array] = field(default_factory=dict)
    _known: dict[tuple[str, tuple[int, ...], bytes], Value] = field(default_factory=dict)

    def input(self, name: str, kind: Kind) -> Value:
        """A column of the table: values [r]."""
        self.inputs[name] = kind
        return self.op("Reshape", name, self.number(np.array([-1])))

    def number(self, array: Any) -> Value:
        """A constant; equal ones are kept once."""
        values = np.asarray(array)
        held = repr(values.tolist()).encode() if values.dtype == object else values.tobytes()
        key = (values.dtype.str, values.shape, held)
        if key not in self._known:
            self._known[key] = f"/number/{len(self._known)}"
            self.numbers[self._known[key]] = values
        return self._known[key]

    def op(self, operator: str, *inputs: Value, domain: str = "", **attributes: Any) -> Value:
        """The output of a new node."""
        return self._added(operator, domain, inputs, 1, attributes)[0]

    def pair(self, operator: str, *inputs: Value, **attributes: Any) -> tuple[Value, Value]:
        """The two outputs of a new node."""
        first, second = self._added(operator, "", inputs, 2, attributes)
        return first, second

    def _added(
        self, operator: str, domain: str, inputs: tuple[Value, ...], count: int, attributes: Mapping[str, Any]
    ) -> tuple[Value, ...]:
        outputs = tuple(f"/{operator}/{len(self.nodes)}" + (f"/{place}" if place else "") for place in range(count))
        self.nodes.append(Node(operator, domain, inputs, outputs, attributes))
        return outputs

    def cast(self, value: Value, kind: Kind) -> Value:
        """The same values in another type."""
        return self.op("Cast", value, to=kind)

    def column(self, value: Value) -> Value:
        """[r, 1] of values [r]."""
        return self.op("Reshape", value, self.number(np.array([-1, 1])))

    def output(self, name: str, kind: Kind, width: int, value: Value) -> None:
        """Give values [r, width] to whoever runs the graph."""
        self.outputs[name] = (kind, width, value)

    def free(self, name: str) -> str:
        """The name, with underscores behind it where columns or outputs have it already."""
        while name in self.inputs or name in self.outputs:
            name += "_"
        return name
