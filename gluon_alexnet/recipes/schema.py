"""Every number of the paper, once (Krizhevsky, Sutskever, Hinton, NIPS 2012; sections are its own).

A recipe is a frozen description: what network, how it learns, what it sees. Nothing here computes.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from typing import Optional

from ..errors import InvalidRequest
from . import timetable
from .graph_updates import Update
from .layer_graph import LayerGraph
from .timetable import Change


def require(condition: bool, sentence: str, owner: object) -> None:
    """Raise InvalidRequest, naming the class of ``owner``, unless the condition holds."""
    if not condition:
        raise InvalidRequest(f"{type(owner).__name__}: {sentence}.")


@dataclass(frozen=True)
class Convolution:
    """A convolutional layer (Sec. 3.5)."""

    kernels: int  # of all columns together
    size: int  # height and width of a kernel, pixels
    stride: int = 1  # pixels between neighbouring neurons
    padding: tuple[int, int] = (0, 0)  # zeros added (left and top, right and bottom), pixels
    both_columns: bool = False  # reads the maps of every column, or those of its own only
    weight_std: float = 0.01  # standard deviation of the initial weights, mean 0 (Sec. 5)
    bias: float = 0.0  # initial bias (Sec. 5)

    def __post_init__(self) -> None:
        require(
            self.kernels > 0 and self.size > 0 and self.stride > 0, "kernels, size and stride must be positive", self
        )
        require(len(self.padding) == 2 and min(self.padding) >= 0, "padding must be two numbers, 0 or more", self)
        require(self.weight_std > 0, "weight_std must be positive", self)


@dataclass(frozen=True)
class FullyConnected:
    """A hidden fully-connected layer (Sec. 3.5)."""

    neurons: int  # of all columns together
    weight_std: float = 0.01  # standard deviation of the initial weights (Sec. 5)
    bias: float = 1.0  # initial bias of the hidden layers (Sec. 5)
    both_columns: bool = True  # reads every column, or its own only, as in net #150 of the 2012 code

    def __post_init__(self) -> None:
        require(self.neurons > 0, "neurons must be positive", self)
        require(self.weight_std > 0, "weight_std must be positive", self)


@dataclass(frozen=True)
class ResponseNormalization:
    """Local response normalisation, b = a / (k + alpha * sum a^2)^beta (Sec. 3.3)."""

    k: float = 2.0
    n: int = 5  # neighbouring maps in the sum, the map itself included
    alpha: float = 1e-4
    beta: float = 0.75
    alpha_divided_by_n: bool = False  # True in the 2012 code; the paper prints alpha undivided
    # The sum runs over the maps of every column, as printed ("the total number of kernels in the layer") and in Caffe;
    # or of its own only, as in the 2012 code.
    both_columns: bool = False

    def __post_init__(self) -> None:
        require(self.n > 0 and self.n % 2 == 1, "n must be odd and positive", self)
        require(self.k > 0 and self.alpha >= 0, "k must be positive and alpha not negative", self)


@dataclass(frozen=True)
class MapNormalization:
    """Normalisation over neighbours in the same map, x / (1 + alpha / size^2 * sum x^2)^beta; the 2012 code's only."""

    size: int = 5  # height and width of the window, pixels; zeros beyond the border
    alpha: float = 1e-3
    beta: float = 0.75

    def __post_init__(self) -> None:
        require(self.size > 0 and self.size % 2 == 1, "size must be odd and positive", self)
        require(self.alpha >= 0, "alpha must not be negative", self)


@dataclass(frozen=True)
class Pooling:
    """Overlapping max-pooling (Sec. 3.4)."""

    size: int = 3  # z, pixels
    stride: int = 2  # s, pixels
    round_up: bool = False  # a last window that overruns the maps takes what it holds, as in the 2012 code

    def __post_init__(self) -> None:
        require(self.size > 0 and self.stride > 0, "size and stride must be positive", self)


@dataclass(frozen=True)
class Network:
    """The layers (Sec. 3.5, Fig. 2), eight in the paper's net. The number of classes belongs to the data set."""

    columns: int = 2  # GPUs the kernels are spread over (Sec. 3.2)
    input_size: int = 224  # height and width of the input, pixels
    # 224 gives 55 only if the last window overruns the image: by 3 pixels right and bottom in the 2012 code.
    conv1: Convolution = Convolution(kernels=96, size=11, stride=4, padding=(0, 3), both_columns=True)
    conv2: Convolution = Convolution(kernels=256, size=5, padding=(2, 2), bias=1.0)
    # None leaves a layer out (Sec. 7).
    conv3: Optional[Convolution] = Convolution(kernels=384, size=3, padding=(1, 1), both_columns=True)
    conv4: Optional[Convolution] = Convolution(kernels=384, size=3, padding=(1, 1), bias=1.0)
    conv5: Optional[Convolution] = Convolution(kernels=256, size=3, padding=(1, 1), bias=1.0)
    conv6: Optional[Convolution] = None  # the sixth layer of CNN*, on top of the last pooling (Sec. 6)
    fc6: FullyConnected = FullyConnected(neurons=4096)
    fc7: FullyConnected = FullyConnected(neurons=4096)
    bottleneck: Optional[FullyConnected] = None  # a linear layer between fc7 and fc8, as in net #146 for 21,843 classes
    fc8_weight_std: float = 0.01  # Sec. 5
    fc8_bias: float = 0.0  # Sec. 5
    activation: str = "relu"  # or "tanh" (Sec. 3.1)
    normalization: Optional[ResponseNormalization] = ResponseNormalization()  # after layers 1 and 2
    relu_before_normalization: bool = True  # in layer 1; the 2012 code has conv, LRN, pool, ReLU there
    pool_before_normalization: bool = False  # in layers 1 and 2, as in CaffeNet
    map_normalization: Optional[MapNormalization] = None  # in layer 2, after LRN
    normalization5: bool = False  # response normalisation after layer 5, too, then pooling, then ReLU: net #149
    pooling: Pooling = Pooling()  # after layers 1, 2 and 5
    dropout: float = 0.5  # probability that a hidden neuron of fc6, fc7 is set to zero (Sec. 4.2)
    # Where "One weird trick" and its descendants differ; the paper's net has none of the four.
    dropout_before: bool = False  # what fc6 and fc7 read is dropped, instead of what they give
    inverted_dropout: bool = False  # kept outputs are divided by 1 - dropout in training; as they are in test
    channel_mean: Optional[tuple[float, ...]] = None  # RGB grey levels, subtracted in place of the data's mean image
    channel_std: Optional[tuple[float, ...]] = None  # RGB grey levels that each colour is divided by after that

    def __post_init__(self) -> None:
        require(self.columns > 0, "columns must be positive", self)
        require(0 <= self.dropout < 1, "dropout must be 0 or more and below 1", self)
        for name in ("channel_mean", "channel_std"):
            numbers = getattr(self, name)
            require(numbers is None or len(numbers) == 3, f"{name} must be three numbers, red, green and blue", self)
        require(self.channel_std is None or min(self.channel_std) > 0, "channel_std must be positive", self)
        require(self.activation in ("relu", "tanh"), f"activation must be relu or tanh, not {self.activation!r}", self)
        require(not self.normalization5 or self.normalization is not None, "there is no normalisation to repeat", self)
        joined = self.normalization is not None and self.normalization.both_columns
        require(not (self.normalization5 and joined), "normalisation after layer 5 is of its own column", self)
        shared = [layer.kernels for _, layer in self.convolutions()] + [layer.neurons for _, layer in self.hidden()]
        require(not any(n % self.columns for n in shared), f"{self.columns} columns must divide each layer", self)

    @property
    def devices(self) -> int:
        """On how many devices a net can be spread: one per column."""
        return self.columns

    def convolutions(self) -> list[tuple[str, Convolution]]:
        """The convolutional layers there are, with their names, from the first to the last."""
        layers = [(name, getattr(self, name)) for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6")]
        return [(name, layer) for name, layer in layers if layer is not None]

    def hidden(self) -> list[tuple[str, FullyConnected]]:
        """The fully-connected layers below layer 8, with their names, from the first to the last."""
        layers = [(name, getattr(self, name)) for name in ("fc6", "fc7", "bottleneck")]
        return [(name, layer) for name, layer in layers if layer is not None]


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image (Sec. 4.1). Its crop is the network's input size."""

    random_crops: bool = True  # crops from anywhere; False: the one in the middle, as in the centre view of a test
    mirror: bool = True  # horizontal reflection with probability 1/2
    colour_std: float = 0.1  # standard deviation of alpha, the factors of the colour shift
    colour_divisor: float = 1.0  # what a shifted image is divided by: 1.1 in the 2012 code
    shared_crops: int = 1  # neighbours in the pack that share a crop and a mirror: 32 in the 2012 code
    colour_by_eigenvalue: bool = False  # the shift is alpha times the eigenvalue, as printed, not its square root
    # Each pixel's own mean is subtracted, before the crop, as printed; not the mean image's centre from every crop.
    mean_before_crop: bool = False
    # What other nets do instead of the colour shift; the paper's does none of the three. Each number is drawn evenly.
    brightness: float = 0.0  # up to so many grey levels are added to the whole crop, or taken away
    contrast: tuple[float, float] = (1.0, 1.0)  # least and largest factor of the distances from each colour's mean
    saturation: tuple[float, float] = (1.0, 1.0)  # least and largest factor of a pixel's saturation

    def __post_init__(self) -> None:
        require(self.colour_std >= 0, "colour_std must not be negative", self)
        require(self.colour_divisor > 0, "colour_divisor must be positive", self)
        require(self.shared_crops > 0, "shared_crops must be positive", self)
        require(0 <= self.brightness < float("inf"), "brightness must be 0 or more grey levels", self)
        for name in ("contrast", "saturation"):
            ends = getattr(self, name)
            correct = len(ends) == 2 and 0 <= ends[0] <= ends[1] < float("inf")
            require(correct, f"{name} must be two factors, 0 or more, the smaller first", self)


@dataclass(frozen=True)
class Learning:
    """Stochastic gradient descent (Sec. 5): v <- momentum v - decay rate w - rate g; w <- w + v."""

    batch_size: int = 128  # images
    momentum: float = 0.9
    weight_decay: float = 0.0005  # of weights; biases do not decay
    learning_rate: float = 0.01  # initial learning rate of all layers' weights
    # "An equal learning rate for all layers", weights and biases alike, is so till this list says otherwise.
    timetable: tuple[Change, ...] = ()
    drops_on_plateau: bool = True  # whether the rate drops when the validation error stalls, too
    rate_divisor: float = 10.0  # what the rate is divided by when it drops
    rate_drops: int = 3  # times the rate drops on a plateau before the end
    # "when the validation error rate stopped improving": the paper gives no number; these epochs are ours.
    patience: int = 5
    epochs: int = 90  # roughly, says the paper
    # The pack's order in every epoch, so that a batch always holds the same images, as in the 2012 code; or a new one.
    same_batches: bool = False
    # Of a net from cuda-convnet's files, in place of the numbers above: how each parameter is updated.
    updates: tuple[Update, ...] = ()
    # Updates after which a loss that is still at chance is a stalled start; BVLC/caffe#401 saw it in 3 runs of 8.
    stalled_after: int = 2000
    # Several workers' gradients: as they are, or in two bits, as minus the threshold, nothing, or the threshold.
    compress: str = "none"  # or "2bit"
    compress_threshold: float = 0.5  # MXNet's own; of a gradient summed over a worker's images

    def __post_init__(self) -> None:
        require(self.batch_size > 0, "batch_size must be positive", self)
        require(0 <= self.momentum < 1, "momentum must be 0 or more and below 1", self)
        require(self.weight_decay >= 0, "weight_decay must not be negative", self)
        require(0 < self.learning_rate < float("inf"), "learning_rate must be a positive number", self)
        require(self.rate_divisor > 1, "rate_divisor must be above 1", self)
        timetable.check(self.timetable)
        require(self.rate_drops >= 0 and self.patience > 0, "rate_drops and patience must not be negative", self)
        require(self.epochs > 0, "epochs must be positive", self)
        require(self.stalled_after > 0, "stalled_after must be positive", self)
        require(self.compress in ("none", "2bit"), "compress must be none or 2bit", self)
        require(0 < self.compress_threshold < float("inf"), "compress_threshold must be a positive number", self)


Net = typing.Union[Network, LayerGraph]  # the paper's net in one of its forms, or any net of cuda-convnet's


@dataclass(frozen=True)
class Recipe:
    """All numbers of one way to train."""

    name: str
    network: Net = field(default_factory=Network)
    augmentation: Augmentation = field(default_factory=Augmentation)
    learning: Learning = field(default_factory=Learning)
    variants: tuple[str, ...] = ()  # names of the changes of variants.py made to it

    def __post_init__(self) -> None:
        own = self.augmentation.mean_before_crop and self.network.channel_mean is not None
        require(not own, "there is no mean of each pixel where the net subtracts one of each colour", self)

    @property
    def alexnet(self) -> Network:
        """The network, where it is the paper's in one of its forms. Raises InvalidRequest where it is a layer graph."""
        if isinstance(self.network, LayerGraph):
            raise InvalidRequest(
                f"{self.name} is a net of a layer file ({self.network.source}), not one of the paper's."
            )
        return self.network
