"""BVLC AlexNet and CaffeNet as Caffe describes them: a deploy prototxt, read and checked.

The nets are those of BVLC/caffe, models/bvlc_alexnet and models/bvlc_reference_caffenet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from google.protobuf import text_format

from ...errors import InvalidRequest
from ...safe_files import read_text
from .schema import TYPES, NetParameter

# Where the two nets differ: what follows the ReLU of layers 1 and 2.
ORDERS = {"BVLC AlexNet": ("LRN", "Pooling"), "CaffeNet": ("Pooling", "LRN")}

# What the layers with weights are called here, whatever the file calls them.
NAMES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")

MAX_PROTOTXT = 2**20
_IMAGE = 256  # the views are cut from images of this size

# Settings that must be as Caffe has them by default: another value means another computation.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "convolution_param": {"bias_term": True, "axis": 1, "dilation": 1},
    "dropout_param": {"scale_train": True},
    "inner_product_param": {"bias_term": True, "axis": 1, "transpose": False},
    "lrn_param": {"norm_region": 0},
    "pooling_param": {"pool": 0, "global_pooling": False},
    "relu_param": {"negative_slope": 0.0},
    "softmax_param": {"axis": 1},
}


@dataclass(frozen=True)
class Convolution:
    """kernels of size×size over zeros of ``padding`` pixels on each side, in ``groups``; then ReLU."""

    name: str
    kernels: int
    size: int
    stride: int
    padding: int
    groups: int


@dataclass(frozen=True)
class Normalization:
    """Across maps: a / (k + alpha/n · Σ a²)^beta."""

    n: int
    alpha: float
    beta: float
    k: float


@dataclass(frozen=True)
class Pooling:
    """Maximum over size×size; the last window may reach beyond the border."""

    size: int
    stride: int


@dataclass(frozen=True)
class FullyConnected:
    """``neurons`` that read everything below; ReLU follows unless it is the last."""

    name: str
    neurons: int


Layer = Union[Convolution, Normalization, Pooling, FullyConnected]


@dataclass(frozen=True)
class Architecture:
    """A net of the family.

    family: which of ORDERS. size: height and width of its input, pixels. layers: without ReLU, dropout and softmax.
    shapes: of each weight and bias, by our names such as conv1_weight. names: Caffe's name of a layer → ours.
    """

    family: str
    size: int
    layers: tuple[Layer, ...]
    shapes: dict[str, tuple[int, ...]]
    names: dict[str, str]

    @property
    def classes(self) -> int:
        """Outputs of the last layer."""
        return self.shapes["fc8_bias"][0]


def read_architecture(prototxt: Path) -> Architecture:
    """The net that a deploy prototxt describes.

    Raises InvalidRequest for what is no net of the family, naming the layer.
    """
    net = _parse_text(prototxt)
    layers = list(net.layer) or list(net.layers)
    size, below = _input(prototxt, net, layers)
    for layer in layers:
        _check_defaults(prototxt, layer)
    chain = [
        layer for layer in _chain(prototxt, layers, below) if layer_type(layer) != "Dropout"
    ]  # identity after training
    family, expected = _closest([layer_type(layer) for layer in chain])
    for place in range(max(len(expected), len(chain))):
        here = layer_type(chain[place]) if place < len(chain) else "the end"
        there = expected[place] if place < len(expected) else "the end"
        if here != there:
            name = f"layer {chain[place].name!r} ({here})" if place < len(chain) else "the end"
            raise InvalidRequest(
                f"{prototxt}: {name} comes where {family} has {there}; BVLC AlexNet and CaffeNet can be imported, from "
                "the deploy.prototxt."
            )
    described = [_described(prototxt, layer) for layer in chain if layer_type(layer) not in ("ReLU", "Softmax")]
    learned = [layer for layer in described if isinstance(layer, (Convolution, FullyConnected))]
    names = dict(zip((layer.name for layer in learned), NAMES))
    if len(names) != len(NAMES):
        raise InvalidRequest(f"{prototxt}: layers with weights need names of their own.")
    return Architecture(family, size, tuple(described), _shapes(prototxt, described, size, names), names)


def _parse_text(prototxt: Path) -> Any:
    if prototxt.stat().st_size > MAX_PROTOTXT:
        raise InvalidRequest(f"{prototxt} is too long for a prototxt; the caffemodel comes after it.")
    net = NetParameter()
    try:
        text_format.Parse(read_text(prototxt), net, allow_unknown_field=True)
    except (text_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"{prototxt} is no prototxt: {str(error).splitlines()[0]}") from error
    return net


def layer_type(layer: Any) -> str:
    """A layer's type, by its later name; bytes that are no UTF-8 come as bytes."""
    if not isinstance(layer.type, int):
        return str(layer.type)
    name = layer.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[layer.type].name
    return TYPES.get(name, name)


def _input(prototxt: Path, net: Any, layers: list[Any]) -> tuple[int, str]:
    """(height and width of the input, its name); an Input layer is taken off the list."""
    if layers and layer_type(layers[0]) == "Input":
        first = layers.pop(0)
        names, shapes = list(first.top), [tuple(shape.dim) for shape in first.input_param.shape]
    else:
        names, shapes = list(net.input), [tuple(shape.dim) for shape in net.input_shape] or [tuple(net.input_dim)]
    if len(names) != 1 or len(shapes) != 1:
        raise InvalidRequest(f"{prototxt} does not say what its input is; give the deploy.prototxt of the net.")
    shape = shapes[0]
    if len(shape) != 4 or shape[1] != 3 or shape[2] != shape[3] or not 0 < shape[2] <= _IMAGE:
        raise InvalidRequest(
            f"{prototxt}: the input is {times(shape)}; it must be N×3×S×S, where S is at most {_IMAGE} pixels."
        )
    return shape[2], names[0]


def _chain(prototxt: Path, layers: list[Any], below: str) -> list[Any]:
    for layer in layers:
        if list(layer.bottom) != [below] or len(layer.top) != 1:
            raise InvalidRequest(
                f"{prototxt}: layer {layer.name!r} ({layer_type(layer)}) does not go on from {below!r} alone; BVLC "
                "AlexNet and CaffeNet are a chain of layers."
            )
        below = layer.top[0]
    return layers


def _closest(types: Sequence[str]) -> tuple[str, list[str]]:
    """(family, its layer types) of the family that has more layers in common from the first on."""

    def expected(order: Sequence[str]) -> list[str]:
        conv = ["Convolution", "ReLU"]
        return [
            *conv,
            *order,
            *conv,
            *order,
            *conv * 3,
            "Pooling",
            *["InnerProduct", "ReLU"] * 2,
            "InnerProduct",
            "Softmax",
        ]

    def common(family: str) -> int:
        pairs = list(zip(types, expected(ORDERS[family])))
        return next((place for place, (ours, theirs) in enumerate(pairs) if ours != theirs), len(pairs))

    family = max(ORDERS, key=common)
    return family, expected(ORDERS[family])


def _check_defaults(prototxt: Path, layer: Any) -> None:
    for parameter, defaults in _DEFAULTS.items():
        for field, value in defaults.items() if layer.HasField(parameter) else ():
            given = getattr(getattr(layer, parameter), field)
            values = given if hasattr(given, "__len__") else [given]
            present = bool(values) if values is given else getattr(layer, parameter).HasField(field)
            if present and any(one != value for one in values):
                raise InvalidRequest(
                    f"{prototxt}: layer {layer.name!r}: {field} is set, to what BVLC AlexNet and CaffeNet do not have."
                )


def _described(prototxt: Path, layer: Any) -> Layer:
    where = f"{prototxt}: layer {layer.name!r}"
    kind = layer_type(layer)
    if kind == "Convolution":
        numbers = layer.convolution_param
        kernels, groups = numbers.num_output, numbers.group if numbers.HasField("group") else 1
        size, stride, padding = (
            _square(where, numbers, "kernel"),
            _square(where, numbers, "stride"),
            _square(where, numbers, "pad"),
        )
        if kernels < 1 or groups < 1 or kernels % groups:
            raise InvalidRequest(f"{where}: {kernels} kernels in {groups} groups cannot be.")
        return Convolution(str(layer.name), kernels, size, stride, padding, groups)
    if kind == "LRN":
        numbers = layer.lrn_param
        n = numbers.local_size if numbers.HasField("local_size") else 5
        alpha, beta, k = (
            getattr(numbers, field) if numbers.HasField(field) else default
            for field, default in (("alpha", 1.0), ("beta", 0.75), ("k", 1.0))
        )
        if n < 1 or n % 2 == 0 or n > 99 or not (k > 0 and alpha >= 0 and all(map(math.isfinite, (alpha, beta, k)))):
            raise InvalidRequest(
                f"{where}: local_size {n}, alpha {alpha:g}, beta {beta:g}, k {k:g} are no normalisation."
            )
        return Normalization(n, alpha, beta, k)
    if kind == "Pooling":
        numbers = layer.pooling_param
        if _square(where, numbers, "pad"):
            raise InvalidRequest(f"{where}: the pooling of BVLC AlexNet and CaffeNet has no pad.")
        return Pooling(_square(where, numbers, "kernel"), _square(where, numbers, "stride"))
    if layer.inner_product_param.num_output < 1:
        raise InvalidRequest(f"{where}: num_output is missing.")
    return FullyConnected(str(layer.name), layer.inner_product_param.num_output)


def _square(where: str, numbers: Any, what: str) -> int:
    """Kernel size, stride or pad, the same in both directions, whichever way it is written."""
    field, default = {"kernel": ("kernel_size", None), "stride": ("stride", 1), "pad": ("pad", 0)}[what]
    repeated = getattr(numbers, field)
    sides = [getattr(numbers, f"{what}_{side}") for side in "hw" if numbers.HasField(f"{what}_{side}")]
    values = {*(repeated if hasattr(repeated, "__len__") else [repeated]), *sides} or {default}
    value = values.pop()
    if values or value is None or not (0 if what == "pad" else 1) <= value <= _IMAGE:
        raise InvalidRequest(f"{where}: {field} must be one number for both directions, up to {_IMAGE}.")
    return value


def _shapes(prototxt: Path, layers: Sequence[Layer], size: int, names: dict[str, str]) -> dict[str, tuple[int, ...]]:
    """Shape of each weight and bias, by our name; the sizes of the maps are followed through the net."""
    shapes: dict[str, tuple[int, ...]] = {}
    maps, inputs = 3, None
    for layer in layers:
        if isinstance(layer, Convolution):
            if maps % layer.groups:
                raise InvalidRequest(
                    f"{prototxt}: layer {layer.name!r} cannot read {maps} maps in {layer.groups} groups."
                )
            shapes[f"{names[layer.name]}_weight"] = (layer.kernels, maps // layer.groups, layer.size, layer.size)
            shapes[f"{names[layer.name]}_bias"] = (layer.kernels,)
            size, maps = (size + 2 * layer.padding - layer.size) // layer.stride + 1, layer.kernels
        elif isinstance(layer, Pooling):
            size = -(-(size - layer.size) // layer.stride) + 1
        elif isinstance(layer, FullyConnected):
            inputs = maps * size * size if inputs is None else inputs
            shapes[f"{names[layer.name]}_weight"] = (layer.neurons, inputs)
            shapes[f"{names[layer.name]}_bias"] = (layer.neurons,)
            inputs = layer.neurons
        if size < 1:
            raise InvalidRequest(f"{prototxt}: the image is too small for its layers.")
    return shapes


def times(shape: Sequence[int]) -> str:
    """A shape in words."""
    return "×".join(map(str, shape)) or "without a shape"
