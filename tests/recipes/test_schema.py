"""The numbers are those of the paper, and those out of range are refused."""

import dataclasses

import numpy as np
import pytest

from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.model.shapes import parameter_count
from gluon_alexnet.recipes import presets, schema
from gluon_alexnet.recipes.timetable import Change


def test_the_paper_s_numbers():
    learning, network = presets.PAPER.learning, presets.PAPER.network
    assert (learning.batch_size, learning.momentum, learning.weight_decay) == (128, 0.9, 0.0005)
    assert learning.learning_rate == 0.01
    assert (learning.rate_divisor, learning.rate_drops, learning.epochs) == (10, 3, 90)
    normalization = network.normalization
    assert (normalization.k, normalization.n, normalization.alpha, normalization.beta) == (2, 5, 1e-4, 0.75)
    assert not normalization.alpha_divided_by_n
    assert (network.pooling.size, network.pooling.stride, network.dropout) == (3, 2, 0.5)
    layers = [network.conv1, network.conv2, network.conv3, network.conv4, network.conv5]
    assert [(layer.kernels, layer.size, layer.stride) for layer in layers] == [
        (96, 11, 4),
        (256, 5, 1),
        (384, 3, 1),
        (384, 3, 1),
        (256, 3, 1),
    ]
    assert [layer.bias for layer in layers] == [0, 1, 0, 1, 1]
    assert [layer.both_columns for layer in layers] == [True, False, True, False, False]
    assert presets.PAPER.augmentation.colour_std == 0.1


def test_the_narrow_net_is_an_eighth_of_the_paper_s():
    paper, narrow = presets.PAPER.network, presets.NARROW.network
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5"):
        assert getattr(narrow, name).kernels * 8 == getattr(paper, name).kernels
    assert narrow.fc6.neurons * 8 == paper.fc6.neurons
    assert narrow.fc7.neurons * 8 == paper.fc7.neurons


def test_one_weird_trick_is_torchvision_s_net():
    network = presets.RECIPES["one-weird-trick"].network
    # 61,100,840 is the number that torchvision's page of models prints.
    assert sum(parameter_count(network, 1000).values()) == 61_100_840
    assert [layer.kernels for _, layer in network.convolutions()] == [64, 192, 384, 256, 256]
    np.testing.assert_allclose(np.array(network.channel_mean) / 255, [0.485, 0.456, 0.406], rtol=1e-6)
    np.testing.assert_allclose(np.array(network.channel_std) / 255, [0.229, 0.224, 0.225], rtol=1e-6)
    with pytest.raises(InvalidRequest, match="three numbers"):
        dataclasses.replace(network, channel_mean=(1.0,))
    with pytest.raises(InvalidRequest, match="must be positive"):
        dataclasses.replace(network, channel_std=(1.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"learning_rate": float("nan")}, "positive number"),
        ({"learning_rate": float("inf")}, "positive number"),
        ({"learning_rate": 0.0}, "positive number"),
        ({"timetable": (Change(51, weight_rate=1e-3), Change(25, weight_rate=1e-4))}, "out of order"),
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_learning_out_of_range_is_refused(values, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        schema.Learning(**values)


def test_columns_must_divide_the_layers():
    with pytest.raises(InvalidRequest, match="5 columns must divide"):
        schema.Network(columns=5)
