"""The network against the table of the paper: counts, shapes, borders, initial values (Sec. 3.5, 5)."""

import dataclasses

import numpy as np
import pytest
from helpers.paper import PARAMETERS

from gluon_alexnet.backend import mx
from gluon_alexnet.model.alexnet import AlexNet, LowerLayers, initial_parameters, set_parameters
from gluon_alexnet.model.shapes import convolution_outputs, parameter_count
from gluon_alexnet.recipes import presets, schema


@pytest.fixture(scope="module")
def parameters():
    return initial_parameters(presets.PAPER.network, 1000, seed=3)


def test_the_parameters_of_each_layer(parameters):
    counts = {name: sum(v.size for key, v in parameters.items() if key.startswith(name)) for name in PARAMETERS}
    assert counts == PARAMETERS
    assert sum(value.size for value in parameters.values()) == 60_965_224


@pytest.mark.parametrize("hybridize", [False, True])
def test_the_output_of_each_layer(parameters, hybridize):
    net = AlexNet(presets.PAPER.network, 1000)
    net.initialize()
    set_parameters(net, parameters)
    shapes = {}

    def record(name):
        return lambda block, inputs, output: shapes.__setitem__(name, output.shape[1:])

    blocks = {
        "conv1": net.lower.conv1,
        "pool1": net.lower.pool1,
        "conv2": net.lower.conv2,
        "pool2": net.lower.pool2,
        "conv3": net.upper.conv3,
        "conv4": net.upper.conv4,
        "conv5": net.upper.conv5,
        "pool5": net.upper.pool5,
        "fc6": net.fc6,
        "fc7": net.fc7,
        "fc8": net.fc8,
    }
    if hybridize:  # hooks of children do not run inside a hybridized parent
        net.hybridize()
        assert net(mx.nd.zeros((2, 3, 224, 224))).shape == (2, 1000)
        return
    for name, block in blocks.items():
        block.register_forward_hook(record(name))
    net(mx.nd.zeros((1, 3, 224, 224)))
    assert shapes == {
        "conv1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "fc6": (4096,),
        "fc7": (4096,),
        "fc8": (1000,),
    }
    assert convolution_outputs(presets.PAPER.network) == 9216


def test_the_kernels_of_layers_2_4_5_see_their_own_column_only(parameters):
    shapes = {name: parameters[f"{name}_weight"].shape for name in ("conv1", "conv2", "conv3", "conv4", "conv5")}
    assert shapes == {
        "conv1": (96, 3, 11, 11),
        "conv2": (256, 48, 5, 5),
        "conv3": (384, 256, 3, 3),
        "conv4": (384, 192, 3, 3),
        "conv5": (256, 192, 3, 3),
    }


def test_the_last_windows_of_conv1_overrun_the_image_right_and_below_only(rng):
    lower = LowerLayers(presets.PAPER.network, columns=2)
    lower.initialize(mx.init.Normal(0.01))

    class Seen(Exception):
        """Nothing above conv1 is needed: its output ends the forward pass."""

    def hook(block, inputs, output):
        raise Seen(output.asnumpy())

    lower.conv1.register_forward_hook(hook)
    image = rng.normal(0, 50, (1, 3, 224, 224)).astype(np.float32)
    with pytest.raises(Seen) as caught:
        lower(mx.nd.array(image))
    (seen,) = caught.value.args
    weight, bias = lower.conv1.weight.data().asnumpy().astype(np.float64), lower.conv1.bias.data().asnumpy()
    for row, column in ((0, 0), (0, 54), (54, 0), (54, 54), (27, 13)):
        top, left = 4 * row, 4 * column
        window = image[0, :, top : top + 11, left : left + 11].astype(np.float64)  # cut where the image ends
        kernels = weight[:, :, : window.shape[1], : window.shape[2]]
        expected = (kernels * window).sum(axis=(1, 2, 3)) + bias
        np.testing.assert_allclose(seen[0, :, row, column], expected, rtol=1e-4, atol=1e-4)
    assert 4 * 54 + 11 - 224 == 3  # the overrun, in pixels


def test_the_initial_values(parameters):
    for name, value in parameters.items():
        values = value.asnumpy().astype(np.float64).ravel()
        layer = name.split("_")[0]
        if name.endswith("_bias"):
            assert (values == (1 if layer in {"conv2", "conv4", "conv5", "fc6", "fc7"} else 0)).all(), name
            continue
        # Five standard errors of the mean and of the deviation of a normal sample.
        assert abs(values.mean()) < 5 * 0.01 / np.sqrt(values.size), name
        assert abs(values.std() - 0.01) < 5 * 0.01 / np.sqrt(2 * values.size), name
        within = (np.abs(values) < 0.01).mean()
        assert abs(within - 0.6827) < 5 * np.sqrt(0.6827 * 0.3173 / values.size), name  # normal, not uniform


def test_as_run_the_weights_of_conv3_4_5_begin_three_times_as_wide():
    narrow = {name: schema.FullyConnected(16) for name in ("fc6", "fc7")}  # those have the paper's deviation
    network = dataclasses.replace(presets.AS_RUN.alexnet, **narrow)
    for name, value in initial_parameters(network, 10, seed=2).items():
        if name.endswith("_weight"):
            expected = 0.03 if name[:5] in ("conv3", "conv4", "conv5") else 0.01
            values = value.asnumpy().astype(np.float64)
            assert abs(values.std() - expected) < 5 * expected / np.sqrt(2 * values.size), name


def test_the_small_errors_in_print():
    maps = {"conv1": (96, 55), "conv2": (256, 27), "conv3": (384, 13), "conv4": (384, 13), "conv5": (256, 13)}
    neurons = sum(kernels * side**2 for kernels, side in maps.values()) + 4096 + 4096 + 1000
    assert (maps["conv1"][0] * 55**2, neurons) == (290_400, 659_272)  # printed: 253,440 and 650,000
    counts = parameter_count(presets.PAPER.network, 1000)
    shares = {layer: round(100 * count / sum(counts.values()), 2) for layer, count in counts.items()}
    assert [layer for layer in maps if shares[layer] > 1] == ["conv3", "conv4"]  # printed: none of them
    assert (shares["conv3"], shares["conv4"]) == (1.45, 1.09)


def test_initial_values_repeat_with_the_seed_and_differ_with_another(small_recipe):
    first, again, other = (initial_parameters(small_recipe.network, 10, seed) for seed in (1, 1, 2))
    for name, value in first.items():
        np.testing.assert_array_equal(value.asnumpy(), again[name].asnumpy())
        if name.endswith("_weight"):
            assert (value.asnumpy() != other[name].asnumpy()).mean() > 0.99


def test_each_layer_draws_its_weights_with_its_own_deviation(small_recipe):
    """Five standard errors of the deviation of a normal sample; every layer has another one."""
    network, stds = small_recipe.network, {}
    for place, (name, layer) in enumerate([*network.convolutions(), *network.hidden()], 1):
        stds[name] = 0.01 * 2**place
        network = dataclasses.replace(network, **{name: dataclasses.replace(layer, weight_std=stds[name])})
    stds["fc8"] = 0.005
    network = dataclasses.replace(network, fc8_weight_std=stds["fc8"])
    for name, value in initial_parameters(network, 40, seed=3).items():
        layer, _, kind = name.rpartition("_")
        if kind == "weight":
            values, std = value.asnumpy(), stds[layer]
            assert abs(values.std() - std) < 5 * std / np.sqrt(2 * values.size), name
