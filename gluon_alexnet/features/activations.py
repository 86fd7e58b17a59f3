"""What the layers of a net make of images: of any layer by its name, and fc7's for similar images (Sec. 6.1)."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_files import sha256
from ..backend import mx
from ..data.augmentation import crop_views, network_order
from ..errors import InvalidRequest, OperationFailed
from ..exporters import symbol as deployment
from ..exporters.files import file_of
from ..model import layer_chain as chain
from ..model.classifier import Classifier, classify_with
from ..recipes import schema


@dataclass(frozen=True)
class Graph:
    """A net from raw images to probabilities as MXNet's symbol, with its parameters."""

    symbol: Any
    values: dict  # NDArray by name
    size: int  # height and width of a view, pixels
    digest: str  # SHA-256 (hex) of the net, its layers' numbers and all its parameters


@dataclass(frozen=True)
class Layers:
    """Some layers of a net. ``compute``: uint8 (M, size, size, 3) → {name: float32 (M, *shape)}."""

    compute: Callable[[np.ndarray], dict[str, np.ndarray]]
    size: int
    shapes: dict[str, tuple[int, ...]]  # of one image: (maps, height, width) or (neurons,)
    digest: str


@dataclass(frozen=True)
class Fc7:
    """A net up to what layer 8 reads: fc7 after its neuron, with dropout's test form (Sec. 4.2)."""

    activations: Callable[[np.ndarray], np.ndarray]  # uint8 (M, size, size, 3) → float32 (M, width)
    size: int  # height and width of a view, pixels
    width: int  # 4096 in the paper's net
    digest: str  # SHA-256 (hex) of the net, its layers' numbers and all its parameters

    def of_images(self, images: np.ndarray) -> np.ndarray:
        """float32 (N, width) of the centre views of uint8 (N, 256, 256, 3)."""
        return self.activations(crop_views(images, self.size, 1)[:, 0])


def graph_of_classifier(classifier: Classifier, network: schema.Net) -> Graph:
    """The graph of a run's net."""
    values = {name: parameter.data() for name, parameter in classifier.collect_params().items()}
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(network), sort_keys=True).encode())
    for name in sorted(values):
        digest.update(f"{name} {values[name].shape}".encode())
        digest.update(values[name].asnumpy())
    symbol = classifier(mx.sym.var("data", dtype=np.float32))
    return Graph(symbol, values, network.input_size, digest.hexdigest())


def graph_of_export(path: Path, context: Any) -> Graph:
    """The graph of an exported OUT.

    Raises OperationFailed where a file is missing or damaged, InvalidRequest for int8 or bf16.
    """
    description = deployment.read_export(path, context)
    for form in ("int8", "bf16"):
        if form in description:
            raise InvalidRequest(f"{path} is a net in {form}, whose layers cannot be looked into; use the float32 net.")
    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(path), 0)
    files = (file_of(path, role) for role in ("symbol", "parameters"))
    digest = hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()
    return Graph(symbol, {**arguments, **auxiliary}, int(description["input"]["shape"][-1]), digest)


def layer_shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The layers that there are, in order, with the shape of one image's output: {"conv1": (96, 55, 55), …}.

    A graph that is no chain of AlexNet's layers has its own nodes' names.
    """
    return {name: shape for name, (shape, _) in _outputs(graph, before_activation=True).items()}


def open_layers(graph: Graph, names: Sequence[str], before_activation: bool, context: Any) -> Layers:
    """The net up to these layers, on one device.

    A layer with weights, conv5 or fc6, means what its activation function makes of it, if one follows at once, unless
    ``before_activation``. Raises InvalidRequest for a name that there is not (the known ones are listed) or none at
    all, OperationFailed where a parameter is not a finite number.
    """
    outputs = _outputs(graph, before_activation)
    unknown = [name for name in names if name not in outputs]
    if unknown or not names:
        what = f"There is no layer {unknown[0]}" if unknown else "No layer is named"
        raise InvalidRequest(f"{what}; this net has {', '.join(outputs)}.")
    names = list(dict.fromkeys(names))
    internals = graph.symbol.get_internals()
    # As a block: bound as one symbol, MXNet 1.9.1 on a CPU gives a convolution's values for the ReLU behind it.
    block = _block(mx.sym.Group([internals[outputs[name][1]] for name in names]), graph.values, context)

    def compute(images: np.ndarray) -> Any:
        found = block(mx.nd.array(network_order(images), ctx=context))
        found = [found] if len(names) == 1 and not isinstance(found, (list, tuple)) else found
        return {name: output.asnumpy() for name, output in zip(names, found)}

    return Layers(compute, graph.size, {name: outputs[name][0] for name in names}, graph.digest)


def of_classifier(classifier: Classifier, network: schema.Net, context: Any) -> Fc7:
    """Fc7 of a run's net. Raises OperationFailed where a parameter is not a finite number."""
    return _fc7(graph_of_classifier(classifier, network), context)


def of_export(path: Path, context: Any) -> Fc7:
    """Fc7 of an exported OUT, from the inside of its graph.

    Raises OperationFailed where a file is missing or damaged.
    """
    return _fc7(graph_of_export(path, context), context)


def _fc7(graph: Graph, context: Any) -> Fc7:
    internals = graph.symbol.get_internals()
    if not {"fc8_fwd_output", "fc7_bias"} <= set(internals.list_outputs()):
        raise InvalidRequest(
            "This net has no fc7 and fc8, whose vectors are compared; the activations of its layers can be had."
        )
    symbol = internals["fc8_fwd_output"].get_children()[0]
    block = _block(symbol, graph.values, context)
    return Fc7(classify_with(block, context), graph.size, graph.values["fc7_bias"].shape[0], graph.digest)


def _outputs(graph: Graph, before_activation: bool) -> dict[str, tuple[tuple[int, ...], str]]:
    """Name of each layer → (shape for one image, the graph's own name of its output)."""
    try:
        layers = chain.read(graph.symbol, graph.size)
    except InvalidRequest:
        return _nodes(graph)
    found = {layer.name: (layer.shape, layer.output) for layer in layers if not isinstance(layer.kind, chain.Flatten)}
    if not before_activation:
        for layer, above in itertools.pairwise(layers):
            weighted = isinstance(layer.kind, (chain.Convolution, chain.FullyConnected))
            if weighted and isinstance(above.kind, chain.Activation):
                found[layer.name] = (above.shape, above.output)
    return found


def _nodes(graph: Graph) -> dict[str, tuple[tuple[int, ...], str]]:
    """Every node of a graph that is no chain."""
    internals = graph.symbol.get_internals()
    _, shapes, _ = internals.infer_shape(data=(1, 3, graph.size, graph.size))
    return {
        name.removesuffix("_output").removesuffix("_fwd"): (tuple(shape[1:]), name)
        for name, shape in zip(internals.list_outputs(), shapes)
        if name.endswith("_output") and shape[0] == 1
    }


def _block(symbol: Any, values: dict, context: Any) -> Any:
    """A symbol with its parameters, hybridized, on a device."""
    block = mx.gluon.SymbolBlock(symbol, mx.sym.var("data", dtype=np.float32))
    for name, parameter in block.collect_params().items():
        # ReLU turns NaN into 0: the activations would not tell.
        if not np.isfinite(values[name].asnumpy()).all():
            raise OperationFailed(f"{name} holds what is not a number: the net is of no use; take another checkpoint.")
        parameter.grad_req = "null"
        parameter.shape = values[name].shape
        parameter.initialize(ctx=context)
        parameter.set_data(values[name])
    block.hybridize(static_alloc=True)
    return block
