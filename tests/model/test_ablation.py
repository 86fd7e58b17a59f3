"""A net without a part is the net whose activations of that part are zero."""

import dataclasses

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.model.ablation import without_column, without_normalization
from gluon_alexnet.model.alexnet import AlexNet, initial_parameters, set_parameters
from gluon_alexnet.recipes import schema


def outputs(network, parameters, data):
    net = AlexNet(network, parameters["fc8_bias"].shape[0])
    net.initialize()
    set_parameters(net, parameters)
    return net(data).asnumpy()


def networks(network):
    """The small net, and others in which the columns meet at other layers."""
    sixth = dataclasses.replace(network.conv5, both_columns=True)
    return {
        "paper": network,
        "six-conv": dataclasses.replace(network, conv6=sixth),
        "no-cross-link": dataclasses.replace(network, conv3=dataclasses.replace(network.conv3, both_columns=False)),
        "without-conv3": dataclasses.replace(network, conv3=None),
    }


@pytest.mark.parametrize("name", ["paper", "six-conv", "no-cross-link", "without-conv3"])
@pytest.mark.parametrize("column", [0, 1])
def test_without_a_column(small_recipe, rng, name, column):
    network = networks(small_recipe.network)[name]
    parameters = initial_parameters(network, 5, seed=1)
    data = mx.nd.array(rng.normal(0, 50, (2, 3, 99, 99)))
    # ReLU(0·x + 0) = 0: weights and biases of zero make a column silent.
    silent = {}
    for key, value in parameters.items():
        array = value.asnumpy().copy()
        if not key.startswith("fc8"):
            share = len(array) // 2
            array[column * share : (column + 1) * share] = 0
        silent[key] = mx.nd.array(array)
    smaller, left = without_column(network, parameters, column)
    assert smaller.columns == 1
    assert sum(array.size for array in left.values()) < 0.6 * sum(array.size for array in parameters.values())
    found, expected = outputs(smaller, left, data), outputs(network, silent, data)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert np.abs(found - outputs(network, parameters, data)).max() > 1e-3 * np.abs(expected).max()


def test_the_only_column_stays(small_recipe):
    smaller, left = without_column(small_recipe.network, initial_parameters(small_recipe.network, 5, seed=1), 0)
    for network, column in ((smaller, 0), (small_recipe.network, 2), (small_recipe.network, -1)):
        with pytest.raises(ValueError, match="cannot be left out"):
            without_column(network, left, column)


def test_without_normalization_both_kinds_are_gone(small_recipe):
    network = dataclasses.replace(small_recipe.network, map_normalization=schema.MapNormalization())
    bare = without_normalization(network)
    assert (bare.normalization, bare.map_normalization) == (None, None)
    assert (
        dataclasses.replace(bare, normalization=network.normalization, map_normalization=network.map_normalization)
        == network
    )
