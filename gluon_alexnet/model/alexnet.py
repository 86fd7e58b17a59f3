"""AlexNet (Krizhevsky, Sutskever, Hinton, NIPS 2012, Sec. 3.5 and Fig. 2), eight layers in reading order.

Each segment is written once. ``columns`` is how many of the network's columns a block holds: all of them
in :class:`AlexNet`, on one device, as convolutions in groups; one in each part of
:class:`.ColumnParallel`. Shapes at the end of a line are of one image in the paper's net.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import mx
from ..recipes import schema
from .layers import Dropout, MapNormalization, ResponseNormalization
from .shapes import convolution_outputs

nn = mx.gluon.nn


class LowerLayers(mx.gluon.HybridBlock):
    """Layers 1 and 2: each column sees the image and then only itself.

    share: (place, count) of a column that is alone here, for :meth:`steps`, where normalisation reads every column.
    """

    def __init__(
        self,
        network: schema.Network,
        columns: int,
        fast: bool = False,
        share: tuple[int, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(prefix="", **kwargs)
        self._network, self._share = network, share
        all_columns = columns if share is None else share[1]
        with self.name_scope():
            self.conv1 = _convolution("conv1", network, 3, columns)
            self.norm1 = _normalization(network, network.conv1, all_columns, fast, shared=share is not None)
            self.pool1 = _pooling(network)
            self.conv2 = _convolution("conv2", network, network.conv1.kernels, columns)
            self.norm2 = _normalization(network, network.conv2, all_columns, fast, shared=share is not None)
            self.map_norm2 = MapNormalization(network.map_normalization) if network.map_normalization else None
            self.pool2 = _pooling(network)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # 3×224×224
        x = self._normalized1(F, self._convolved1(F, x))  # 96×27×27
        return self._normalized2(F, self._convolved2(F, x))  # 256×13×13

    def _convolved1(self, F: Any, x: Any) -> Any:
        if self._network.channel_std is not None:
            colours = zip(F.split(x, num_outputs=3, axis=1), self._network.channel_std)
            x = F.concat(*(colour / std for colour, std in colours), dim=1)
        before, after = self._network.conv1.padding
        if before != after:  # a border that is the same on all sides is the convolution's own
            x = F.pad(x, mode="constant", constant_value=0, pad_width=(0, 0, 0, 0, before, after, before, after))
        x = self.conv1(x)  # 96×55×55
        return _activation(F, x, self._network) if self._network.relu_before_normalization else x

    def _normalized1(self, F: Any, x: Any) -> Any:
        x = self._normalized_and_pooled(F, x, [self.norm1], self.pool1)
        return x if self._network.relu_before_normalization else _activation(F, x, self._network)

    def _convolved2(self, F: Any, x: Any) -> Any:
        return _activation(F, self.conv2(x), self._network)  # 256×27×27

    def _normalized2(self, F: Any, x: Any) -> Any:
        return self._normalized_and_pooled(F, x, [self.norm2, self.map_norm2], self.pool2)

    def _normalized_and_pooled(self, F: Any, x: Any, normalizations: list[Any], pooling: Any) -> Any:
        if self._network.pool_before_normalization:
            x = pooling(x)
        for normalization in normalizations:
            if normalization is not None:
                x = normalization(x)
        if self._share is not None:
            x = F.split(x, num_outputs=self._share[1], axis=1)[self._share[0]]
        return x if self._network.pool_before_normalization else pooling(x)

    def steps(self) -> list[Step]:
        """Convolution and normalisation of layer 1, and of layer 2: before each normalisation, columns are joined."""
        return [
            Step(self._convolved1, [self.conv1]),
            Step(self._normalized1, [self.norm1, self.pool1]),
            Step(self._convolved2, [self.conv2]),
            Step(self._normalized2, [self.norm2, self.map_norm2, self.pool2]),
        ]


class Step(mx.gluon.HybridBlock):
    """One step of :class:`LowerLayers`, hybridized for itself; it shares the layers, and so their parameters."""

    def __init__(self, compute: Callable[[Any, Any], Any], layers: list[Any], **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        self._compute = compute
        for place, layer in enumerate(layers):
            if layer is not None:
                self.register_child(layer, str(place))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self._compute(F, x)


class UpperLayers(mx.gluon.HybridBlock):
    """Layers 3 to 5: layer 3 reads every column, layers 4 and 5 their own."""

    def __init__(self, network: schema.Network, columns: int, fast: bool = False, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        self._network = network
        maps = {name: layer.kernels for name, layer in network.convolutions()}
        below3 = maps["conv2"]
        below4 = maps.get("conv3", below3)
        below5 = maps.get("conv4", below4)
        self.conv5: Any
        with self.name_scope():
            self.conv3 = _convolution("conv3", network, below3, columns) if network.conv3 else None
            self.conv4 = _convolution("conv4", network, below4, columns) if network.conv4 else None
            self.conv5 = _convolution("conv5", network, below5, columns) if network.conv5 else None
            normalized5 = network.conv5 if network.normalization5 else None
            self.norm5 = _normalization(network, normalized5, columns, fast) if normalized5 else None
            self.pool5 = _pooling(network)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # 256×13×13, both columns
        if self.conv3 is not None:
            x = _activation(F, self.conv3(x), self._network)  # 384×13×13
        if self.conv4 is not None:
            x = _activation(F, self.conv4(x), self._network)  # 384×13×13
        if self.norm5 is not None:  # 256×13×13
            return _activation(F, self.pool5(self.norm5(self.conv5(x))), self._network)
        if self.conv5 is not None:
            x = _activation(F, self.conv5(x), self._network)  # 256×13×13
        return self.pool5(x)  # 256×6×6


class SixthLayer(mx.gluon.HybridBlock):
    """CNN*'s sixth convolutional layer, on top of the last pooling; it reads every column (Sec. 6)."""

    def __init__(self, network: schema.Network, columns: int, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        self._network = network
        with self.name_scope():
            self.conv6 = _convolution("conv6", network, network.convolutions()[-2][1].kernels, columns)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # 256×6×6, both columns
        return _activation(F, self.conv6(x), self._network)  # 256×6×6


class ApartDense(mx.gluon.HybridBlock):
    """A fully-connected layer whose columns each read their own only. Weights: (outputs, inputs of a column)."""

    def __init__(self, outputs: int, inputs: int, columns: int, std: float, bias: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._columns, self._outputs = columns, outputs // columns
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(outputs, inputs // columns), init=mx.init.Normal(std))
            self.bias = self.params.get("bias", shape=(outputs,), init=mx.init.Constant(bias))

    def hybrid_forward(self, F: Any, x: Any, weight: Any, bias: Any) -> Any:
        inputs = F.split(F.Flatten(x), num_outputs=self._columns, axis=1)
        arrays = [F.split(array, num_outputs=self._columns, axis=0) for array in (weight, bias)]
        parts = [
            F.FullyConnected(*of_column, num_hidden=self._outputs, flatten=True) for of_column in zip(inputs, *arrays)
        ]
        return F.concat(*parts, dim=1, name="fwd")


class Hidden(mx.gluon.HybridBlock):
    """Layer 6 or 7: fully connected to every column, ReLU, dropout (Sec. 4.2).

    inputs: what the layer below gives, all columns together. The bottleneck of net #146 has neither ReLU nor dropout.
    """

    def __init__(self, name: str, network: schema.Network, inputs: int, columns: int, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        self._network, self._linear = network, name == "bottleneck"
        layer = getattr(network, name)
        outputs, std = layer.neurons * columns // network.columns, layer.weight_std
        with self.name_scope():
            if columns > 1 and not layer.both_columns:
                self.dense = ApartDense(outputs, inputs, columns, std, layer.bias, prefix=f"{name}_")
            else:
                self.dense = nn.Dense(
                    outputs,
                    in_units=inputs if layer.both_columns else inputs // network.columns,
                    weight_initializer=mx.init.Normal(std),
                    bias_initializer=mx.init.Constant(layer.bias),
                    prefix=f"{name}_",
                )
            self.dropout = Dropout(network.dropout, network.inverted_dropout)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        if self._linear:
            return self.dense(x)
        if self._network.dropout_before:
            return _activation(F, self.dense(self.dropout(x)), self._network)
        return self.dropout(_activation(F, self.dense(x), self._network))


class AlexNet(mx.gluon.HybridBlock):
    """The whole network on one device.

    network: its numbers; ``network.columns == 2`` is the paper's net, with convolutions in two groups.
    classes: outputs of layer 8. Input: (N, 3, 224, 224), RGB grey levels with the mean subtracted.
    Output: (N, classes), before the softmax. fast: for training on a CPU, whose gradient is right there only with it.
    """

    def __init__(self, network: schema.Network, classes: int, fast: bool = False, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        columns = network.columns
        with self.name_scope():
            self.lower = LowerLayers(network, columns, fast)
            self.upper = UpperLayers(network, columns, fast)
            self.sixth = SixthLayer(network, columns) if network.conv6 else None
            self.fc6 = Hidden("fc6", network, convolution_outputs(network), columns)
            self.fc7 = Hidden("fc7", network, network.fc6.neurons, columns)
            narrow = network.bottleneck is not None
            self.bottleneck = Hidden("bottleneck", network, network.fc7.neurons, columns) if narrow else None
            self.fc8 = output_layer(network, classes)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.upper(self.lower(x))  # 256×6×6
        if self.sixth is not None:
            x = self.sixth(x)
        x = self.fc7(self.fc6(x))  # 9216 → 4096
        if self.bottleneck is not None:
            x = self.bottleneck(x)
        return self.fc8(x)  # 1000


def output_layer(network: schema.Network, classes: int) -> Any:
    """Layer 8: one output a class, read by the softmax."""
    return nn.Dense(
        classes,
        in_units=network.hidden()[-1][1].neurons,
        weight_initializer=mx.init.Normal(network.fc8_weight_std),
        bias_initializer=mx.init.Constant(network.fc8_bias),
        prefix="fc8_",
    )


def initial_parameters(network: schema.Network, classes: int, seed: int) -> dict:
    """Parameters before training (Sec. 5) by name, on cpu(0): the same for a seed, whatever the placement."""
    mx.random.seed(seed)
    net = AlexNet(network, classes)
    net.initialize(ctx=mx.cpu())
    return {name: parameter.data() for name, parameter in net.collect_params().items()}


def set_parameters(block: Any, values: dict) -> None:
    """Give each parameter of an initialized block the value of its name. Raises KeyError for a missing one."""
    for name, parameter in block.collect_params().items():
        parameter.set_data(values[name])


def _convolution(name: str, network: schema.Network, maps_below: int, columns: int) -> Any:
    """One layer; maps_below: those of all columns of the layer below."""
    layer = getattr(network, name)
    return nn.Conv2D(
        layer.kernels * columns // network.columns,
        layer.size,
        layer.stride,
        # Borders that differ between sides are padded before the convolution.
        layer.padding[0] if layer.padding[0] == layer.padding[1] else 0,
        groups=1 if layer.both_columns else columns,
        in_channels=maps_below if layer.both_columns else maps_below * columns // network.columns,
        weight_initializer=mx.init.Normal(layer.weight_std),
        bias_initializer=mx.init.Constant(layer.bias),
        prefix=f"{name}_",
    )


def _pooling(network: schema.Network) -> Any:
    return nn.MaxPool2D(network.pooling.size, network.pooling.stride, ceil_mode=network.pooling.round_up)


def _normalization(network: schema.Network, layer: Any, columns: int, fast: bool, shared: bool = False) -> Any:
    """Of one layer; shared: a column's share is taken of its output before the pooling."""
    numbers = network.normalization
    if numbers is None:
        return None
    groups = 1 if numbers.both_columns else columns
    maps = layer.kernels * columns // network.columns
    pooled_next = not (network.pool_before_normalization or shared)
    return ResponseNormalization(numbers, groups, maps, fast, pooled_next)


def _activation(F: Any, x: Any, network: schema.Network) -> Any:
    return F.Activation(x, act_type=network.activation)
