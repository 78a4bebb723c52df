"""A graph as a checked ONNX model: the only place that asks the onnx package."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.models.error import ModelError
from benchmarks.models.onnx_form.graph import Graph, Kind, Node

if TYPE_CHECKING:
    import onnx

IR_VERSION = 9
OPSETS = (("", 20), ("ai.onnx.ml", 3))
"""ONNX 1.15 of 2023: onnxruntime reads them from 1.17 on."""
PRODUCER = "fairmoe"


def need_onnx() -> None:
    """Raise :class:`ModelError` where the onnx package, which is optional, is not installed."""
    if find_spec("onnx") is None:
        raise ModelError(
            "Writing ONNX needs the onnx package, which fairmoe does not install by itself: pip install --group onnx "
            "in fairmoe's folder, or pip install onnx."
        )


def built(graph: Graph, name: str, facts: Mapping[str, str], about: str) -> bytes:
    """The model as bytes, the same for the same graph and facts.

    Parameters
    ----------
    graph : Graph
    name : str
    facts : mapping of str
        What the model says of itself.
    about : str
        The same in words.
    """
    import onnx
    from onnx import helper, numpy_helper

    inputs = [helper.make_tensor_value_info(name, _type(kind), ["rows", 1]) for name, kind in graph.inputs.items()]
    outputs = [
        helper.make_tensor_value_info(name, _type(kind), ["rows", width])
        for name, (kind, width, _) in graph.outputs.items()
    ]
    ends = [helper.make_node("Identity", [value], [name]) for name, (_, _, value) in graph.outputs.items()]
    numbers = [numpy_helper.from_array(array, name) for name, array in graph.numbers.items()]
    nodes = [*(_node(node) for node in graph.nodes), *ends]
    model = helper.make_model(
        helper.make_graph(nodes, name, inputs, outputs, numbers),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in OPSETS],
        ir_version=IR_VERSION, producer_name=PRODUCER, doc_string=about,
    )  # fmt: skip
    helper.set_model_props(model, dict(sorted(facts.items())))
    onnx.checker.check_model(model, full_check=True)
    written: bytes = model.SerializeToString(deterministic=True)
    return written


def _type(kind: Kind) -> int:
    import onnx

    return int(getattr(onnx.TensorProto, kind.upper()))


def _node(node: Node) -> onnx.NodeProto:
    from onnx import helper

    attributes = {name: _attribute(name, value) for name, value in node.attributes.items()}
    inputs, outputs = list(node.inputs), list(node.outputs)
    return helper.make_node(node.operator, inputs, outputs, name=node.outputs[0], domain=node.domain, **attributes)


def _attribute(name: str, value: Any) -> Any:
    from onnx import numpy_helper

    if name == "to":
        return _type(value)
    return numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
