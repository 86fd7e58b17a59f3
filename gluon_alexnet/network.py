"""AlexNet (Krizhevsky, Sutskever, Hinton, NIPS 2012, Sec. 3.5 and Fig. 2), eight layers in reading order.

Each segment is written once. ``columns`` is how many of the network's columns a block holds: all of them
in :class:`AlexNet`, on one device, as convolutions in groups; one in each part of
:class:`gluon_alexnet.columns.ColumnParallel`. Shapes at the end of a line are of one image in the paper's net.
"""

from __future__ import annotations

from . import recipe
from .backend import mx
from .layers import Dropout, ResponseNormalization

nn = mx.gluon.nn


class LowerLayers(mx.gluon.HybridBlock):
    """Layers 1 and 2: each column sees the image and then only itself."""

    def __init__(self, network: recipe.Network, columns: int, **kwargs):
        super().__init__(prefix="", **kwargs)
        self._border = network.conv1.border
        held = columns / network.columns
        with self.name_scope():
            self.conv1 = _convolution("conv1", network.conv1, 3, columns, held)
            self.norm1 = ResponseNormalization(network.normalization, columns, int(network.conv1.kernels * held))
            self.pool1 = nn.MaxPool2D(network.pooling.size, network.pooling.stride)
            self.conv2 = _convolution("conv2", network.conv2, int(network.conv1.kernels * held), columns, held)
            self.norm2 = ResponseNormalization(network.normalization, columns, int(network.conv2.kernels * held))
            self.pool2 = nn.MaxPool2D(network.pooling.size, network.pooling.stride)

    def hybrid_forward(self, F, x):  # 3×224×224
        before, after = self._border
        x = F.pad(x, mode="constant", constant_value=0, pad_width=(0, 0, 0, 0, before, after, before, after))
        x = F.relu(self.conv1(x))  # 96×55×55
        x = self.pool1(self.norm1(x))  # 96×27×27
        x = F.relu(self.conv2(x))  # 256×27×27
        return self.pool2(self.norm2(x))  # 256×13×13


class UpperLayers(mx.gluon.HybridBlock):
    """Layers 3 to 5: layer 3 reads every column, layers 4 and 5 their own."""

    def __init__(self, network: recipe.Network, columns: int, **kwargs):
        super().__init__(prefix="", **kwargs)
        held = columns / network.columns
        with self.name_scope():
            self.conv3 = _convolution("conv3", network.conv3, network.conv2.kernels, columns, held)
            self.conv4 = _convolution("conv4", network.conv4, int(network.conv3.kernels * held), columns, held)
            self.conv5 = _convolution("conv5", network.conv5, int(network.conv4.kernels * held), columns, held)
            self.pool5 = nn.MaxPool2D(network.pooling.size, network.pooling.stride)

    def hybrid_forward(self, F, x):  # 256×13×13, both columns
        x = F.relu(self.conv3(x))  # 384×13×13
        x = F.relu(self.conv4(x))  # 384×13×13
        x = F.relu(self.conv5(x))  # 256×13×13
        return F.flatten(self.pool5(x))  # 256×6×6 = 9216


class Hidden(mx.gluon.HybridBlock):
    """Layer 6 or 7: fully connected to every column, ReLU, dropout (Sec. 4.2)."""

    def __init__(self, name: str, network: recipe.Network, inputs: int, columns: int, **kwargs):
        super().__init__(prefix="", **kwargs)
        layer = getattr(network, name)
        with self.name_scope():
            self.dense = nn.Dense(
                layer.neurons * columns // network.columns,
                in_units=inputs,
                weight_initializer=mx.init.Normal(layer.weight_deviation),
                bias_initializer=mx.init.Constant(layer.bias),
                prefix=f"{name}_",
            )
            self.dropout = Dropout(network.dropout)

    def hybrid_forward(self, F, x):
        return self.dropout(F.relu(self.dense(x)))


class AlexNet(mx.gluon.HybridBlock):
    """The whole network on one device.

    network: its numbers; ``network.columns == 2`` is the paper's net, with convolutions in two groups.
    classes: outputs of layer 8. Input: (N, 3, 224, 224), RGB grey levels with the mean subtracted.
    Output: (N, classes), before the softmax.
    """

    def __init__(self, network: recipe.Network, classes: int, **kwargs):
        super().__init__(prefix="", **kwargs)
        columns = network.columns
        with self.name_scope():
            self.lower = LowerLayers(network, columns)
            self.upper = UpperLayers(network, columns)
            self.fc6 = Hidden("fc6", network, upper_outputs(network), columns)
            self.fc7 = Hidden("fc7", network, network.fc6.neurons, columns)
            self.fc8 = output_layer(network, classes)

    def hybrid_forward(self, F, x):
        x = self.upper(self.lower(x))  # 9216
        x = self.fc7(self.fc6(x))  # 4096
        return self.fc8(x)  # 1000


def output_layer(network: recipe.Network, classes: int):
    """Layer 8: one output a class, read by the softmax."""
    return nn.Dense(
        classes,
        in_units=network.fc7.neurons,
        weight_initializer=mx.init.Normal(network.fc8_weight_deviation),
        bias_initializer=mx.init.Constant(network.fc8_bias),
        prefix="fc8_",
    )


def upper_outputs(network: recipe.Network) -> int:
    """Outputs of layer 5 after pooling, all columns: 256·6·6 = 9216 in the paper's net."""
    size = _convolved(network.input_size, network.conv1)
    size = _convolved(_pooled(size, network.pooling), network.conv2)
    size = _convolved(_pooled(size, network.pooling), network.conv3)
    size = _pooled(_convolved(_convolved(size, network.conv4), network.conv5), network.pooling)
    return network.conv5.kernels * size * size


def initial_parameters(network: recipe.Network, classes: int, seed: int) -> dict:
    """Parameters before training (Sec. 5) by name, on cpu(0): the same for a seed, whatever the placement."""
    mx.random.seed(seed)
    net = AlexNet(network, classes)
    net.initialize(ctx=mx.cpu())
    return {name: parameter.data() for name, parameter in net.collect_params().items()}


def set_parameters(block, values: dict) -> None:
    """Give each parameter of an initialized block the value of its name. Raises KeyError for a missing one."""
    for name, parameter in block.collect_params().items():
        parameter.set_data(values[name])


def _convolution(name, layer, inputs, columns, held):
    return nn.Conv2D(
        int(layer.kernels * held),
        layer.size,
        layer.stride,
        # Borders that differ between sides are padded before the convolution.
        layer.border[0] if layer.border[0] == layer.border[1] else 0,
        groups=1 if layer.both_columns else columns,
        in_channels=inputs,
        weight_initializer=mx.init.Normal(layer.weight_deviation),
        bias_initializer=mx.init.Constant(layer.bias),
        prefix=f"{name}_",
    )


def _convolved(size, layer):
    return (size + sum(layer.border) - layer.size) // layer.stride + 1


def _pooled(size, pooling):
    return (size - pooling.size) // pooling.stride + 1
