"""How a class's output changes with each pixel: the gradient in the image (Simonyan, Vedaldi, Zisserman 2013)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ..backend import mx
from ..data.augmentation import network_order
from ..errors import InvalidRequest
from .activations import Graph


def image_gradient(graph: Graph, views: np.ndarray, labels: np.ndarray, context: Any) -> np.ndarray:
    """d(output of layer 8 for the label, before the softmax) / d(pixel), float32 (N, size, size, 3), per grey level.

    views: uint8 (N, size, size, 3). labels: (N,) int, one for each view. Dropout has its test form. Raises
    InvalidRequest where the net does not end with a softmax over classes.
    """
    head = graph.symbol.get_children()
    if not graph.symbol.name.startswith("softmax") or head is None:
        raise InvalidRequest("The net does not end with probabilities of classes, so there is no class to follow back.")
    outputs = _differentiable(head[0])
    values = {name: graph.values[name].as_in_context(context) for name in outputs.list_arguments() if name != "data"}
    values["data"] = mx.nd.array(network_order(views), ctx=context)
    gradients = {"data": mx.nd.zeros(values["data"].shape, ctx=context)}
    executor = outputs.bind(context, values, gradients, dict.fromkeys(gradients, "write"))
    # In MXNet 1.9.1 on a CPU, normalisation and pooling keep what their gradients need in training mode only.
    found = executor.forward(is_train=True)[0]
    chosen = np.zeros(found.shape, np.float32)
    chosen[np.arange(len(labels)), labels] = 1
    executor.backward([mx.nd.array(chosen, ctx=context)])
    return gradients["data"].asnumpy().transpose(0, 2, 3, 1)


def _differentiable(symbol: Any) -> Any:
    """The same net with a right gradient in training mode: no dropout, and LRN written as elementary operators.

    On a CPU, LRN's gradient is wrong in MXNet 1.9.1 before a pooling, and by 18 % between a pooling and a convolution.
    """
    graph = json.loads(symbol.tojson())
    nodes: list[dict] = []
    place: dict[int, int] = {}
    for number, node in enumerate(graph["nodes"]):
        inputs = [[place[source], output, 0] for source, output, *_ in node["inputs"]]
        if node["op"] == "LRN":
            _write_out(nodes, node, inputs[0])
        else:
            attributes = {**node.get("attrs", {}), "p": "0"} if node["op"] == "Dropout" else node.get("attrs")
            nodes.append({**node, "inputs": inputs, **({"attrs": attributes} if attributes else {})})
        place[number] = len(nodes) - 1
    graph.update(
        nodes=nodes,
        heads=[[place[number], output, 0] for number, output, *_ in graph["heads"]],
        arg_nodes=[number for number, node in enumerate(nodes) if node["op"] == "null"],
        node_row_ptr=list(range(len(nodes) + 1)),
    )
    return mx.sym.load_json(json.dumps(graph))


def _write_out(nodes: list[dict], node: dict, x: list[int]) -> None:
    """a / (k + alpha · mean of a² over n maps)^beta: maps become rows, so that a window over rows is one over maps."""
    numbers = {"alpha": "0.0001", "beta": "0.75", "knorm": "2", **node["attrs"]}  # MXNet's own defaults
    window = int(numbers["nsize"])
    rows = {"kernel": f"({window}, 1)", "pad": f"({window // 2}, 0)", "stride": "(1, 1)", "pool_type": "avg"}
    steps: list[tuple[str, dict]] = [
        ("square", {}),
        ("Reshape", {"shape": "(0, -4, 1, -1, -3)"}),
        ("Pooling", {**rows, "count_include_pad": "True"}),
        ("_mul_scalar", {"scalar": numbers["alpha"]}),
        ("_plus_scalar", {"scalar": numbers["knorm"]}),
        ("_power_scalar", {"scalar": numbers["beta"]}),
    ]
    last = x
    for operator, attributes in steps:
        name = f"{node['name']}_{operator.strip('_').lower()}"
        made = {"op": operator, "name": name, "inputs": [last]}
        nodes.append({**made, "attrs": attributes} if attributes else made)
        last = [len(nodes) - 1, 0, 0]
    nodes.append({"op": "reshape_like", "name": f"{node['name']}_maps", "inputs": [last, x]})
    nodes.append({"op": "elemwise_div", "name": node["name"], "inputs": [x, [len(nodes) - 1, 0, 0]]})
