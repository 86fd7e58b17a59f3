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
    executor = outputs.bind(context, values, gradients, {name: "write" for name in gradients})
    # In MXNet 1.9.1 on a CPU, normalisation and pooling keep what their gradients need in training mode only.
    found = executor.forward(is_train=True)[0]
    chosen = np.zeros(found.shape, np.float32)
    chosen[np.arange(len(labels)), labels] = 1
    executor.backward([mx.nd.array(chosen, ctx=context)])
    return gradients["data"].asnumpy().transpose(0, 2, 3, 1)


def _differentiable(symbol: Any) -> Any:
    """The same net with a right gradient in training mode: no dropout, and LRN with a reshape before it.

    Without a reshape beside it, LRN's gradient is wrong in MXNet 1.9.1 on a CPU.
    """
    graph = json.loads(symbol.tojson())
    nodes: list[dict] = []
    place: dict[int, int] = {}
    for number, node in enumerate(graph["nodes"]):
        inputs = [[place[source], output, 0] for source, output, *_ in node["inputs"]]
        if node["op"] == "LRN" and nodes[inputs[0][0]]["op"] != "Reshape":
            same = {"op": "Reshape", "name": f"{node['name']}_same", "attrs": {"shape": "(0, 0, 0, 0)"}}
            nodes.append({**same, "inputs": [inputs[0]]})
            inputs[0] = [len(nodes) - 1, 0, 0]
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
