"""The other AlexNets that people mean, as recipes to train: of Caffe, of torchvision, of a TensorFlow program.

docs/which.md compares what each does otherwise than the paper; its tables are written from these numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .schema import Augmentation, Convolution, FullyConnected, Learning, Network, Recipe, ResponseNormalization
from .timetable import Change

# Crops and mirror only; each pixel's own mean is subtracted before the crop.
_OF_CAFFE = Augmentation(colour_std=0.0, mean_before_crop=True)


def _of_caffe(biases: float, **changes: Any) -> Network:
    """Caffe's nets, from models/*/train_val.prototxt of BVLC/caffe: inputs of 227 pixels without a border.

    Its operator divides alpha by n, takes k = 1 and sums over the maps of both groups. A .prototxt counts blue first;
    for a net to train that is another order of conv1's channels, no other net.
    """
    normalization = ResponseNormalization(k=1.0, alpha_divided_by_n=True, both_columns=True)
    return Network(
        input_size=227,
        conv1=Convolution(96, 11, 4, both_columns=True),
        conv2=Convolution(256, 5, padding=(2, 2), bias=biases),
        conv4=Convolution(384, 3, padding=(1, 1), bias=biases),
        conv5=Convolution(256, 3, padding=(1, 1), bias=biases),
        fc6=FullyConnected(4096, weight_std=0.005, bias=biases),
        fc7=FullyConnected(4096, weight_std=0.005, bias=biases),
        normalization=normalization,
        inverted_dropout=True,
        **changes,
    )


# models/*/solver.prototxt: divided by 10 every 100,000 updates of 256 images, which are 20 epochs of ILSVRC-2012, until
# 450,000; biases learn twice as fast.
_LEARNING_CAFFE = Learning(
    batch_size=256,
    timetable=(
        Change(bias_rate=0.02),
        *(
            Change(20 * drops, weight_rate=10.0 ** -(2 + drops), bias_rate=2 * 10.0 ** -(2 + drops))
            for drops in range(1, 5)
        ),
    ),
    drops_on_plateau=False,
    epochs=90,
)

# "Initializing non-zero biases to 0.1 instead of 1 (found necessary for training, as initialization to 1 gave flat
# loss)", says its readme.
BVLC = Recipe("bvlc", _of_caffe(0.1), _OF_CAFFE, _LEARNING_CAFFE)
CAFFENET = Recipe("caffenet", _of_caffe(1.0, pool_before_normalization=True), _OF_CAFFE, _LEARNING_CAFFE)


def _he(inputs: int) -> float:
    """The deviation that keeps the size of activations through a ReLU (He et al. 2015): there is no normalisation."""
    return round((2 / inputs) ** 0.5, 4)


# AlexNet as torchvision and Gluon's model zoo have it: one column, no LRN (Krizhevsky, arXiv 1404.5997). The layers and
# the input are torchvision's, the initial weights He's; how it learns is the paper's way.
ONE_WEIRD_TRICK = Recipe(
    "one-weird-trick",
    network=Network(
        columns=1,
        conv1=Convolution(64, 11, 4, padding=(2, 2), both_columns=True, weight_std=_he(11 * 11 * 3)),
        conv2=Convolution(192, 5, padding=(2, 2), weight_std=_he(5 * 5 * 64)),
        conv3=Convolution(384, 3, padding=(1, 1), both_columns=True, weight_std=_he(3 * 3 * 192)),
        conv4=Convolution(256, 3, padding=(1, 1), weight_std=_he(3 * 3 * 384)),
        conv5=Convolution(256, 3, padding=(1, 1), weight_std=_he(3 * 3 * 256)),
        fc6=FullyConnected(4096, bias=0.0, weight_std=_he(256 * 6 * 6)),
        fc7=FullyConnected(4096, bias=0.0, weight_std=_he(4096)),
        normalization=None,
        dropout_before=True,
        inverted_dropout=True,
        channel_mean=(123.675, 116.28, 103.53),  # 255 times .485, .456, .406
        channel_std=(58.395, 57.12, 57.375),  # 255 times .229, .224, .225
    ),
)


def _one_column(network: Network) -> Network:
    return replace(network, columns=1)


# A TensorFlow program for CIFAR-100 and the Korean summary of the paper that it belongs to: asyncbridge/deep-learning,
# AlexNet/alex_model_cpu.py, and alex_model.py with the same numbers in two columns. As the summary tells it: one column
# as wide as both, images below 256 pixels in the middle of a frame (`pack --small centre`), and other changes of colour
# than the paper's. It names no ranges; these are the program's, taken as shares of the whole range of grey levels.
_CONTRAST = _SATURATION = (0.6, 1.4)
SUMMARY = Recipe(
    "korean-summary",
    _one_column(Network()),
    Augmentation(colour_std=0.0, brightness=0.4 * 255, contrast=_CONTRAST, saturation=_SATURATION),
)

# As the program does it: its images are grey levels, so .4 of one is what it adds. conv1 has no border (54×54), fc8
# begins with biases of 1, no mean is subtracted. Its rate would fall after 100,000 updates, and it ends after ten
# epochs: 3,520. It changes the colours of test images, too, which no recipe here does.
SUMMARY_CODE = Recipe(
    "korean-summary-code",
    replace(
        _one_column(Network()),
        conv1=Convolution(96, 11, 4, both_columns=True),
        normalization=ResponseNormalization(k=1.0, alpha=1e-3),
        fc8_bias=1.0,
        inverted_dropout=True,
        channel_mean=(0.0, 0.0, 0.0),
    ),
    Augmentation(colour_std=0.0, brightness=0.4, contrast=_CONTRAST, saturation=_SATURATION),
    Learning(epochs=10, drops_on_plateau=False),
)

OTHER_NETS = (BVLC, CAFFENET, ONE_WEIRD_TRICK, SUMMARY, SUMMARY_CODE)

SUMMARIES_OTHER_NETS = {
    "bvlc": "Caffe's BVLC AlexNet: 227 pixels, k 1, biases of 0.1, no colour shift",
    "caffenet": "Caffe's CaffeNet: the same with pooling before normalisation, and biases of 1",
    "one-weird-trick": "torchvision's and Gluon's AlexNet: one column, no LRN (arXiv 1404.5997)",
    "korean-summary": "one column; brightness, contrast and saturation instead of the colour shift",
    "korean-summary-code": "the TensorFlow program of that summary: no border, no mean, k 1, fc8 begins at 1",
}
