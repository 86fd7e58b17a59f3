"""fc7's activities are those of the formula, for a run and for its export."""

import dataclasses

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import FailedWork
from gluon_alexnet.export import symbol
from gluon_alexnet.features import activations
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier

CLASSES = [{"wnid": f"n{i}", "name": f"class {i}"} for i in range(7)]


def convolution(x, weights, bias, stride, pad, groups):
    """Sec. 3.5 written out: (N, C, H, W) → (N, K, H', W'); pad: zeros (before, after)."""
    x = np.pad(x, ((0, 0), (0, 0), pad, pad))
    size = weights.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    windows = np.split(windows, groups, axis=1)
    parts = [np.einsum("nchwij,kcij->nkhw", w, k) for w, k in zip(windows, np.split(weights, groups))]
    return np.concatenate(parts, axis=1) + bias[:, None, None]


def normalization(a, columns):
    """Sec. 3.3: the sum goes over five neighbouring maps of the same column."""
    parts = []
    for part in np.split(a, columns, axis=1):
        b = np.empty_like(part)
        for i in range(part.shape[1]):
            near = part[:, max(0, i - 2) : i + 3]
            b[:, i] = part[:, i] / (2 + 1e-4 * (near**2).sum(axis=1)) ** 0.75
        parts.append(b)
    return np.concatenate(parts, axis=1)


def pooling(x):
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    return windows.max(axis=(4, 5))


def fc7_by_formula(p, pictures, drop):
    """float64 (N, width) from uint8 (N, 256, 256, 3): centre view, eight layers without the last, dropout in test."""
    size = p["mean"].shape[-1]
    begin = (256 - size) // 2
    x = pictures[:, begin : begin + size, begin : begin + size].transpose(0, 3, 1, 2) - p["mean"]

    def layer(name, x, stride, pad, groups):
        return np.maximum(convolution(x, p[f"{name}_weight"], p[f"{name}_bias"], stride, pad, groups), 0)

    x = pooling(normalization(layer("conv1", x, 4, (0, 3), 1), 2))
    x = pooling(normalization(layer("conv2", x, 1, (2, 2), 2), 2))
    x = layer("conv5", layer("conv4", layer("conv3", x, 1, (1, 1), 1), 1, (1, 1), 2), 1, (1, 1), 2)
    x = pooling(x).reshape(len(pictures), -1)
    for name in ("fc6", "fc7"):
        x = np.maximum(x @ p[f"{name}_weight"].T + p[f"{name}_bias"], 0) * (1 - drop)
    return x


@pytest.fixture
def network(small_recipe):
    return dataclasses.replace(small_recipe.network, dropout=0.5)


@pytest.fixture
def parameters(network, rng):
    values = initial_parameters(network, len(CLASSES), seed=3)
    values["conv1_weight"] *= 3
    values["fc7_bias"] = mx.nd.array(rng.normal(0, 1, 20))  # some neurons are off
    values["mean"] = mx.nd.array(rng.uniform(90, 130, (3, 99, 99)))
    return values


@pytest.fixture
def pictures(rng):
    return rng.integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)


def test_fc7_is_the_formula(network, parameters, pictures):
    net = build_classifier(network, parameters, mx.cpu())
    fc7 = activations.of_classifier(net, network, mx.cpu())
    found = fc7.of_pictures(pictures)
    expected = fc7_by_formula({k: v.asnumpy().astype(np.float64) for k, v in parameters.items()}, pictures, 0.5)
    assert (fc7.size, fc7.width, found.dtype, found.shape) == (99, 20, np.float32, (3, 20))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert 0 < (expected == 0).mean() < 1
    assert np.ptp(expected, axis=0).max() > 0.01  # the pictures differ


def test_the_export_has_the_activities_of_the_run(network, parameters, pictures, tmp_path):
    net = build_classifier(network, parameters, mx.cpu())
    description = {"classes": CLASSES, "provenance": {"variants": []}}
    symbol.export(net, tmp_path / "net", 99, description, pictures[:, :99, :99], mx.cpu())
    exported = activations.of_export(tmp_path / "net", mx.cpu())
    own = activations.of_classifier(net, network, mx.cpu())
    assert (exported.size, exported.width) == (99, 20)
    np.testing.assert_allclose(exported.of_pictures(pictures), own.of_pictures(pictures), atol=1e-6)


def test_the_digest_is_of_every_number(network, parameters):
    def digest(network, parameters):
        net = build_classifier(network, parameters, mx.cpu())
        return activations.of_classifier(net, network, mx.cpu()).digest

    first = digest(network, parameters)
    assert digest(network, dict(parameters)) == first
    for name in ("conv3_bias", "fc8_weight", "mean"):
        value = parameters[name].asnumpy()
        value.flat[-1] += 1e-3
        assert digest(network, {**parameters, name: mx.nd.array(value)}) != first, name
    assert digest(dataclasses.replace(network, neuron="tanh"), parameters) != first


def test_a_net_with_a_number_that_is_none_is_refused(network, parameters):
    value = parameters["conv2_weight"].asnumpy()
    value.flat[5] = np.nan
    net = build_classifier(network, {**parameters, "conv2_weight": mx.nd.array(value)}, mx.cpu())
    with pytest.raises(FailedWork, match="conv2_weight holds what is not a number"):
        activations.of_classifier(net, network, mx.cpu())
