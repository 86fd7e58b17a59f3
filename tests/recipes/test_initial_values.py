"""Initial weights and biases of every recipe, drawn and measured, against numbers written down by hand (Sec. 5).

Deviations of 2012 are `initW` of the layer files, biases their `initB`; Caffe's are the `weight_filler` and
`bias_filler` of its .prototxt; of one-weird-trick, by He's rule, the root of 2 over what a neuron reads.
"""

import dataclasses

import numpy as np
import pytest

from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.recipes import presets, variants

LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc6", "fc7", "bottleneck", "fc8")
ONES = dict.fromkeys(("conv2", "conv4", "conv5", "conv6", "fc6", "fc7"), 1.0)
PRINT = dict.fromkeys(LAYERS, 0.01), {**dict.fromkeys(LAYERS, 0.0), **ONES}


def but(base=PRINT, stds=None, biases=None):
    """(deviation, bias) by layer: those of `base` with others in some layers."""
    return {**base[0], **(stds or {})}, {**base[1], **(biases or {})}


OF_2012 = but(stds=dict.fromkeys(("conv3", "conv4", "conv5", "conv6"), 0.03))
NO_BIASES = dict.fromkeys(LAYERS, 0.0)
EXPECTED = {
    "paper": PRINT,
    "printed": PRINT,
    "as-run": OF_2012,
    "as-run-2010": OF_2012,
    # An eighth as wide: three times the deviation wherever a neuron reads fewer maps.
    "narrow": but(stds={**dict.fromkeys(LAYERS, 0.03), "conv1": 0.01}),
    "bvlc": but(
        stds={"fc6": 0.005, "fc7": 0.005}, biases=dict.fromkeys(("conv2", "conv4", "conv5", "fc6", "fc7"), 0.1)
    ),
    "caffenet": but(stds={"fc6": 0.005, "fc7": 0.005}),
    "one-weird-trick": but(
        stds={
            "conv1": (2 / 363) ** 0.5,
            "conv2": (2 / 1600) ** 0.5,
            "conv3": (2 / 1728) ** 0.5,
            "conv4": (2 / 3456) ** 0.5,
            "conv5": (2 / 2304) ** 0.5,
            "fc6": (2 / 9216) ** 0.5,
            "fc7": (2 / 4096) ** 0.5,
        },
        biases=NO_BIASES,
    ),
    "korean-summary": PRINT,
    "korean-summary-code": but(biases={"fc8": 1.0}),
}


def thin(network):
    """The network with few kernels and neurons, and whatever else it has."""
    layers = {name: dataclasses.replace(layer, kernels=32) for name, layer in network.convolutions()}
    layers |= {name: dataclasses.replace(layer, neurons=128) for name, layer in network.hidden()}
    return dataclasses.replace(network, **layers)


def hold(network, expected):
    stds, biases = expected
    drawn = {name: value.asnumpy() for name, value in initial_parameters(thin(network), 100, seed=5).items()}
    layers = [name[: -len("_weight")] for name in drawn if name.endswith("_weight")]
    assert set(layers) == {name for name, _ in (*network.convolutions(), *network.hidden())} | {"fc8"}
    for layer in layers:
        values, std = drawn[f"{layer}_weight"].astype(np.float64).ravel(), stds[layer]
        # Five standard errors of the deviation, of the mean, and of the share within one deviation of a normal.
        assert abs(values.std() / std - 1) < 5 / (2 * values.size) ** 0.5, layer
        assert abs(values.mean()) < 5 * std / values.size**0.5, layer
        assert abs((np.abs(values) < std).mean() - 0.6827) < 5 * (0.6827 * 0.3173 / values.size) ** 0.5, layer
        np.testing.assert_array_equal(drawn[f"{layer}_bias"], np.float32(biases[layer]), err_msg=layer)


@pytest.mark.parametrize("name", presets.RECIPES)
def test_initial_values_have_the_statistics_of_their_source(name):
    diary = name.startswith(("net-", "six-conv-"))
    hold(presets.RECIPES[name].network, OF_2012 if diary else EXPECTED[name])


@pytest.mark.parametrize(
    ("base", "name", "expected"),
    [
        ("paper", "six-conv", PRINT),
        ("as-run", "six-conv", OF_2012),
        ("paper", "one-gpu", PRINT),
        ("paper", "no-lrn", PRINT),
        ("as-run", "no-lrn", OF_2012),
        ("bvlc", "zero-bias", but(EXPECTED["bvlc"], biases=NO_BIASES)),
    ],
)
def test_a_variant_keeps_them_and_six_conv_has_its_own(base, name, expected):
    one = variants.apply(presets.RECIPES[base], [name])
    assert (one.network.conv6 is not None) == (name == "six-conv")
    hold(one.network, expected)
