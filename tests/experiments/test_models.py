"""The nets of the CIFAR-10 experiments and their locally connected layer, against the formulas in NumPy."""

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.experiments import config as cifar_recipe
from gluon_alexnet.experiments import models as cifar_nets
from gluon_alexnet.model.alexnet import set_parameters


def locally_connected(x, weight, bias, size):
    """Each place's own kernels over its neighbourhood, with zeros around the input: float64, place by place."""
    images, maps_below, height, width = x.shape
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2])
    out = np.empty((images, weight.shape[1], height, width))
    for y in range(height):
        for z in range(width):
            window = padded[:, :, y : y + size, z : z + size]
            kernels = weight[y * width + z].reshape(-1, maps_below, size, size)
            out[:, :, y, z] = np.einsum("ncij,kcij->nk", window, kernels) + bias[y * width + z, :, 0]
    return out


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize(("size", "height", "width"), [(3, 5, 4), (5, 3, 6)])
def test_locally_connected_is_the_formula_and_so_is_its_gradient(rng, hybridize, size, height, width):
    layer = cifar_nets.LocallyConnected(cifar_recipe.Convolution(4, size, 0.1), 3, height, width)
    layer.initialize()
    if hybridize:
        layer.hybridize(static_alloc=True)
    x = rng.normal(size=(2, 3, height, width)).astype(np.float32)
    weight = rng.normal(size=layer.weight.shape).astype(np.float32)
    bias = rng.normal(size=layer.bias.shape).astype(np.float32)
    layer.weight.set_data(mx.nd.array(weight))
    layer.bias.set_data(mx.nd.array(bias))
    upstream = rng.normal(size=(2, 4, height, width)).astype(np.float32)
    data = mx.nd.array(x)
    data.attach_grad()
    with mx.autograd.record():
        out = layer(data)
        total = (out * mx.nd.array(upstream)).sum()
    total.backward()
    np.testing.assert_allclose(out.asnumpy(), locally_connected(x, weight, bias, size), rtol=1e-4, atol=1e-4)

    # The sum is linear in each of the three, so a step of any size gives the exact slope.
    def slope(array, place):
        moved = [np.array(a, np.float64) for a in (x, weight, bias)]
        moved[array][place] += 1
        before, after = locally_connected(x, weight, bias, size), locally_connected(*moved, size)
        return (upstream * (after - before)).sum()

    gradients = data.grad, layer.weight.grad(), layer.bias.grad()
    for array, gradient in enumerate(gradients):
        found = gradient.asnumpy()
        for _ in range(12):
            place = tuple(int(rng.integers(n)) for n in found.shape)
            assert found[place] == pytest.approx(slope(array, place), rel=1e-3, abs=1e-3)


def convolved(x, weight, bias):
    """A convolution with zeros around, float64."""
    size = weight.shape[2]
    padded = np.pad(x, [(0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    return np.einsum("ncyxij,kcij->nkyx", windows, weight) + bias[:, None, None]


def pooled(x, function):
    """Windows of 3, stride 2; the last may overrun the map and then holds what there is of it."""
    side = -(-(x.shape[2] - 3) // 2) + 1
    rows = [
        [function(x[:, :, 2 * y : 2 * y + 3, 2 * z : 2 * z + 3], axis=(2, 3)) for z in range(side)] for y in range(side)
    ]
    return np.array(rows).transpose(2, 3, 0, 1)


def normalized(x, numbers):
    """b = a / (k + alpha/n sum a^2)^beta over n neighbouring maps."""
    squares = np.pad(x**2, [(0, 0), (numbers.n // 2,) * 2, (0, 0), (0, 0)])
    total = sum(squares[:, shift : shift + x.shape[1]] for shift in range(numbers.n))
    return x / (numbers.k + numbers.alpha / numbers.n * total) ** numbers.beta


def given(net, rng):
    """The net with weights of a size that makes its outputs differ; name → float64 array."""
    net.initialize()
    values = {}
    for name, parameter in net.collect_params().items():
        inputs = np.prod(parameter.shape[1:]) if name.endswith("weight") else 25
        values[name] = rng.normal(0, 1.5 / np.sqrt(inputs), parameter.shape).astype(np.float32)
    set_parameters(net, {name: mx.nd.array(value) for name, value in values.items()})
    return {name: value.astype(np.float64) for name, value in values.items()}


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_four_layer_net_is_what_its_description_says(rng, activation, hybridize):
    net = cifar_nets.FourLayerNet(cifar_recipe.FourLayers(activation=activation))
    values = given(net, rng)
    if hybridize:
        net.hybridize(static_alloc=True)
    x = rng.normal(size=(2, 3, 32, 32)).astype(np.float32)
    function = np.tanh if activation == "tanh" else lambda a: np.maximum(a, 0)
    a = function(pooled(convolved(x, values["conv1_weight"], values["conv1_bias"]), np.max))
    a = pooled(function(convolved(a, values["conv2_weight"], values["conv2_bias"])), np.mean)
    a = pooled(function(convolved(a, values["conv3_weight"], values["conv3_bias"])), np.mean)
    assert a.shape == (2, 64, 4, 4)
    expected = a.reshape(2, -1) @ values["output_weight"].T + values["output_bias"]
    np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("numbers", [None, cifar_recipe.CIFAR_NORMALIZATION], ids=["without", "with"])
def test_the_local_net_is_what_its_description_says(rng, numbers, fast):
    net = cifar_nets.LocalNet(cifar_recipe.LocalLayers(normalization=numbers), fast)
    values = given(net, rng)
    net.hybridize(static_alloc=True)
    x = 40 * rng.normal(size=(2, 3, 24, 24)).astype(np.float32)
    a = x
    for name in ("conv1", "conv2"):
        a = np.maximum(convolved(a, values[f"{name}_weight"], values[f"{name}_bias"]), 0)
        a = pooled(a if numbers is None else normalized(a, numbers), np.max)
    assert a.shape == (2, 64, 6, 6)
    for name in ("local3", "local4"):
        a = np.maximum(locally_connected(a, values[f"{name}_weight"], values[f"{name}_bias"], 3), 0)
    expected = a.reshape(2, -1) @ values["output_weight"].T + values["output_bias"]
    np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), expected, rtol=2e-3, atol=2e-2)
