"""Receptive fields by hand, and by the gradient: a pixel outside changes nothing."""

import dataclasses

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.features import receptive_field
from gluon_alexnet.model import layer_chain
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import Classifier, build_classifier
from gluon_alexnet.recipes import presets


def chain_of(network, classes=7):
    return layer_chain.read(Classifier(network, classes)(mx.sym.var("data")), network.input_size)


# By hand, from Sec. 3.5: (size, stride, first pixel).
PAPER = {
    "conv1": (11, 4, 0),
    "pool1": (19, 8, 0),
    "conv2": (51, 8, -16),
    "pool2": (67, 16, -16),
    "conv3": (99, 16, -32),
    "relu4": (131, 16, -48),
    "conv5": (163, 16, -64),
    "pool5": (195, 32, -64),
}


def test_the_paper_s_net_by_hand():
    layers = chain_of(presets.PAPER.network)
    for name, (size, stride, start) in PAPER.items():
        assert receptive_field.of_layer(layers, name) == (size, stride, start, start), name
    assert receptive_field.of_layer(layers, "conv5").box(2, 12) == (-32, 128, 131, 291)
    assert receptive_field.of_layer(layers, "fc6") is None
    assert receptive_field.of_layer(layers, "dropout7") is None
    with pytest.raises(KeyError):
        receptive_field.of_layer(layers, "conv9")


@pytest.mark.parametrize("recipe", ["paper", "as-run"])
@pytest.mark.parametrize(
    ("name", "place"), [("conv1", (3, 7)), ("pool1", (4, 2)), ("pool2", (1, 2)), ("conv4", (2, 1))]
)
def test_what_lies_outside_changes_nothing(small_recipe, rng, recipe, name, place):
    network = small_recipe.network
    if recipe == "as-run":
        norms = {key: getattr(presets.AS_RUN.network, key) for key in ("normalization", "map_normalization")}
        network = dataclasses.replace(network, relu_before_normalization=False, **norms)
    parameters = initial_parameters(network, 7, seed=1)
    parameters["mean"] = mx.nd.zeros((3, 99, 99))
    symbol = build_classifier(network, parameters, mx.cpu())(mx.sym.var("data"))
    layers = layer_chain.read(symbol, 99)
    inside = symbol.get_internals()[next(layer.output for layer in layers if layer.name == name)]
    values = {key: parameters[key] for key in inside.list_arguments() if key in parameters}
    values["mean"] = mx.nd.zeros((1, 3, 99, 99))

    def maps(image):
        return inside.bind(mx.cpu(), {**values, "data": mx.nd.array(image)}).forward()[0].asnumpy()[0]

    image = rng.uniform(0, 255, (1, 3, 99, 99))
    top, left, bottom, right = receptive_field.of_layer(layers, name).box(*place)
    rows, columns = slice(max(top, 0), max(bottom, 0)), slice(max(left, 0), max(right, 0))
    outside, within = rng.uniform(0, 255, image.shape), image.copy()
    outside[:, :, rows, columns] = image[:, :, rows, columns]
    within[:, :, rows, columns] = rng.uniform(0, 255, within[:, :, rows, columns].shape)
    neuron = (slice(None), *place)
    np.testing.assert_allclose(maps(outside)[neuron], maps(image)[neuron], rtol=1e-4, atol=1e-4)
    assert np.abs(maps(within)[neuron] - maps(image)[neuron]).max() > 1e-2
    for edge in (max(top, 0), min(bottom, 99) - 1):  # each border line counts: the box is no larger than needed
        line = image.copy()
        line[:, :, edge, columns] += 3000
        assert np.abs(maps(line)[neuron] - maps(image)[neuron]).max() > 1e-6, edge
