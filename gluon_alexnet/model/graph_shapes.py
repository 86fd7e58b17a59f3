"""Sizes of the layers of a graph, worked out before anything is built, and refused where they do not fit."""

from __future__ import annotations

import math
from typing import Any

from ..errors import InvalidRequest as InvalidRequest
from ..recipes import layer_graph as graphs

LARGEST = 2**31 - 1  # numbers in one array: MXNet 1.9.1 counts them in 32 bits

Shape = tuple[int, ...]  # of one image's output: (channels, side, side), or (outputs,)


def shapes(graph: graphs.LayerGraph) -> dict[str, Shape]:
    """Shape of each layer's output for one image, the image's among them, by name.

    Raises InvalidRequest, naming the layer, where a layer cannot read what the ones before it make.
    """
    found: dict[str, Shape] = {graph.image: (3, graph.input_size, graph.input_size)}
    for layer in graph.layers:
        below = [found[name] for name in layer.inputs]
        found[layer.name] = _shape(layer, below)
        _count(layer, found[layer.name], "outputs")
    parameter_shapes(graph, found)
    return found


def outputs(graph: graphs.LayerGraph) -> int:
    """Numbers that the net gives for an image: one a class."""
    return math.prod(shapes(graph)[graph.cost.layer])


def as_image(layer: graphs.Layer, channels: int, shape: Shape) -> int:
    """Height and width of an input seen as so many square maps. Raises InvalidRequest where it is none."""
    numbers = math.prod(shape)
    side = math.isqrt(numbers // channels)
    if side == 0 or side * side * channels != numbers:
        raise refused(layer, f"its input of {numbers} numbers is not {channels} square maps")
    return side


def convolved(filters: graphs.Filters, side: int) -> int:
    """Outputs of a convolution a side: as many as it takes to see all of the input."""
    return 1 + -(-(2 * filters.padding + side - filters.size) // filters.stride)


def pooled(layer: graphs.Pooling, side: int) -> int:
    """Outputs of a pooling a side."""
    return layer.outputs or -(-(side - layer.start - layer.size) // layer.stride) + 1


def overrun(size: int, stride: int, start: int, outputs: int, side: int) -> int:
    """Pixels by which the last window reaches beyond the map; negative: by which it stays short of its end."""
    return start + (outputs - 1) * stride + size - side


def parameter_shapes(graph: graphs.LayerGraph, of_layers: dict[str, Shape] | None = None) -> dict[str, Shape]:
    """Shape of each parameter by name, in the graph's order.

    A layer with one input has NAME_weight and NAME_bias, one with several NAME_weight0, NAME_weight1, … Weights are
    (maps, channels of a group, size, size), (outputs, inputs), or of a local layer (places, maps, channels · size²).
    The channels that a sparse convolution chose are NAME_connections, (groups · channels of a group,): no weights.
    """
    of_layers = of_layers or shapes(graph)
    found: dict[str, Shape] = {}
    for layer in graph.layers:
        below = [of_layers[name] for name in layer.inputs]
        for place, name in enumerate(weight_names(layer)):
            found[name] = _weight_shape(layer, place, below[place], of_layers[layer.name])
            _count(layer, found[name], "weights")
            if isinstance(layer, graphs.Convolution):
                filters = layer.filters[place]
                if filters.sparse_channels is not None:
                    found[connections_name(name)] = (filters.groups * filters.sparse_channels,)
        if isinstance(layer, graphs.FullyConnected):
            found[f"{layer.name}_bias"] = (layer.outputs,)
        elif isinstance(layer, graphs.Local) or (isinstance(layer, graphs.Convolution) and not layer.shared_biases):
            found[f"{layer.name}_bias"] = of_layers[layer.name]
        elif isinstance(layer, graphs.Convolution):
            found[f"{layer.name}_bias"] = (layer.maps,)
    return found


def weight_names(layer: graphs.Layer) -> list[str]:
    """Names of a layer's weights, one an input; empty for a layer without."""
    if not isinstance(layer, graphs.WeightLayer):
        return []
    count = len(layer.inputs)
    return [f"{layer.name}_weight{'' if count == 1 else place}" for place in range(count)]


def connections_name(weight: str) -> str:
    """Name of the channels that a sparse convolution chose, from that of its weights."""
    layer, _, rest = weight.rpartition("_")
    return f"{layer}_{rest.replace('weight', 'connections')}"


def is_parameter(name: str) -> bool:
    """Whether an array of :func:`parameter_shapes` is learned."""
    return not name.rpartition("_")[2].startswith("connections")


def parameter_count(graph: graphs.LayerGraph) -> dict[str, int]:
    """Number of parameters of each layer that has some, by name."""
    counts: dict[str, int] = {}
    for name, shape in parameter_shapes(graph).items():
        if is_parameter(name):
            layer = name.rpartition("_")[0]
            counts[layer] = counts.get(layer, 0) + math.prod(shape)
    return counts


def training_bytes(graph: graphs.LayerGraph, batch_size: int) -> int:
    """Memory that training takes at least: parameters, gradients, momentum; outputs and their gradients; patches."""
    of_layers = shapes(graph)
    learned = sum(parameter_count(graph).values())
    outputs = sum(math.prod(shape) for shape in of_layers.values())
    patches = max(
        (
            filters.channels * filters.size**2 * math.prod(of_layers[layer.name][1:])
            for layer in graph.layers
            if isinstance(layer, graphs.Local)
            for filters in layer.filters
        ),
        default=0,
    )
    return 4 * (3 * learned + batch_size * (2 * outputs + 2 * patches))


def refused(layer: graphs.Layer, reason: str) -> InvalidRequest:
    """The exception that says what is wrong with a layer."""
    return InvalidRequest(f"The layer {layer.name} ({layer.kind}) cannot be built: {reason}.")


def _count(layer: graphs.Layer, shape: Shape, what: str) -> None:
    if math.prod(shape) > LARGEST:
        numbers = math.prod(shape)
        raise refused(layer, f"it has {numbers:,} {what}, more than the {LARGEST:,} that fit into one array")


def _shape(layer: graphs.Layer, below: list[Shape]) -> Shape:
    if isinstance(layer, graphs.Filtering):
        return _convolution_shape(layer, below)
    if isinstance(layer, graphs.FullyConnected):
        return (layer.outputs,)
    if isinstance(layer, graphs.Concatenation):
        if all(len(shape) == 3 and shape[1:] == below[0][1:] for shape in below):
            return (sum(shape[0] for shape in below), *below[0][1:])
        return (sum(map(math.prod, below)),)
    if isinstance(layer, (graphs.Sum, graphs.Maximum)):
        numbers = {math.prod(shape) for shape in below}
        if len(numbers) > 1:
            raise refused(layer, f"its inputs differ in size: {', '.join(map(str, map(math.prod, below)))}")
        return below[0]
    if isinstance(layer, (graphs.Dropout, graphs.Neurons)):
        return below[0]
    return _image_shape(layer, below[0])


def _convolution_shape(layer: graphs.Filtering, below: list[Shape]) -> Shape:
    sides = set()
    for filters, shape in zip(layer.filters, below):
        side = as_image(layer, filters.channels, shape)
        if filters.size > side + 2 * filters.padding:
            wide = side + 2 * filters.padding
            raise refused(layer, f"filters of {filters.size} pixels are larger than its padded input of {wide}")
        sides.add(convolved(filters, side))
    if len(sides) > 1:
        raise refused(layer, f"its inputs give outputs of different sizes: {', '.join(map(str, sorted(sides)))}")
    return (layer.maps, *sides, *sides)


def _image_shape(layer: Any, shape: Shape) -> Shape:
    side = as_image(layer, layer.channels, shape)
    if isinstance(layer, graphs.Nailbed):
        outputs = -(-side // layer.stride)
    elif isinstance(layer, graphs.Pooling):
        outputs = pooled(layer, side)
        if layer.size > side:
            raise refused(layer, f"its window of {layer.size} pixels is larger than its input of {side}")
        last = overrun(layer.size, layer.stride, layer.start, outputs, side)
        if outputs < 1 or last >= layer.size or layer.start <= -layer.size:
            raise refused(layer, f"of its {outputs} windows a side some see nothing of its input of {side} pixels")
    else:
        outputs = side
        if isinstance(layer, graphs.CrossMapNormalization):
            if layer.size > layer.channels:
                raise refused(layer, f"it sums over {layer.size} maps and has {layer.channels}")
        elif not isinstance(layer, graphs.Reflection) and layer.size > side:
            raise refused(layer, f"its window of {layer.size} pixels is larger than its input of {side}")
    return (layer.channels, outputs, outputs)


def _weight_shape(layer: graphs.Layer, place: int, below: Shape, output: Shape) -> Shape:
    if isinstance(layer, graphs.FullyConnected):
        return (layer.outputs, math.prod(below))
    if not isinstance(layer, graphs.Filtering):
        raise TypeError(f"a layer {layer.kind} has no weights")
    filters = layer.filters[place]
    channels = filters.sparse_channels or filters.channels // filters.groups
    if isinstance(layer, graphs.Local):
        return (output[1] * output[2], layer.maps, channels * filters.size**2)
    return (layer.maps, channels, filters.size, filters.size)
