"""The fast update against MXNet's own optimizer and the rule of the paper; gradients that are no numbers."""

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.recipes.graph_updates import Schedule, Update
from gluon_alexnet.recipes.schema import Learning
from gluon_alexnet.training.optimizer import MomentumSGD, first_not_finite, optimizer

SHAPES = [(300, 70), (300,), (8, 3, 5, 5)]


def ours_of(momentum):
    return MomentumSGD([momentum] * 3, [0.01, 0.0, 0.01], learning_rate=0.05)


def mxnets(momentum):
    return mx.optimizer.SGD(learning_rate=0.05, momentum=momentum, wd=0.01)


def updated(kind, momentum, start, gradients):
    """Weights after these updates by a Trainer, with a rate and a decay of its own for the second parameter."""
    parameters = [mx.gluon.Parameter(f"p{place}", shape=shape) for place, shape in enumerate(SHAPES)]
    for parameter, value in zip(parameters, start):
        parameter.initialize()
        parameter.set_data(mx.nd.array(value))
    parameters[1].wd_mult, parameters[1].lr_mult = 0, 2.0
    trainer = mx.gluon.Trainer(parameters, kind(momentum), kvstore=None)
    for step in gradients:
        for parameter, gradient in zip(parameters, step):
            with mx.autograd.record():
                loss = (parameter.data() * mx.nd.array(gradient)).sum()
            loss.backward()
        trainer.step(4)
    return [parameter.data().asnumpy() for parameter in parameters]


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_the_update_is_the_papers_and_has_the_bits_of_mxnets_own(rng, momentum):
    start = [rng.normal(0, 1, shape).astype(np.float32) for shape in SHAPES]
    gradients = [[rng.normal(0, 1, shape).astype(np.float32) for shape in SHAPES] for _ in range(3)]
    ours = updated(ours_of, momentum, start, gradients)
    for own, other in zip(ours, updated(mxnets, momentum, start, gradients)):
        np.testing.assert_array_equal(own, other)
    for place, (w, own) in enumerate(zip(start, ours)):
        rate, decay = (0.1, 0.0) if place == 1 else (0.05, 0.01)
        w, v = w.astype(np.float64), 0.0
        for step in gradients:  # v <- momentum v - decay rate w - rate g; w <- w + v
            v = momentum * v - decay * rate * w - rate * step[place] / 4
            w = w + v
        np.testing.assert_allclose(own, w, rtol=1e-5, atol=1e-6)


def test_where_the_rate_is_0_neither_the_weight_nor_its_momentum_moves(rng):
    weight, velocity = (mx.nd.array(rng.normal(0, 1, (3, 4))) for _ in range(2))
    before = weight.asnumpy(), velocity.asnumpy()
    descent = MomentumSGD([0.9], [0.01], learning_rate=0.0)
    descent.update_multi_precision(0, weight, mx.nd.ones((3, 4)), velocity)
    np.testing.assert_array_equal(weight.asnumpy(), before[0])
    np.testing.assert_array_equal(velocity.asnumpy(), before[1])
    descent.lr = 0.5  # v <- 0.9 v - 0.5 (1 + 0.01 w)
    descent.update_multi_precision(0, weight, mx.nd.ones((3, 4)), velocity)
    expected = 0.9 * before[1] - 0.5 * (1 + 0.01 * before[0])
    np.testing.assert_allclose(velocity.asnumpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weight.asnumpy(), before[0] + expected, rtol=1e-5, atol=1e-6)


def test_each_parameter_has_its_own_momentum_and_decay():
    update = {"schedule": Schedule(), "ball": 0.0, "contrast": (0.0, 0.0)}
    given = [Update("a_weight", 0.1, 0.5, 0.2, **update), Update("a_bias", 0.3, 0.0, 0.0, **update)]
    for learning, momenta, decays in (
        (Learning(momentum=0.8, weight_decay=0.01), [0.8, 0.8], [0.0, 0.01]),
        (Learning(updates=tuple(given)), [0.0, 0.5], [0.0, 0.2]),
    ):
        descent = optimizer(learning, ["a_bias", "a_weight"])
        assert (descent._momenta, descent._decays) == (momenta, decays)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", range(len(SHAPES)))
def test_one_value_that_is_no_number_is_found(rng, place, value):
    gradients = [rng.normal(0, 1, shape).astype(np.float32) for shape in SHAPES]
    assert first_not_finite([mx.nd.array(gradient) for gradient in gradients]) is None
    gradients[place].flat[rng.integers(gradients[place].size)] = value
    assert first_not_finite([mx.nd.array(gradient) for gradient in gradients]) == place


def test_a_gradient_whose_square_overflows_is_finite_all_the_same():
    assert first_not_finite([mx.nd.full((3, 4), 3e38), mx.nd.ones((2,))]) is None
