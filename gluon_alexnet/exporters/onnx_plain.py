"""ONNX without the operator LRN, for runtimes that lack it: response normalisation as sums that all of them know.

b = a / (k + alpha/n · Σa²)^beta over n neighbouring maps (Sec. 3.3) is written as square, pad, average-pool and power:
the maps of a column become the rows of one tall image, so that an average over n rows is the mean over n maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def without_lrn(onnx: Any, model: Any) -> Any:
    """The model with each LRN node written as elementary operators.

    onnx: the library. model: an ONNX ModelProto with LRN over (N, maps, height, width), sizes known but for N.
    """
    model = onnx.shape_inference.infer_shapes(model)
    graph = model.graph
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.value_info}
    nodes = []
    for node in graph.node:
        if node.op_type == "LRN":
            nodes += _written_out(onnx, graph, node, shapes[node.output[0]][1:])
        else:
            nodes.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return model


def _written_out(onnx: Any, graph: Any, node: Any, shape: Sequence[int]) -> list:
    """The nodes that compute what one LRN node does; shape: (maps, height, width)."""
    maps, height, width = shape
    settings = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    window, alpha = settings["size"], settings.get("alpha", 1e-4)
    below, above = (window - 1) // 2, window // 2  # as the operator is defined, for an even window, too
    made: list = []

    def constant(part: str, value: np.ndarray | np.generic) -> str:
        name = f"{node.name}_{part}"
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        return name

    def add(operator: str, part: str | None, *inputs: str, **attributes: Any) -> str:
        name = node.output[0] if part is None else f"{node.name}_{part}"
        made.append(onnx.helper.make_node(operator, list(inputs), [name], name=f"{name}_node", **attributes))
        return name

    x = node.input[0]
    tall = constant("tall", np.array([-1, 1, maps, height * width], np.int64))
    back = constant("back", np.array([-1, maps, height, width], np.int64))
    zeros = constant("zeros", np.array([0, 0, below, 0, 0, 0, above, 0], np.int64))
    square = add("Mul", "square", x, x)
    rows = add("Reshape", "rows", square, tall)
    padded = add("Pad", "padded", rows, zeros, constant("zero", np.float32(0)), mode="constant")
    mean = add("AveragePool", "mean", padded, kernel_shape=[window, 1], strides=[1, 1])
    scaled = add("Mul", "scaled", add("Reshape", "maps", mean, back), constant("alpha", np.float32(alpha)))
    base = add("Add", "base", scaled, constant("k", np.float32(settings.get("bias", 1.0))))
    power = add("Pow", "power", base, constant("beta", np.float32(settings.get("beta", 0.75))))
    add("Div", None, x, power)
    return made
