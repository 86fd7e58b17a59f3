"""Every number of the paper, once (Krizhevsky, Sutskever, Hinton, NIPS 2012; sections are its own).

A recipe is a frozen description: what network, how it learns, what it sees. Nothing here computes.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field

from .errors import WrongUse


def _require(condition, sentence, owner):
    if not condition:
        raise WrongUse(f"{type(owner).__name__}: {sentence}.")


@dataclass(frozen=True)
class Convolution:
    """A convolutional layer (Sec. 3.5)."""

    kernels: int  # of all columns together
    size: int  # height and width of a kernel, pixels
    stride: int = 1  # pixels between neighbouring neurons
    border: tuple[int, int] = (0, 0)  # zeros added (left and top, right and bottom), pixels
    both_columns: bool = False  # reads the maps of every column, or those of its own only
    weight_deviation: float = 0.01  # standard deviation of the initial weights, mean 0 (Sec. 5)
    bias: float = 0.0  # initial bias (Sec. 5)

    def __post_init__(self):
        _require(
            self.kernels > 0 and self.size > 0 and self.stride > 0, "kernels, size and stride must be positive", self
        )
        _require(len(self.border) == 2 and min(self.border) >= 0, "border must be two numbers, 0 or more", self)
        _require(self.weight_deviation > 0, "weight_deviation must be positive", self)


@dataclass(frozen=True)
class FullyConnected:
    """A hidden fully-connected layer; it reads every column (Sec. 3.5)."""

    neurons: int  # of all columns together
    weight_deviation: float = 0.01  # standard deviation of the initial weights (Sec. 5)
    bias: float = 1.0  # initial bias of the hidden layers (Sec. 5)

    def __post_init__(self):
        _require(self.neurons > 0, "neurons must be positive", self)
        _require(self.weight_deviation > 0, "weight_deviation must be positive", self)


@dataclass(frozen=True)
class ResponseNormalization:
    """Local response normalisation, b = a / (k + alpha * sum a^2)^beta (Sec. 3.3)."""

    k: float = 2.0
    n: int = 5  # neighbouring maps in the sum, the map itself included
    alpha: float = 1e-4
    beta: float = 0.75
    alpha_divided_by_n: bool = False  # True in the 2012 code; the paper prints alpha undivided

    def __post_init__(self):
        _require(self.n > 0 and self.n % 2 == 1, "n must be odd and positive", self)
        _require(self.k > 0 and self.alpha >= 0, "k must be positive and alpha not negative", self)


@dataclass(frozen=True)
class Pooling:
    """Overlapping max-pooling (Sec. 3.4)."""

    size: int = 3  # z, pixels
    stride: int = 2  # s, pixels

    def __post_init__(self):
        _require(self.size > 0 and self.stride > 0, "size and stride must be positive", self)


@dataclass(frozen=True)
class Network:
    """The eight layers (Sec. 3.5, Fig. 2). The number of classes belongs to the data set."""

    columns: int = 2  # GPUs the kernels are spread over (Sec. 3.2)
    input_size: int = 224  # height and width of the input, pixels
    # 224 gives 55 only if the last window overruns the image: by 3 pixels right and bottom in the 2012 code.
    conv1: Convolution = Convolution(kernels=96, size=11, stride=4, border=(0, 3), both_columns=True)
    conv2: Convolution = Convolution(kernels=256, size=5, border=(2, 2), bias=1.0)
    conv3: Convolution = Convolution(kernels=384, size=3, border=(1, 1), both_columns=True)
    conv4: Convolution = Convolution(kernels=384, size=3, border=(1, 1), bias=1.0)
    conv5: Convolution = Convolution(kernels=256, size=3, border=(1, 1), bias=1.0)
    fc6: FullyConnected = FullyConnected(neurons=4096)
    fc7: FullyConnected = FullyConnected(neurons=4096)
    fc8_weight_deviation: float = 0.01  # Sec. 5
    fc8_bias: float = 0.0  # Sec. 5
    normalization: ResponseNormalization = ResponseNormalization()  # after layers 1 and 2
    pooling: Pooling = Pooling()  # after layers 1, 2 and 5
    dropout: float = 0.5  # probability that a hidden neuron of fc6, fc7 is set to zero (Sec. 4.2)

    def __post_init__(self):
        _require(self.columns > 0, "columns must be positive", self)
        _require(0 <= self.dropout < 1, "dropout must be 0 or more and below 1", self)
        shared = [self.conv1.kernels, self.conv2.kernels, self.conv3.kernels, self.conv4.kernels, self.conv5.kernels]
        shared += [self.fc6.neurons, self.fc7.neurons]
        _require(not any(n % self.columns for n in shared), f"{self.columns} columns must divide each layer", self)


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training picture (Sec. 4.1). Its crop is the network's input size."""

    mirror: bool = True  # horizontal reflection with probability 1/2
    colour_deviation: float = 0.1  # standard deviation of alpha, the factors of the colour shift

    def __post_init__(self):
        _require(self.colour_deviation >= 0, "colour_deviation must not be negative", self)


@dataclass(frozen=True)
class Learning:
    """Stochastic gradient descent (Sec. 5): v <- momentum v - decay rate w - rate g; w <- w + v."""

    batch_size: int = 128  # images
    momentum: float = 0.9
    weight_decay: float = 0.0005  # of weights; biases do not decay
    rate: float = 0.01  # initial learning rate, all layers
    rate_divisor: float = 10.0  # what the rate is divided by when it drops
    rate_steps: tuple[int, ...] = ()  # epochs after which the rate drops, by hand; empty: on a plateau
    rate_drops: int = 3  # times the rate drops on a plateau before the end
    # "when the validation error rate stopped improving": the paper gives no number; these epochs are ours.
    patience: int = 5
    epochs: int = 90  # roughly, says the paper

    def __post_init__(self):
        _require(self.batch_size > 0, "batch_size must be positive", self)
        _require(0 <= self.momentum < 1, "momentum must be 0 or more and below 1", self)
        _require(self.weight_decay >= 0, "weight_decay must not be negative", self)
        _require(0 < self.rate < float("inf"), "rate must be a positive number", self)
        _require(self.rate_divisor > 1, "rate_divisor must be above 1", self)
        _require(all(step > 0 for step in self.rate_steps), "rate_steps must be epochs, 1 or more", self)
        rising = all(a < b for a, b in zip(self.rate_steps, self.rate_steps[1:]))
        _require(rising, f"rate_steps must rise from step to step, not {','.join(map(str, self.rate_steps))}", self)
        _require(self.rate_drops >= 0 and self.patience > 0, "rate_drops and patience must not be negative", self)
        _require(self.epochs > 0, "epochs must be positive", self)


@dataclass(frozen=True)
class Recipe:
    """All numbers of one way to train."""

    name: str
    network: Network = field(default_factory=Network)
    augmentation: Augmentation = field(default_factory=Augmentation)
    learning: Learning = field(default_factory=Learning)


PAPER = Recipe("paper")

# An eighth of every layer, for demonstrations on a CPU. The initial deviations grow by about the
# square root of 8, because a neuron has 8 times fewer inputs; in conv1 it has as many as ever.
_NARROW_DEVIATION = 0.03

NARROW = Recipe(
    "narrow",
    network=Network(
        conv1=Convolution(kernels=12, size=11, stride=4, border=(0, 3), both_columns=True),
        conv2=Convolution(kernels=32, size=5, border=(2, 2), bias=1.0, weight_deviation=_NARROW_DEVIATION),
        conv3=Convolution(kernels=48, size=3, border=(1, 1), both_columns=True, weight_deviation=_NARROW_DEVIATION),
        conv4=Convolution(kernels=48, size=3, border=(1, 1), bias=1.0, weight_deviation=_NARROW_DEVIATION),
        conv5=Convolution(kernels=32, size=3, border=(1, 1), bias=1.0, weight_deviation=_NARROW_DEVIATION),
        fc6=FullyConnected(neurons=512, weight_deviation=_NARROW_DEVIATION),
        fc7=FullyConnected(neurons=512, weight_deviation=_NARROW_DEVIATION),
        fc8_weight_deviation=_NARROW_DEVIATION,
    ),
    learning=Learning(batch_size=32, epochs=10),
)

RECIPES = {recipe.name: recipe for recipe in (PAPER, NARROW)}


@dataclass(frozen=True)
class PublishedResult:
    """A row of the paper's tables, in per cent error; None where the paper has no number."""

    net: str
    year: int  # of ILSVRC
    split: str
    top1: float | None
    top5: float | None
    source: str


# Sec. 6, Tables 1 and 2: ten views. The centre view's row is the 2012 code's own diary (net #145).
PUBLISHED_RESULTS = (
    PublishedResult("1 CNN, 10 views", 2010, "test", 37.5, 17.0, "paper, Table 1"),
    PublishedResult("1 CNN, centre view", 2010, "test", 39.02, 18.30, "diary of the 2012 code"),
    PublishedResult("1 CNN, 10 views", 2012, "val", 40.7, 18.2, "paper, Table 2"),
)


def to_dict(recipe: Recipe) -> dict:
    """The recipe as plain dicts, lists and numbers, for recipe.json."""
    return dataclasses.asdict(recipe)


def from_dict(content: dict) -> Recipe:
    """The recipe that :func:`to_dict` wrote. Raises WrongUse where a field is missing, unknown or out of range."""
    return _build(Recipe, content, "recipe")


def _build(cls, content, where):
    if not isinstance(content, dict):
        raise WrongUse(f"{where} must be an object with the fields of a {cls.__name__}.")
    types = typing.get_type_hints(cls)
    unknown, absent = sorted(set(content) - set(types)), sorted(set(types) - set(content))
    if unknown or absent:
        raise WrongUse(
            f"{where}: "
            + "; ".join(f"{word} {names}" for word, names in (("unknown", unknown), ("missing", absent)) if names)
        )
    values = {name: _value(types[name], value, f"{where}.{name}") for name, value in content.items()}
    return cls(**values)


def _value(kind, value, where):
    if dataclasses.is_dataclass(kind):
        return _build(kind, value, where)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, int) for v in value):
            raise WrongUse(f"{where} must be a list of whole numbers, not {value!r}.")
        return tuple(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise WrongUse(f"{where} must be of type {kind.__name__}, not {value!r}.")
    return value
