"""Response normalisation and dropout against the formulas of the paper (Sec. 3.3, 4.2), written out in NumPy."""

import dataclasses
import sys

import numpy as np
import pytest

import gluon_alexnet
from gluon_alexnet.backend import mx
from gluon_alexnet.model import lrn_cpu
from gluon_alexnet.model.layers import Dropout, ResponseNormalization
from gluon_alexnet.recipes import schema


def normalized(a, numbers, columns):
    """b = a / (k + alpha * sum of a^2 over n neighbouring maps of the same column)^beta, float64, map by map."""
    a = a.astype(np.float64)
    maps = a.shape[1] // columns
    alpha = numbers.alpha / numbers.n if numbers.alpha_divided_by_n else numbers.alpha
    b = np.empty_like(a)
    for i in range(a.shape[1]):
        first = (i // maps) * maps
        low, high = max(first, i - numbers.n // 2), min(first + maps - 1, i + numbers.n // 2)
        total = (a[:, low : high + 1] ** 2).sum(axis=1)
        b[:, i] = a[:, i] / (numbers.k + alpha * total) ** numbers.beta
    return b


def gradient(a, upstream, numbers, columns, step=1e-4):
    """Central differences of sum(upstream * b), float64."""
    result = np.empty(a.shape)
    for place in np.ndindex(a.shape):
        up, down = a.astype(np.float64), a.astype(np.float64)
        up[place] += step
        down[place] -= step
        difference = normalized(up, numbers, columns) - normalized(down, numbers, columns)
        result[place] = (upstream * difference).sum() / (2 * step)
    return result


CASES = [
    pytest.param(schema.ResponseNormalization(), 1, 12, id="printed"),
    pytest.param(schema.ResponseNormalization(), 2, 12, id="printed, two columns"),
    pytest.param(schema.ResponseNormalization(alpha_divided_by_n=True), 2, 12, id="alpha over n"),
    pytest.param(schema.ResponseNormalization(n=9), 2, 6, id="window wider than the column"),
    pytest.param(schema.ResponseNormalization(n=3), 2, 12, id="three maps"),
    pytest.param(schema.ResponseNormalization(beta=0.5), 2, 12, id="another power"),
    pytest.param(schema.ResponseNormalization(k=1.0, n=3, alpha=0.01, beta=0.5), 3, 12, id="other numbers"),
]


FAST = pytest.mark.parametrize("fast", [False, True], ids=["MXNet", "fast"])


def layer_of(numbers, columns, maps, fast):
    if fast and numbers.beta != 0.75:
        assert "beta 0.75, not 0.5" in lrn_cpu.obstacle(numbers)
    elif fast and numbers.n != 5:
        assert f"5 maps, not of {numbers.n}" in lrn_cpu.obstacle(numbers)
    return ResponseNormalization(numbers, columns, maps, fast, pooled_next=True)


@FAST
@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize(("numbers", "columns", "maps"), CASES)
def test_normalization_is_the_formula(rng, numbers, columns, maps, hybridize, fast):
    layer = layer_of(numbers, columns, maps, fast)
    layer.hybridize(hybridize)
    # Activations large enough that the sum matters beside k.
    a = rng.normal(0, 60, (2, maps, 3, 4)).astype(np.float32)
    np.testing.assert_allclose(layer(mx.nd.array(a)).asnumpy(), normalized(a, numbers, columns), rtol=2e-5, atol=1e-5)


@FAST
@pytest.mark.parametrize(("numbers", "columns", "maps"), CASES)
def test_the_gradient_of_the_normalization_is_that_of_the_formula(rng, numbers, columns, maps, fast):
    layer = layer_of(numbers, columns, maps, fast)
    a = rng.normal(0, 60, (1, maps, 2, 2)).astype(np.float32)
    upstream = rng.normal(0, 1, a.shape).astype(np.float32)
    x = mx.nd.array(a)
    x.attach_grad()
    with mx.autograd.record():
        y = layer(x)
    y.backward(mx.nd.array(upstream))
    np.testing.assert_allclose(x.grad.asnumpy(), gradient(a, upstream, numbers, columns), rtol=1e-3, atol=1e-5)


class LayerOne(mx.gluon.HybridBlock):
    """Convolution, ReLU, normalisation and pooling as in the net; the normalisation is what is given."""

    def __init__(self, normalization):
        super().__init__(prefix="")
        self.conv = mx.gluon.nn.Conv2D(48, 11, 4, in_channels=3)
        self.normalization = normalization

    def hybrid_forward(self, F, x):
        return F.Pooling(self.normalization(F.relu(self.conv(x))), kernel=(3, 3), stride=(2, 2), pool_type="max")


class Written(mx.gluon.HybridBlock):
    """The printed formula in elementwise operators on 48 maps, differentiated by autograd."""

    def __init__(self, columns):
        super().__init__()
        self.maps = 48 // columns

    def hybrid_forward(self, F, a):
        maps, outputs = F.split(a, num_outputs=48, axis=1), []
        for i, value in enumerate(maps):
            first = i // self.maps * self.maps
            window = maps[max(first, i - 2) : min(first + self.maps, i + 3)]
            outputs.append(value / (2 + 1e-4 * sum(other * other for other in window)) ** 0.75)
        return F.concat(*outputs, dim=1)


@FAST
@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("columns", [1, 2])
def test_the_gradient_is_right_between_relu_and_pooling(rng, columns, hybridize, fast):
    # oneDNN's own memory layouts meet here, and 48 maps are enough for it to use them.
    image = rng.normal(0, 50, (2, 3, 99, 99)).astype(np.float32)
    weight = rng.normal(0, 0.1, (48, 3, 11, 11)).astype(np.float32)
    gradients, upstream = [], None
    for normalization in (layer_of(schema.ResponseNormalization(), columns, 48, fast), Written(columns)):
        layer = LayerOne(normalization)
        layer.initialize()
        layer.conv.weight.set_data(mx.nd.array(weight))
        layer.hybridize(hybridize and not isinstance(normalization, Written))
        x = mx.nd.array(image)
        x.attach_grad()
        with mx.autograd.record():
            y = layer(x)
        if upstream is None:
            upstream = mx.nd.array(rng.normal(0, 1, y.shape))
        y.backward(upstream)
        gradients.append((x.grad.asnumpy(), layer.conv.weight.grad().asnumpy()))
    for ours, written in zip(*gradients):
        np.testing.assert_allclose(ours, written, rtol=0, atol=1e-5 * np.abs(written).max())


def test_the_fast_gradient_adds_where_it_is_asked_to(rng):
    layer = ResponseNormalization(schema.ResponseNormalization(), 2, 12, fast=True)
    x, upstream = mx.nd.array(rng.normal(0, 60, (3, 12, 4, 5))), mx.nd.array(rng.normal(0, 1, (3, 12, 4, 5)))
    gradients = []
    for request, times in (("write", 2), ("add", 2)):
        x.attach_grad(grad_req=request)
        for _ in range(times):
            with mx.autograd.record():
                y = layer(x)
            y.backward(upstream)
        gradients.append(x.grad.asnumpy())
    np.testing.assert_allclose(gradients[1], 2 * gradients[0], rtol=1e-6)


def output_and_gradient(layer, a, upstream):
    x = mx.nd.array(a)
    x.attach_grad()
    with mx.autograd.record():
        y = layer(x)
    y.backward(mx.nd.array(upstream))
    return y.asnumpy(), x.grad.asnumpy()


@pytest.mark.parametrize("shape", [(3, 96, 55, 55), (2, 256, 27, 27)], ids=["layer 1", "layer 2"])
@pytest.mark.parametrize("columns", [1, 2])
def test_at_full_width_the_fast_way_agrees_with_mxnets_own_operator(rng, shape, columns):
    a = np.maximum(rng.normal(0, 60, shape), 0).astype(np.float32)
    upstream = rng.normal(0, 1, shape).astype(np.float32)
    numbers = schema.ResponseNormalization()
    theirs, ours = (
        output_and_gradient(ResponseNormalization(numbers, columns, shape[1], fast), a, upstream)
        for fast in (False, True)
    )
    for own, other in zip(ours, theirs):
        np.testing.assert_allclose(own, other, rtol=0, atol=1e-6 * np.abs(other).max())


def test_the_bits_of_the_fast_way_do_not_depend_on_the_number_of_threads(rng, monkeypatch):
    layer = ResponseNormalization(schema.ResponseNormalization(), 2, 12, fast=True)
    a, upstream = rng.normal(0, 60, (5, 12, 20, 20)), rng.normal(0, 1, (5, 12, 20, 20))
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(lrn_cpu, "threads", lambda threads=threads: threads)
        found.append(output_and_gradient(layer, a, upstream))
    for one, three in zip(*found):
        np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize(("number", "value", "words"), [
    ("n", 3, "a window of 5 maps, not of 3"), ("n", 7, "not of 7"), ("beta", 0.5, "beta 0.75, not 0.5"),
    ("beta", 1.0, "not 1"),
])  # fmt: skip
def test_the_fast_way_is_for_five_maps_and_three_quarters_alone(number, value, words):
    assert words in lrn_cpu.obstacle(dataclasses.replace(schema.ResponseNormalization(), **{number: value}))


def test_without_numba_the_obstacle_is_said(monkeypatch):
    assert lrn_cpu.obstacle(schema.ResponseNormalization()) is None
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "gluon_alexnet.model.lrn_kernels")
    monkeypatch.delattr(gluon_alexnet.model, "lrn_kernels")
    lrn_cpu._numba_is_here.cache_clear()
    try:
        assert lrn_cpu.obstacle(schema.ResponseNormalization()) == "Numba is not installed"
    finally:
        lrn_cpu._numba_is_here.cache_clear()


def test_the_two_alphas_differ_and_a_column_does_not_see_the_other(rng):
    a = mx.nd.array(rng.normal(0, 60, (1, 12, 2, 2)))
    printed = ResponseNormalization(schema.ResponseNormalization(), 2, 12)
    divided = ResponseNormalization(schema.ResponseNormalization(alpha_divided_by_n=True), 2, 12)
    assert np.abs(printed(a).asnumpy() - divided(a).asnumpy()).max() > 0.1
    changed = a.copy()
    changed[:, 6:] *= 3
    np.testing.assert_array_equal(printed(changed).asnumpy()[:, :6], printed(a).asnumpy()[:, :6])


def test_dropout_masks_in_training_and_halves_in_test():
    layer = Dropout(0.5)
    x = mx.nd.full((100, 1000), 3.0)
    assert (layer(x).asnumpy() == 1.5).all()
    x.attach_grad()
    mx.random.seed(1)
    with mx.autograd.record():
        y = layer(x)
    y.backward()
    values = y.asnumpy()
    assert set(np.unique(values)) == {0.0, 3.0}  # not scaled up, as published
    # 100,000 fair coins: five standard deviations are 0.0079
    assert abs((values == 0).mean() - 0.5) < 0.0079
    np.testing.assert_array_equal(x.grad.asnumpy(), values / 3)


def test_dropout_of_a_quarter_keeps_three_quarters():
    """Where 1 - p is not p: in test the outputs are scaled by what is kept, in training a quarter is dropped."""
    layer, x = Dropout(0.25), mx.nd.full((100, 1000), 4.0)
    assert (layer(x).asnumpy() == 3.0).all()
    mx.random.seed(1)
    with mx.autograd.record():
        values = layer(x).asnumpy()
    np.testing.assert_allclose(np.unique(values), [0, 4], rtol=1e-6)
    assert abs((values == 0).mean() - 0.25) < 0.0069  # five standard deviations of 100,000 draws


def test_dropout_masks_repeat_with_the_seed_and_differ_between_draws_and_contexts():
    layer = Dropout(0.5)

    def masks():
        mx.random.seed(7)
        with mx.autograd.record():
            first, second = layer(mx.nd.ones((1000,))), layer(mx.nd.ones((1000,)))
            other = layer(mx.nd.ones((1000,), ctx=mx.cpu(1)))
        return [mask.asnumpy() for mask in (first, second, other)]

    one, again = masks(), masks()
    np.testing.assert_array_equal(one, again)
    for left, right in ((0, 1), (0, 2), (1, 2)):
        # 1,000 pairs of fair coins agree 500 times, with a standard deviation of 16
        assert 400 < (one[left] == one[right]).sum() < 600


def test_inverted_dropout_keeps_its_outputs_in_test():
    layer = Dropout(0.5, inverted=True)
    x = mx.nd.ones((40, 50))
    np.testing.assert_array_equal(layer(x).asnumpy(), 1)
    with mx.autograd.record(train_mode=True):
        y = layer(x).asnumpy()
    assert set(np.unique(y)) == {0, 2}


def test_no_dropout_is_the_identity():
    x = mx.nd.arange(6)
    with mx.autograd.record():
        y = Dropout(0.0)(x)
    np.testing.assert_array_equal(y.asnumpy(), x.asnumpy())
