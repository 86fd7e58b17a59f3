"""Each layer type of a graph in Gluon, computed as the 2012 code computes it (its `src/layer.cu`).

A block's operators are named after its layer: NAME_fwd before its neuron, NAME_out after it. One difference is left:
where several places of a pooling window share its maximum, MXNet's gradient goes to one of them, the 2012 code's to
each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..backend import mx
from ..recipes import layer_graph as graphs
from ..recipes import schema
from .graph_operators import LOWEST, mean, neuron, padded
from .graph_shapes import Shape, as_image, connections_name, convolved, overrun, weight_names
from .layers import trained_on_cpu


class GraphLayer(mx.gluon.HybridBlock):
    """One layer. Inputs and output: (N, channels, side, side) or (N, outputs), float32.

    below: shapes of its inputs; output: that of its output; parameters: those of the whole graph, by name.
    """

    def __init__(
        self, layer: graphs.Layer, below: Sequence[Shape], output: Shape, parameters: dict[str, Shape], neuron: str
    ) -> None:
        super().__init__(prefix=f"{layer.name}_")
        self._layer: Any = layer  # each class below says of which type
        self._below, self._output = list(below), output
        self._neuron = graphs.neuron_parts(neuron) if neuron else ("ident", ())
        self._weights = [name[len(layer.name) + 1 :] for name in weight_names(layer)]
        if not isinstance(layer, graphs.WeightLayer):
            return
        for name, std in zip(self._weights, layer.weight_stds):
            full = f"{layer.name}_{name}"
            setattr(self, name, self.params.get(name, shape=parameters[full], init=mx.init.Normal(std)))
            if (chosen := connections_name(full)) in parameters:
                name = chosen[len(layer.name) + 1 :]
                setattr(
                    self, name, self.params.get(name, shape=parameters[chosen], grad_req="null", init=mx.init.Zero())
                )
        if f"{layer.name}_bias" in parameters:
            shape = parameters[f"{layer.name}_bias"]
            self.bias = self.params.get("bias", shape=shape, init=mx.init.Constant(layer.bias))

    def hybrid_forward(self, F: Any, *inputs: Any, **parameters: Any) -> Any:
        return neuron(F, self.compute(F, inputs, parameters), *self._neuron)

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        """The output before the neuron."""
        raise NotImplementedError

    def image(self, F: Any, x: Any, place: int, channels: int) -> Any:
        """An input as maps, whatever it was."""
        side = as_image(self._layer, channels, self._below[place])
        return x if self._below[place] == (channels, side, side) else F.reshape(x, shape=(0, channels, side, side))


class _Filtering(GraphLayer):
    _layer: graphs.Filtering

    def _seen(self, F: Any, x: Any, place: int, parameters: dict[str, Any]) -> tuple[Any, int]:
        """What the filters of an input slide over, zeros around it, and the zeros that are left to the operator."""
        filters = self._layer.filters[place]
        x = self.image(F, x, place, filters.channels)
        side = as_image(self._layer, filters.channels, self._below[place])
        if filters.sparse_channels:
            x = F.take(x, parameters[self._weights[place].replace("weight", "connections")], axis=1)
        after = overrun(filters.size, filters.stride, -filters.padding, convolved(filters, side), side)
        if after == filters.padding:
            return x, filters.padding
        return padded(F, x, filters.padding, after, 0), 0


class _Convolution(_Filtering):
    _layer: graphs.Convolution

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        layer, bias = self._layer, parameters["bias"]
        total = None
        for place, x in enumerate(inputs):
            filters = layer.filters[place]
            x, padding = self._seen(F, x, place, parameters)
            with_bias = place == 0 and layer.shared_biases
            last = len(inputs) == 1 and layer.shared_biases
            arrays = [x, parameters[self._weights[place]], *([bias] if with_bias else [])]
            part = F.Convolution(
                *arrays,
                kernel=(filters.size, filters.size),
                stride=(filters.stride, filters.stride),
                pad=(padding, padding),
                num_group=filters.groups,
                num_filter=layer.maps,
                no_bias=not with_bias,
                **({"name": "fwd"} if last else {}),
            )
            named = {"name": "fwd"} if place == len(inputs) - 1 and layer.shared_biases else {}
            total = part if total is None else F.elemwise_add(total, part, **named)
        return total if layer.shared_biases else F.broadcast_add(total, F.expand_dims(bias, axis=0), name="fwd")


class _Local(_Filtering):
    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        total = None
        for place, x in enumerate(inputs):
            filters = self._layer.filters[place]
            x, padding = self._seen(F, x, place, parameters)
            patches = F.im2col(
                x,
                kernel=(filters.size, filters.size),
                stride=(filters.stride, filters.stride),
                pad=(padding, padding),
            )  # (N, channels · size², places)
            weight = parameters[self._weights[place]]
            part = F.batch_dot(weight, F.transpose(patches, axes=(2, 1, 0)))  # (places, maps, N)
            total = part if total is None else total + part
        maps = F.reshape(F.transpose(total, axes=(2, 1, 0)), shape=(0, 0, *self._output[1:]))
        return F.broadcast_add(maps, F.expand_dims(parameters["bias"], axis=0), name="fwd")


class _FullyConnected(GraphLayer):
    _layer: graphs.FullyConnected

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        count, total = len(inputs), None
        for place, x in enumerate(inputs):
            named = {"name": "fwd"} if place == count - 1 else {}
            arrays = [x, parameters[self._weights[place]], *([parameters["bias"]] if place == 0 else [])]
            part = F.FullyConnected(
                *arrays,
                num_hidden=self._layer.outputs,
                no_bias=place > 0,
                flatten=True,
                **(named if count == 1 else {}),
            )
            total = part if total is None else F.elemwise_add(total, part, **named)
        return total


class _Pooling(GraphLayer):
    _layer: graphs.Pooling

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        layer = self._layer
        x, side = self.image(F, inputs[0], 0, layer.channels), as_image(layer, layer.channels, self._below[0])
        numbers = {"kernel": (layer.size, layer.size), "stride": (layer.stride, layer.stride), "pool_type": layer.pool}
        after = overrun(layer.size, layer.stride, layer.start, self._output[1], side)
        if layer.start == 0 and 0 <= after < layer.stride:
            convention = "full" if after else "valid"
            return F.Pooling(x, pooling_convention=convention, count_include_pad=False, name="fwd", **numbers)
        if layer.pool == "max":
            return F.Pooling(padded(F, x, -layer.start, after, LOWEST), name="fwd", **numbers)
        return mean(F, x, -layer.start, after, numbers)


class _CrossMapNormalization(GraphLayer):
    _layer: graphs.CrossMapNormalization

    def __init__(self, *args: Any, fast: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fast = fast

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        layer, x = self._layer, self.image(F, inputs[0], 0, self._layer.channels)
        if self._fast:
            return trained_on_cpu(F, x, normalization_numbers(layer), 1, layer.channels, name="fwd")
        return F.LRN(x, alpha=layer.scale, beta=layer.power, knorm=layer.minimum, nsize=layer.size, name="fwd")


def normalization_numbers(layer: graphs.CrossMapNormalization) -> schema.ResponseNormalization:
    """The same as in a recipe of the paper's net."""
    return schema.ResponseNormalization(layer.minimum, layer.size, layer.scale, layer.power, alpha_divided_by_n=True)


class _MapNormalization(GraphLayer):
    _layer: graphs.MapNormalization

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        layer = self._layer
        x = self.image(F, inputs[0], 0, layer.channels)
        before, after = layer.size // 2, (layer.size - 1) // 2
        window = {"kernel": (layer.size, layer.size), "stride": (1, 1), "pool_type": "avg"}
        summed = x
        if isinstance(layer, graphs.ContrastNormalization):
            # The 2012 code's gradient leaves out what the mean does.
            summed = x - F.BlockGrad(mean(F, x, before, after, window))
        mean_square = F.Pooling(padded(F, F.square(summed), before, after, 0), **window)
        return F.elemwise_div(x, (1 + layer.scale * mean_square) ** layer.power, name="fwd")


class _Blur(GraphLayer):
    _layer: graphs.Blur

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        layer = self._layer
        x, half = self.image(F, inputs[0], 0, layer.channels), layer.size // 2
        side = self._output[1]
        factors = [math.exp(-((half - place) ** 2) / (2 * layer.std**2)) for place in range(layer.size)]
        for axis in (3, 2):
            wide = [half if each == axis else 0 for each in (2, 2, 3, 3)]
            padded = F.pad(x, mode="constant", constant_value=0, pad_width=(0, 0, 0, 0, *wide))
            parts = [
                F.slice_axis(padded, axis=axis, begin=place, end=place + side) * (factor / sum(factors))
                for place, factor in enumerate(factors)
            ]
            x = F.add_n(*parts, **({"name": "fwd"} if axis == 2 else {}))
        return x


class _Nailbed(GraphLayer):
    _layer: graphs.Nailbed

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        layer = self._layer
        x, side = self.image(F, inputs[0], 0, layer.channels), as_image(layer, layer.channels, self._below[0])
        start = (side - layer.stride * (self._output[1] - 1)) // 2
        begin, step = (None, None, start, start), (1, 1, layer.stride, layer.stride)
        return F.slice(x, begin=begin, end=(None, None, None, None), step=step, name="fwd")


class _Reflection(GraphLayer):
    _layer: graphs.Reflection

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        return F.flip(self.image(F, inputs[0], 0, self._layer.channels), axis=3, name="fwd")


class _Concatenation(GraphLayer):
    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        if len(self._output) == 1:
            inputs = [F.Flatten(x) for x in inputs]
        return F.concat(*inputs, dim=1, name="fwd")


class _Elementwise(GraphLayer):
    """Inputs of one size in whatever shapes, as the first one's."""

    def same(self, F: Any, inputs: Sequence[Any]) -> list[Any]:
        first = self._output
        return [x if shape == first else F.reshape(x, shape=(0, *first)) for x, shape in zip(inputs, self._below)]


class _Sum(_Elementwise):
    _layer: graphs.Sum

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        parts = [x * factor for x, factor in zip(self.same(F, inputs), self._layer.coefficients)]
        return F.add_n(*parts, name="fwd")


class _Maximum(_Elementwise):
    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        largest, *others = self.same(F, inputs)
        for place, x in enumerate(others, 1):
            largest = F.broadcast_maximum(largest, x, **({"name": "fwd"} if place == len(others) else {}))
        return largest


class _Dropout(GraphLayer):
    _layer: graphs.Dropout

    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        keep = self._layer.keep
        # MXNet's operator is inverted: mask / keep in training, identity in test.
        x = F.Dropout(inputs[0], p=1 - keep) if self._layer.enabled and keep < 1 else inputs[0]
        return F._internal._mul_scalar(x, scalar=keep, name="fwd")


class _Neurons(GraphLayer):
    def compute(self, F: Any, inputs: Sequence[Any], parameters: dict[str, Any]) -> Any:
        return inputs[0]


_BLOCKS = {
    graphs.Convolution: _Convolution,
    graphs.Local: _Local,
    graphs.FullyConnected: _FullyConnected,
    graphs.Pooling: _Pooling,
    graphs.MapNormalization: _MapNormalization,
    graphs.ContrastNormalization: _MapNormalization,
    graphs.Blur: _Blur,
    graphs.Nailbed: _Nailbed,
    graphs.Reflection: _Reflection,
    graphs.Concatenation: _Concatenation,
    graphs.Sum: _Sum,
    graphs.Maximum: _Maximum,
    graphs.Dropout: _Dropout,
    graphs.Neurons: _Neurons,
}


def build_layer(layer: graphs.Layer, shapes: dict[str, Shape], parameters: dict, neuron: str, fast: bool) -> GraphLayer:
    """The block of a layer. shapes, parameters: of the whole graph by name; neuron: in place of the layer's own."""
    below = [shapes[name] for name in layer.inputs]
    arguments = (layer, below, shapes[layer.name], parameters, neuron)
    if isinstance(layer, graphs.CrossMapNormalization):
        return _CrossMapNormalization(*arguments, fast=fast)
    return _BLOCKS[type(layer)](*arguments)
