"""The one-weird-trick AlexNet of another program's weights as a graph of ours, and a second opinion on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..backend import mx
from ..data.augmentation import colour_mean, network_order
from ..model.classifier import build_classifier, build_convolutional_part
from ..recipes import schema
from ..recipes.other_nets import ONE_WEIRD_TRICK
from .one_weird_trick import Found

_UP_TO_POOL5 = 8  # layers of the model zoo's net: five convolutions, three poolings


def network_of(found: Found) -> schema.Network:
    """The recipe's network with the file's widths of fc6 and fc7."""
    network, (fc6, fc7) = ONE_WEIRD_TRICK.alexnet, found.widths
    return replace(network, fc6=replace(network.fc6, neurons=fc6), fc7=replace(network.fc7, neurons=fc7))


def build(found: Found, weights: Mapping[str, np.ndarray], context: Any) -> Any:
    """The classifier with these weights, or the convolutional part where there are no others, hybridized.

    weights: as :func:`gluon_alexnet.importers.one_weird_trick.read_weights` gives them. What the source does to an
    image (/255, mean and standard deviation of each colour) is in the graph: it takes RGB grey levels, 0 to 255.
    """
    network = network_of(found)
    arrays = {**weights, "mean": colour_mean(network)}
    parameters = {name: mx.nd.array(array, ctx=context) for name, array in arrays.items()}
    return (build_classifier if found.classifies else build_convolutional_part)(network, parameters, context)


def by_model_zoo(weights: Mapping[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """What the layers of Gluon's own model zoo give with these weights: probabilities, or pool5 (N, 256, 6, 6).

    images: uint8 (N, 224, 224, 3). The input's preprocessing and the fully connected layers are NumPy's, so nothing of
    our graph is in it.
    """
    numbers = network_order(images) / 255
    mean, std = (np.array(three).reshape(3, 1, 1) for three in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    layers = mx.gluon.model_zoo.vision.alexnet().features[:_UP_TO_POOL5]
    layers.initialize()
    x = mx.nd.array((numbers - mean) / std)
    layers(x[:1])  # the parameters get their shapes
    learned = [layer for layer in layers if isinstance(layer, mx.gluon.nn.Conv2D)]
    for number, layer in enumerate(learned, 1):
        layer.weight.set_data(mx.nd.array(weights[f"conv{number}_weight"]))
        layer.bias.set_data(mx.nd.array(weights[f"conv{number}_bias"]))
    pool5 = layers(x).asnumpy()
    if "fc8_weight" not in weights:
        return pool5
    hidden = pool5.reshape(len(images), -1)
    for layer in ("fc6", "fc7"):
        hidden = np.maximum(hidden @ weights[f"{layer}_weight"].T + weights[f"{layer}_bias"], 0)
    outputs = hidden @ weights["fc8_weight"].T + weights["fc8_bias"]
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
