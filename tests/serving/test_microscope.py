"""What the page shows of a net's inside, against NumPy and against the other ways to the same numbers."""

import numpy as np
import pytest
from helpers.images import photo

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import network_order
from gluon_alexnet.features.activations import of_classifier
from gluon_alexnet.model.ablation import without_normalization
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier, classify_with
from gluon_alexnet.serving.microscope import NetMicroscope

NOTHING = frozenset()
SIZE = 99


@pytest.fixture(scope="module")
def parameters(small_recipe):
    return {
        **initial_parameters(small_recipe.network, 5, seed=3),
        "mean": mx.nd.array(np.full((3, SIZE, SIZE), 120)),
    }


@pytest.fixture(scope="module")
def microscope(small_recipe, parameters):
    return NetMicroscope(small_recipe.network, parameters, mx.cpu())


@pytest.fixture(scope="module")
def view():
    return photo(5, SIZE, SIZE)


def test_layers_have_the_shapes_of_the_net(microscope, view):
    shapes = {name: maps.shape for name, maps in microscope.activations(view, NOTHING).items()}
    assert shapes == {
        "conv1": (8, 23, 23), "conv2": (12, 11, 11), "conv3": (16, 5, 5), "conv4": (16, 5, 5), "conv5": (12, 5, 5),
        "fc6": (20, 1, 1), "fc7": (20, 1, 1),
    }  # fmt: skip
    assert microscope.switches == ["normalization", "column1", "column2"]
    assert microscope.reads_all >= {"conv1", "conv3", "fc6", "fc7"}


def test_conv1_by_hand(microscope, parameters, view):
    """A neuron of layer 1: its window of the image, the mean subtracted, times its kernel; ReLU."""
    maps = microscope.activations(view, NOTHING)["conv1"]
    pixels = network_order(view[None])[0] - 120
    kernels, biases = parameters["conv1_weight"].asnumpy(), parameters["conv1_bias"].asnumpy()
    for kernel, y, x in ((0, 0, 0), (3, 10, 7), (7, 22, 5), (5, 4, 22)):
        window = pixels[:, 4 * y : 4 * y + 11, 4 * x : 4 * x + 11]
        weights = kernels[kernel][:, : window.shape[1], : window.shape[2]]  # beyond the image are zeros
        expected = max(0, (window * weights).sum() + biases[kernel])
        np.testing.assert_allclose(maps[kernel, y, x], expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(microscope.kernels(), kernels)


def test_fc7_is_what_near_images_are_found_by(small_recipe, microscope, parameters, view):
    classifier = build_classifier(small_recipe.network, parameters, mx.cpu())
    expected = of_classifier(classifier, small_recipe.network, mx.cpu()).activations(view[None])[0]
    np.testing.assert_allclose(microscope.activations(view, NOTHING)["fc7"][:, 0, 0], expected, rtol=1e-5, atol=1e-5)


def test_a_column_that_is_left_out_is_zero_and_the_other_sees_less(microscope, view):
    whole = microscope.activations(view, NOTHING)
    for column in (0, 1):
        less = microscope.activations(view, frozenset({f"column{column + 1}"}))
        for name, maps in less.items():
            assert maps.shape == whole[name].shape
            share = len(maps) // 2
            own, other = (slice(k * share, (k + 1) * share) for k in (column, 1 - column))
            assert (maps[own] == 0).all()
            if name in ("conv1", "conv2"):  # the columns have not met yet
                np.testing.assert_allclose(maps[other], whole[name][other], rtol=1e-4, atol=1e-4)
        assert np.abs(less["conv3"] - whole["conv3"]).max() > 0.1


def test_without_normalization(small_recipe, microscope, parameters, view):
    bare = build_classifier(without_normalization(small_recipe.network), parameters, mx.cpu())
    expected = classify_with(bare, mx.cpu())(view[None])
    found = microscope.classify(view[None], frozenset({"normalization"}))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.abs(found - microscope.classify(view[None], NOTHING)).max() > 1e-4
    both = microscope.activations(view, frozenset({"normalization", "column2"}))
    assert (both["fc6"][10:] == 0).all()
    whole = microscope.activations(view, NOTHING)
    np.testing.assert_allclose(both["conv1"][:4], whole["conv1"][:4], rtol=1e-4, atol=1e-4)
