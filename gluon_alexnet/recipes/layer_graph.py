"""A net as a graph of layers, as cuda-convnet's layer files describe one: what is computed, with every number.

The layers are those of the 2012 code (`layer.py` and `src/layer.cu` of computerhistory/AlexNet-Source-Code), whose net
#145 is the paper's. Nothing here computes: sizes are in `model/graph_shapes.py`, the net in `model/layer_graph.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from ..errors import InvalidRequest as InvalidRequest

# Functions of a value x, and how many numbers they take.
NEURONS = {
    "ident": 0,  # x
    "logistic": 0,  # 1 / (1 + exp(-x))
    "abs": 0,
    "relu": 0,  # max(0, x)
    "softrelu": 0,  # log(1 + exp(x))
    "square": 0,
    "sqrt": 0,
    "tanh": 2,  # a tanh(b x)
    "brelu": 1,  # min(a, max(0, x))
    "linear": 2,  # a x + b
    "drelu": 1,  # x - a tanh(x / a)
}


@dataclass(frozen=True)
class Layer:
    """What every layer has."""

    kind: ClassVar[str] = ""  # the 2012 code's name of its type

    name: str
    inputs: tuple[str, ...]  # names of layers; a layer comes after those it reads
    device: int  # place in the list of devices it computes on, from 0
    neuron: str  # function of its output, such as "relu" or "tanh[1.7,0.67]"; "" is the output itself


@dataclass(frozen=True)
class Filters:
    """How a convolution reads one of its inputs."""

    channels: int  # maps of the input
    size: int  # height and width, pixels
    stride: int  # pixels
    padding: int  # zeros around the input, pixels; more of them on the right and below where the last window overruns
    groups: int  # groups of maps that read different channels
    # Channels that a group reads, chosen at random when training begins; None: its own share of them, in order.
    sparse_channels: Optional[int]
    weight_std: float  # standard deviation of the initial weights


@dataclass(frozen=True)
class WeightLayer(Layer):
    """A layer with weights for each input, and biases."""

    bias: float  # initial

    @property
    def weight_stds(self) -> tuple[float, ...]:
        """Standard deviation of the initial weights of each input."""
        raise NotImplementedError


@dataclass(frozen=True)
class Filtering(WeightLayer):
    """The sum of what filters make of each input, and a bias."""

    maps: int  # outputs, of all groups together
    filters: tuple[Filters, ...]  # one an input

    @property
    def weight_stds(self) -> tuple[float, ...]:
        """Standard deviation of the initial weights of each input."""
        return tuple(filters.weight_std for filters in self.filters)


@dataclass(frozen=True)
class Convolution(Filtering):
    """The sum of one convolution for each input, and a bias; sizes round up."""

    kind: ClassVar[str] = "conv"
    shared_biases: bool  # one bias a map, or one for each place of each map


@dataclass(frozen=True)
class Local(Filtering):
    """A convolution whose filters and biases differ from place to place."""

    kind: ClassVar[str] = "local"


@dataclass(frozen=True)
class FullyConnected(WeightLayer):
    """The sum of one matrix product for each input, and a bias."""

    kind: ClassVar[str] = "fc"
    outputs: int
    weight_std: tuple[float, ...]  # standard deviation of the initial weights, one an input

    @property
    def weight_stds(self) -> tuple[float, ...]:
        """Standard deviation of the initial weights of each input."""
        return self.weight_std


@dataclass(frozen=True)
class Pooling(Layer):
    """The largest value, or the mean, of a square; a window that overruns the map takes what it holds."""

    kind: ClassVar[str] = "pool"
    channels: int
    pool: str  # "max" or "avg"
    size: int  # pixels
    stride: int  # pixels
    start: int  # where the first window begins; negative: before the map, pixels
    outputs: int  # height and width of the output; 0: as many as it takes to see the whole map


@dataclass(frozen=True)
class CrossMapNormalization(Layer):
    """x / (minimum + scale / size * sum x^2) ^ power over neighbouring maps (Sec. 3.3)."""

    kind: ClassVar[str] = "cmrnorm"
    channels: int
    size: int  # maps in the sum
    scale: float
    power: float
    minimum: float  # the file's minDiv; the paper's k


@dataclass(frozen=True)
class MapNormalization(Layer):
    """x / (1 + scale / size^2 * sum x^2) ^ power over a square of the same map, zeros beyond it."""

    kind: ClassVar[str] = "rnorm"
    channels: int
    size: int  # pixels
    scale: float
    power: float


@dataclass(frozen=True)
class ContrastNormalization(MapNormalization):
    """The same, with the sum over differences from the mean of each square; the gradient takes that mean as fixed."""

    kind: ClassVar[str] = "cnorm"


@dataclass(frozen=True)
class Blur(Layer):
    """A Gaussian blur, zeros beyond the map."""

    kind: ClassVar[str] = "blur"
    channels: int
    size: int  # pixels the Gaussian is cut to
    std: float  # pixels


@dataclass(frozen=True)
class Nailbed(Layer):
    """Every so many pixels, one."""

    kind: ClassVar[str] = "nailbed"
    channels: int
    stride: int  # pixels


@dataclass(frozen=True)
class Reflection(Layer):
    """The mirror image."""

    kind: ClassVar[str] = "href"
    channels: int


@dataclass(frozen=True)
class Concatenation(Layer):
    """The inputs one after the other."""

    kind: ClassVar[str] = "concat"


@dataclass(frozen=True)
class Sum(Layer):
    """The weighted sum of inputs of one size."""

    kind: ClassVar[str] = "eltsum"
    coefficients: tuple[float, ...]


@dataclass(frozen=True)
class Maximum(Layer):
    """The largest of inputs of one size."""

    kind: ClassVar[str] = "eltmax"


@dataclass(frozen=True)
class Dropout(Layer):
    """A 0/1 mask in training, outputs times ``keep`` in test (Sec. 4.2); not enabled: times ``keep`` always."""

    kind: ClassVar[str] = "hs"
    keep: float  # probability that a value stays
    enabled: bool


@dataclass(frozen=True)
class Neurons(Layer):
    """A layer that is its neuron alone."""

    kind: ClassVar[str] = "neuron"


@dataclass(frozen=True)
class Cost:
    """What training makes small, and the layer whose output is the net's.

    "cost.logreg": minus the log of the softmax of the label's output. Of elementwise costs, where t is 1 for the label
    and 0 for the other outputs y: "cost.crossent2", -t log y - (1 - t) log(1 - y) of the logistic function y;
    "cost.rflickr", log(1 + (y - t)^2); "cost.sum2", (target * t + output * y)^2.
    """

    kind: str
    layer: str
    coefficient: float = 1.0
    target: float = -1.0
    output: float = 1.0


KINDS = {
    cls.kind: cls
    for cls in (
        Convolution,
        Local,
        FullyConnected,
        Pooling,
        CrossMapNormalization,
        MapNormalization,
        ContrastNormalization,
        Blur,
        Nailbed,
        Reflection,
        Concatenation,
        Sum,
        Maximum,
        Dropout,
        Neurons,
    )
}


@dataclass(frozen=True)
class LayerGraph:
    """The whole net. It has no name that is not in its files."""

    source: str  # name of the layer file
    input_size: int  # height and width of the image, pixels; 3 channels
    image: str  # name of the layer that is the image
    layers: tuple[Layer, ...]  # each after those it reads; the image and the labels are none of them
    cost: Cost

    @property
    def devices(self) -> int:
        """On how many devices the file places its layers."""
        return 1 + max(layer.device for layer in self.layers)

    # As the paper's net: devices it is made for, and the data's mean image subtracted.
    columns = devices
    channel_mean = None
    channel_std = None

    def layer(self, name: str) -> Layer:
        """The layer of that name. Raises KeyError where there is none."""
        return {layer.name: layer for layer in self.layers}[name]


def neuron_parts(text: str) -> tuple[str, tuple[float, ...]]:
    """Name and numbers of a neuron such as "tanh[1.7,0.67]". Raises InvalidRequest where there is no such neuron."""
    name, bracket, rest = text.replace(" ", "").partition("[")
    try:
        if bracket and not rest.endswith("]"):
            raise ValueError
        numbers = tuple(float(number) for number in rest[:-1].split(",")) if bracket else ()
        if len(numbers) != NEURONS[name] or not all(map(math.isfinite, numbers)):
            raise ValueError
        if name == "drelu" and numbers[0] == 0:
            raise ValueError
    except (KeyError, ValueError) as error:
        known = (name + "[a]" * (count == 1) + "[a,b]" * (count == 2) for name, count in NEURONS.items())
        raise InvalidRequest(f"There is no neuron {text!r}; there are {', '.join(known)}.") from error
    return name, numbers


def to_dict(graph: LayerGraph) -> dict:
    """The graph as plain dicts, lists and numbers, for recipe.json."""
    content = dataclasses.asdict(graph)
    content["layers"] = [{"kind": layer.kind, **fields} for layer, fields in zip(graph.layers, content["layers"])]
    return content


def layer_from_dict(content: dict, build: Callable[[type, dict], Any]) -> Layer:
    """The layer that :func:`to_dict` wrote. build(cls, content): the dataclass with fields of the right types."""
    fields = dict(content)
    kind = fields.pop("kind", None)
    if kind not in KINDS:
        raise InvalidRequest(f"There is no layer type {kind!r}; there are {', '.join(KINDS)}.")
    return build(KINDS[kind], fields)
