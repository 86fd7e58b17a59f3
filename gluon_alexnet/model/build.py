"""The net of a recipe, whichever of the two kinds it is: the paper's in one of its forms, or a graph of layers.

Everything above the model takes its nets from here. Parameters have one form on disk, whatever the devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import mx
from ..errors import InvalidRequest
from ..recipes.layer_graph import LayerGraph
from ..recipes.schema import Net
from . import alexnet, column_parallel, graph_shapes, layer_graph, lrn_cpu


def build(network: Net, classes: int, fast: bool = False) -> Any:
    """The whole net on one device. Input: (N, 3, size, size), mean subtracted. Output: (N, classes), no softmax.

    fast: for training on a CPU, where the gradient of response normalisation is right with it only.
    """
    if isinstance(network, LayerGraph):
        return layer_graph.GraphNet(network, fast)
    return alexnet.AlexNet(network, classes, fast)


def place(network: Net, classes: int, contexts: Sequence, fast: bool = False) -> tuple[Any, list[Any]]:
    """(net, the block of each context) with its columns, or its layers, on these contexts, initialized there."""
    if len(contexts) == 1:
        net = build(network, classes, fast)
        net.initialize(ctx=contexts[0])
        return net, [net]
    if isinstance(network, LayerGraph):
        placed = layer_graph.PlacedNet(network, contexts, fast)
        return placed, placed.devices
    columns = column_parallel.ColumnParallel(network, classes, contexts, fast)
    return columns, columns.columns


def check_classes(network: Net, classes: int) -> None:
    """Raise InvalidRequest where a graph, which says how many outputs it has, has not one for each class."""
    if isinstance(network, LayerGraph):
        outputs = graph_shapes.outputs(network)
        if outputs != classes:
            raise InvalidRequest(
                f"{network.source} gives {outputs} outputs ({network.cost.layer}) and the data set has {classes} "
                "classes: change outputs= in a copy of the file."
            )


def initial_parameters(network: Net, classes: int, seed: int) -> dict:
    """Parameters before training (Sec. 5) by name, on cpu(0): the same for a seed, whatever the placement."""
    if isinstance(network, LayerGraph):
        return layer_graph.initial_parameters(network, seed)
    return alexnet.initial_parameters(network, classes, seed)


def loss(network: Net) -> Any:
    """A block from (N, classes), no softmax, and labels (N,) to the loss of each image, (N,)."""
    if isinstance(network, LayerGraph):
        return layer_graph.GraphLoss(network)
    return mx.gluon.loss.SoftmaxCrossEntropyLoss()


def scores(F: Any, network: Net, outputs: Any) -> Any:
    """What the classes are ranked by, (N, classes), from a net's outputs: probabilities where its cost has some."""
    return layer_graph.scores(F, network, outputs) if isinstance(network, LayerGraph) else F.softmax(outputs)


def split(network: Net, parameters: dict, parts: int) -> list[dict]:
    """Parameters by name → those of each of so many contexts."""
    if isinstance(network, LayerGraph):
        return layer_graph.split(network, parameters, parts)
    return column_parallel.split(parameters, parts)


def join(network: Net, parts: Sequence[dict]) -> dict:
    """The inverse of :func:`split`; arrays come to cpu(0)."""
    if isinstance(network, LayerGraph):
        return {name: value.copyto(mx.cpu()) for part in parts for name, value in part.items()}
    return column_parallel.join(parts)


def first_kernels(network: Net, parameters: dict) -> np.ndarray:
    """Kernels of layer 1, (kernels, 3, size, size), the columns one after the other.

    Of a graph, those of its convolutions that read the image. Raises InvalidRequest where none does, or their sizes
    differ.
    """
    if not isinstance(network, LayerGraph):
        return parameters["conv1_weight"].asnumpy()
    found = [parameters[name].asnumpy() for name in layer_graph.first_weights(network)]
    if not found or len({kernels.shape[1:] for kernels in found}) > 1:
        raise InvalidRequest(f"{network.source} has no first layer of kernels of one size that read the image.")
    return np.concatenate(found)


def output_layers(network: Net) -> list[str]:
    """Names of the layers with weights whose outputs are the classes."""
    return layer_graph.output_layers(network) if isinstance(network, LayerGraph) else ["fc8"]


def trained_on_cpu(contexts: Sequence) -> bool:
    """Whether nets on these contexts are to be built for training on a CPU."""
    return all(context.device_type == "cpu" for context in contexts)


def normalization_obstacle(network: Net, contexts: Sequence) -> str | None:
    """Why training on these contexts takes a slower response normalisation, in words; None where it does not."""
    if not trained_on_cpu(contexts) or isinstance(network, LayerGraph) or network.normalization is None:
        return None  # MXNet's own is fast on a GPU; each layer of a graph chooses
    return lrn_cpu.obstacle(network.normalization)
