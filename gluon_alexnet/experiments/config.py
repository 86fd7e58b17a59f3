"""The numbers of the paper's small experiments on CIFAR-10 (NIPS 2012, Sec. 3.1 and 3.3), once.

The paper names results and few numbers. Layers, initial weights, rates and decay are those of the layer files of
cuda-convnet, to which its Sec. 3.3 refers; what neither says is marked as ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from ..recipes.schema import Augmentation, ResponseNormalization


@dataclass(frozen=True)
class Convolution:
    """A convolutional or locally connected layer; zeros around its input keep height and width."""

    maps: int
    size: int  # height and width of a kernel, pixels
    deviation: float  # standard deviation of the initial weights, mean 0; biases begin at 0
    decay: float = 0.0  # weight decay; biases do not decay


@dataclass(frozen=True)
class FourLayers:
    """The net of Fig. 1: conv, max-pooling; conv, average-pooling; conv, average-pooling; fully connected."""

    input_size: int = 32  # height and width, pixels
    layer1: Convolution = Convolution(32, 5, 0.0001)
    layer2: Convolution = Convolution(32, 5, 0.01)
    layer3: Convolution = Convolution(64, 5, 0.01)
    output_deviation: float = 0.01  # of the fully-connected layer's initial weights
    pool_size: int = 3  # pixels; sizes of the pooled maps round up
    pool_stride: int = 2
    activation: str = "relu"  # or "tanh"


@dataclass(frozen=True)
class LocalLayers:
    """The net of 13 % and, with normalisation, 11 %: two convolutions, max-pooling, two locally connected layers."""

    input_size: int = 24
    layer1: Convolution = Convolution(64, 5, 0.0001)
    layer2: Convolution = Convolution(64, 5, 0.01)
    local3: Convolution = Convolution(32, 3, 0.04, decay=0.004)
    local4: Convolution = Convolution(32, 3, 0.04, decay=0.004)
    output_deviation: float = 0.01
    output_decay: float = 0.004
    pool_size: int = 3
    pool_stride: int = 2
    # After the ReLU of each convolution, before its pooling; the layer file's sum is over 1 + alpha / n.
    normalization: Optional[ResponseNormalization] = None


CIFAR_NORMALIZATION = ResponseNormalization(k=1.0, n=5, alpha=0.001, beta=0.75, alpha_divided_by_n=True)


@dataclass(frozen=True)
class Descent:
    """Stochastic gradient descent with momentum: v <- momentum v - decay rate w - rate g; w <- w + v."""

    batch_size: int = 128
    momentum: float = 0.9
    rate: float = 0.001
    bias_factor: float = 2.0  # a bias learns this much faster
    # Ours: shares of all updates after which the rate drops. The 2012 procedure ends hundreds of epochs with 10 at a
    # tenth of the rate and 10 at a hundredth.
    drops: tuple[float, ...] = ()
    drop_divisor: float = 10.0


@dataclass(frozen=True)
class FigureOne:
    """Sec. 3.1, Fig. 1: iterations to 25 % training error, without any regularisation."""

    target: float = 25.0  # training error, per cent
    faster: float = 6.0  # times that ReLU is sooner there than tanh, in the paper
    descent: Descent = field(default_factory=Descent)
    # Ours: rates to choose from, in the order they are tried, and iterations the training error is averaged over.
    relu_rates: tuple[float, ...] = (0.002, 0.001, 0.004, 0.0005)
    tanh_rates: tuple[float, ...] = (0.02, 0.01, 0.04)
    window: int = 100
    epochs: int = 60  # limit of a training
    seeds: int = 3


@dataclass(frozen=True)
class NormalizationTest:
    """Sec. 3.3: test error with and without response normalisation."""

    without: float = 13.0  # test error in the paper, per cent
    with_normalization: float = 11.0
    descent: Descent = field(default_factory=lambda: Descent(drops=(0.8, 0.9)))
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(mirror=True, colour_std=0.0))
    epochs: int = 20  # ours; the 2012 procedure has some 470
    seeds: int = 3


FIGURE_ONE = FigureOne()
NORMALIZATION_TEST = NormalizationTest()
