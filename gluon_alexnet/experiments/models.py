"""The paper's two small nets for CIFAR-10 (NIPS 2012, Sec. 3.1, 3.3), in reading order.

Shapes at the end of a line are of one image.
"""

from __future__ import annotations

from typing import Any

from ..backend import mx
from ..model.layers import ResponseNormalization
from . import config as numbers

nn = mx.gluon.nn

CLASSES = 10


class LocallyConnected(mx.gluon.HybridBlock):
    """A convolution whose kernels differ from place to place, each place with biases of its own.

    Input: (N, maps_below, height, width). Output: (N, layer.maps, height, width); zeros around the input.
    Weights: (places, maps, maps_below · size²), places row by row.
    """

    def __init__(self, layer: numbers.Convolution, maps_below: int, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._maps, self._size, self._places = layer.maps, layer.size, (height, width)
        inputs = maps_below * layer.size**2
        with self.name_scope():
            self.weight = self.params.get(
                "weight", shape=(height * width, layer.maps, inputs), init=mx.init.Normal(layer.deviation)
            )
            self.bias = self.params.get("bias", shape=(height * width, layer.maps, 1), init=mx.init.Zero())

    def hybrid_forward(self, F: Any, x: Any, weight: Any, bias: Any) -> Any:
        pad = self._size // 2
        patches = F.im2col(x, kernel=(self._size, self._size), pad=(pad, pad))  # (N, inputs, places)
        sums = F.batch_dot(weight, patches.transpose((2, 1, 0)))  # (places, maps, N)
        maps = F.broadcast_add(sums, bias).transpose((2, 1, 0))
        return F.reshape(maps, shape=(0, 0, *self._places))


class FourLayerNet(mx.gluon.HybridBlock):
    """The four-layer net of Fig. 1. Input: (N, 3, 32, 32), grey levels less their mean; output: (N, 10), no softmax."""

    def __init__(self, net: numbers.FourLayers, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        self._activation = net.activation
        side = _pooled(_pooled(_pooled(net.input_size, net), net), net)
        # A window that overruns the map averages what it holds, as in the 2012 code.
        pooling = {"pool_size": net.pool_size, "strides": net.pool_stride, "ceil_mode": True}
        with self.name_scope():
            self.conv1 = _convolution("conv1", net.layer1, 3)
            self.pool1 = nn.MaxPool2D(**pooling)
            self.conv2 = _convolution("conv2", net.layer2, net.layer1.maps)
            self.pool2 = nn.AvgPool2D(count_include_pad=False, **pooling)
            self.conv3 = _convolution("conv3", net.layer3, net.layer2.maps)
            self.pool3 = nn.AvgPool2D(count_include_pad=False, **pooling)
            self.output = _output(net.layer3.maps * side**2, net.output_deviation)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # 3×32×32
        x = F.Activation(self.pool1(self.conv1(x)), act_type=self._activation)  # 32×16×16
        x = self.pool2(F.Activation(self.conv2(x), act_type=self._activation))  # 32×8×8
        x = self.pool3(F.Activation(self.conv3(x), act_type=self._activation))  # 64×4×4
        return self.output(x)  # 10


class LocalNet(mx.gluon.HybridBlock):
    """The net that response normalisation takes from 13 % to 11 %. Input: (N, 3, 24, 24); output: (N, 10), no softmax.

    fast: response normalisation for training on a CPU.
    """

    def __init__(self, net: numbers.LocalLayers, fast: bool = False, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        side = _pooled(_pooled(net.input_size, net), net)
        pooling = {"pool_size": net.pool_size, "strides": net.pool_stride, "ceil_mode": True}
        with self.name_scope():
            self.conv1 = _convolution("conv1", net.layer1, 3)
            self.norm1 = _normalization(net, net.layer1, fast)
            self.pool1 = nn.MaxPool2D(**pooling)
            self.conv2 = _convolution("conv2", net.layer2, net.layer1.maps)
            self.norm2 = _normalization(net, net.layer2, fast)
            self.pool2 = nn.MaxPool2D(**pooling)
            self.local3 = LocallyConnected(net.local3, net.layer2.maps, side, side, prefix="local3_")
            self.local4 = LocallyConnected(net.local4, net.local3.maps, side, side, prefix="local4_")
            self.output = _output(net.local4.maps * side**2, net.output_deviation)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # 3×24×24
        x = F.relu(self.conv1(x))  # 64×24×24
        if self.norm1 is not None:
            x = self.norm1(x)
        x = F.relu(self.conv2(self.pool1(x)))  # 64×12×12
        if self.norm2 is not None:
            x = self.norm2(x)
        x = F.relu(self.local3(self.pool2(x)))  # 32×6×6
        x = F.relu(self.local4(x))  # 32×6×6
        return self.output(x)  # 10


def decays(net: numbers.LocalLayers) -> dict[str, float]:
    """Weight decay of each layer of :class:`LocalNet`, by its name."""
    layers = {"conv1": net.layer1, "conv2": net.layer2, "local3": net.local3, "local4": net.local4}
    return {**{name: layer.decay for name, layer in layers.items()}, "output": net.output_decay}


def _pooled(side: int, net: Any) -> int:
    return -(-(side - net.pool_size) // net.pool_stride) + 1


def _convolution(name: str, layer: numbers.Convolution, maps_below: int) -> Any:
    return nn.Conv2D(
        layer.maps,
        layer.size,
        padding=layer.size // 2,
        in_channels=maps_below,
        weight_initializer=mx.init.Normal(layer.deviation),
        prefix=f"{name}_",
    )


def _normalization(net: Any, layer: Any, fast: bool) -> Any:
    return (
        ResponseNormalization(net.normalization, 1, layer.maps, fast, pooled_next=True) if net.normalization else None
    )


def _output(inputs: int, deviation: float) -> Any:
    return nn.Dense(CLASSES, in_units=inputs, weight_initializer=mx.init.Normal(deviation), prefix="output_")
