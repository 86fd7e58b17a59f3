"""What the page shows of a net's inside, against NumPy and against the other ways to the same numbers."""

import dataclasses

import numpy as np
import pytest
from helpers.images import photo

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import network_order
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.features.activations import of_classifier
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier, classify_with
from gluon_alexnet.recipes import schema
from gluon_alexnet.serving.microscope import NETS_KEPT, NetMicroscope

NOTHING = frozenset()
SIZE = 99


def arrays(network):
    """Initial parameters, and a mean."""
    return {**initial_parameters(network, 5, seed=3), "mean": mx.nd.array(np.full((3, SIZE, SIZE), 120))}


def half(network, parameters, column):
    """What is left where a column is silent, as a net of its own: the other column's layers, without inputs from it."""

    def share(array, axis):
        size = array.shape[axis] // 2
        return array.slice_axis(axis=axis, begin=(1 - column) * size, end=(2 - column) * size)

    changes, left, reads_all = {"columns": 1}, dict(parameters), {"fc8"}
    for name, layer in network.convolutions():
        changes[name] = dataclasses.replace(layer, kernels=layer.kernels // 2)
        reads_all |= {name} if layer.both_columns and name != "conv1" else set()
    for name, layer in network.hidden():
        changes[name] = dataclasses.replace(layer, neurons=layer.neurons // 2)
        reads_all.add(name)
    for name in [key.removesuffix("_weight") for key in parameters if key.endswith("_weight")]:
        weight, bias = parameters[f"{name}_weight"], parameters[f"{name}_bias"]
        weight, bias = (weight, bias) if name == "fc8" else (share(weight, 0), share(bias, 0))
        left |= {f"{name}_weight": share(weight, 1) if name in reads_all else weight, f"{name}_bias": bias}
    return dataclasses.replace(network, **changes), left


@pytest.fixture(scope="module")
def networks(small_recipe):
    """The small net, and others in which the columns meet at other layers, or that normalise otherwise."""
    network = small_recipe.network
    as_run = {"relu_before_normalization": False, "map_normalization": schema.MapNormalization(alpha=0.1)}
    return {
        "paper": network,
        "as-run": dataclasses.replace(network, **as_run),
        "six-conv": dataclasses.replace(network, conv6=dataclasses.replace(network.conv5, both_columns=True)),
        "no-cross-link": dataclasses.replace(network, conv3=dataclasses.replace(network.conv3, both_columns=False)),
        "without-conv3": dataclasses.replace(network, conv3=None),
        "tanh": dataclasses.replace(network, activation="tanh"),
    }


@pytest.fixture(scope="module")
def view():
    return photo(5, SIZE, SIZE)


def microscope_of(network):
    return NetMicroscope(build_classifier(network, arrays(network), mx.cpu()), SIZE, mx.cpu())


def test_layers_have_the_shapes_of_the_net(networks, view):
    microscope = microscope_of(networks["paper"])
    shapes = {name: maps.shape for name, maps in microscope.activations(view, NOTHING).items()}
    assert shapes == {
        "conv1": (8, 23, 23), "conv2": (12, 11, 11), "conv3": (16, 5, 5), "conv4": (16, 5, 5), "conv5": (12, 5, 5),
        "fc6": (20, 1, 1), "fc7": (20, 1, 1),
    }  # fmt: skip
    assert microscope.columns == 2
    assert microscope.switches == ["normalization", "column1", "column2"]
    assert microscope.reads_all == {"conv1", "conv3", "fc6", "fc7"}
    one = microscope_of(half(networks["paper"], arrays(networks["paper"]), 0)[0])
    assert (one.columns, one.switches) == (1, ["normalization"])
    assert microscope_of(dataclasses.replace(networks["paper"], normalization=None)).switches == ["column1", "column2"]


def test_conv1_by_hand(networks, view):
    """A neuron of layer 1: its window of the image, the mean subtracted, times its kernel; ReLU."""
    microscope, parameters = microscope_of(networks["paper"]), arrays(networks["paper"])
    maps = microscope.activations(view, NOTHING)["conv1"]
    pixels = network_order(view[None])[0] - 120
    kernels, biases = parameters["conv1_weight"].asnumpy(), parameters["conv1_bias"].asnumpy()
    for kernel, y, x in ((0, 0, 0), (3, 10, 7), (7, 22, 5), (5, 4, 22)):
        window = pixels[:, 4 * y : 4 * y + 11, 4 * x : 4 * x + 11]
        weights = kernels[kernel][:, : window.shape[1], : window.shape[2]]  # beyond the image are zeros
        expected = max(0, (window * weights).sum() + biases[kernel])
        np.testing.assert_allclose(maps[kernel, y, x], expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(microscope.kernels(), kernels)


def test_fc7_is_what_near_images_are_found_by(networks, view):
    network = networks["paper"]
    classifier = build_classifier(network, arrays(network), mx.cpu())
    expected = of_classifier(classifier, network, mx.cpu()).activations(view[None])[0]
    found = NetMicroscope(classifier, SIZE, mx.cpu()).activations(view, NOTHING)["fc7"][:, 0, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["paper", "as-run", "six-conv", "no-cross-link", "without-conv3", "tanh"])
@pytest.mark.parametrize("column", [0, 1])
def test_without_a_column_the_rest_is_half_a_net(networks, view, name, column):
    network = networks[name]
    microscope, parameters = microscope_of(network), arrays(network)
    without = frozenset({f"column{column + 1}"})
    rest = build_classifier(*half(network, parameters, column), mx.cpu())
    expected = classify_with(rest, mx.cpu())(view[None])
    found = microscope.classify(view[None], without)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(found - microscope.classify(view[None], NOTHING)).max() > 1e-4
    whole, less = microscope.activations(view, NOTHING), microscope.activations(view, without)
    theirs = NetMicroscope(rest, SIZE, mx.cpu()).activations(view, NOTHING)
    for layer, maps in less.items():
        share = len(maps) // 2
        own, other = (slice(k * share, (k + 1) * share) for k in (column, 1 - column))
        assert (maps[own] == 0).all()
        assert (whole[layer][own] != 0).any()
        np.testing.assert_allclose(maps[other], theirs[layer], rtol=1e-4, atol=1e-4 * np.abs(theirs[layer]).max())


@pytest.mark.parametrize("name", ["paper", "as-run"])
def test_without_normalization_it_is_the_net_that_never_had_any(networks, view, name):
    network = networks[name]
    microscope = microscope_of(network)
    bare = dataclasses.replace(network, normalization=None, map_normalization=None)
    expected = classify_with(build_classifier(bare, arrays(network), mx.cpu()), mx.cpu())(view[None])
    found = microscope.classify(view[None], frozenset({"normalization"}))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.abs(found - microscope.classify(view[None], NOTHING)).max() > 1e-4


def test_nets_that_are_not_asked_for_any_more_are_let_go(networks, view):
    microscope = microscope_of(networks["paper"])
    answers = {}
    for _ in range(2):
        for without in ((), ("column1",), ("column2",), ("normalization",), ("normalization", "column1")):
            found = microscope.classify(view[None], frozenset(without))
            np.testing.assert_array_equal(found, answers.setdefault(without, found))
            assert len(microscope._nets) <= NETS_KEPT
    assert len({answer.tobytes() for answer in answers.values()}) == 5


def test_what_is_no_chain_of_layers_is_refused(networks):
    class Twice(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return F.softmax(F.sin(x).flatten() + F.cos(x).flatten())

    with pytest.raises(InvalidRequest):
        NetMicroscope(Twice(), SIZE, mx.cpu())
