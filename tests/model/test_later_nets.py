"""What the nets after the paper's have: colours divided by their deviation, dropout before fc6 and fc7, inverted."""

import dataclasses

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.model.alexnet import AlexNet, initial_parameters, set_parameters

STD = (50.0, 60.0, 40.0)


def net_of(network, parameters):
    net = AlexNet(network, 3)
    net.initialize()
    set_parameters(net, parameters)
    return net


@pytest.mark.parametrize("hybrid", [False, True])
def test_each_colour_is_divided_by_its_own(small_recipe, rng, hybrid):
    parameters = initial_parameters(small_recipe.network, 3, seed=1)
    x = rng.normal(0, 50, (2, 3, 99, 99)).astype(np.float32)
    net = net_of(dataclasses.replace(small_recipe.network, channel_std=STD), parameters)
    if hybrid:
        net.hybridize()
    plain = net_of(small_recipe.network, parameters)
    divided = x / np.array(STD, np.float32).reshape(3, 1, 1)
    np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), plain(mx.nd.array(divided)).asnumpy(), rtol=1e-5)


@pytest.mark.parametrize("before", [False, True])
def test_dropout_lies_before_or_behind_a_layer(small_recipe, rng, before):
    network = dataclasses.replace(small_recipe.network, dropout=0.5, dropout_before=before, inverted_dropout=True)
    net = net_of(network, initial_parameters(network, 3, seed=1))
    x = mx.nd.array(rng.uniform(0.5, 1, (64, net.fc6.dense.weight.shape[1])))
    net.fc6.dense.bias.set_data(mx.nd.full(20, 100))  # no neuron of the layer is silent by itself
    with mx.autograd.record(train_mode=True):
        given = net.fc6(x).asnumpy()
    zeros = (given == 0).mean()
    assert zeros == 0 if before else 0.3 < zeros < 0.7
    assert len(np.unique(given.round(3), axis=0)) == 64  # and each image has a mask of its own
    sums = x.asnumpy() @ net.fc6.dense.weight.data().asnumpy().T + 100
    np.testing.assert_allclose(net.fc6(x).asnumpy(), np.maximum(sums, 0), rtol=1e-5)  # in test nothing is scaled
