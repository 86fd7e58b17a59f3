"""Two columns on two contexts are the same net as the fused one (Sec. 3.2)."""

import dataclasses

import numpy as np
import pytest
from helpers import devices

from gluon_alexnet.backend import mx
from gluon_alexnet.model.alexnet import AlexNet, initial_parameters, set_parameters
from gluon_alexnet.model.column_parallel import ColumnParallel, join, split
from gluon_alexnet.recipes import presets, schema
from gluon_alexnet.training.lr_schedule import LearningRates
from gluon_alexnet.training.trainer import Trainer

CONTEXTS = devices.contexts(2)


def no_dropout(one):
    return dataclasses.replace(one, network=dataclasses.replace(one.network, dropout=0.0))


def flat(rate):
    return LearningRates(rate, rate)


def gradients(trainer):
    parts = [{n: p.grad().copy() for n, p in block.collect_params().items()} for block in trainer._blocks]
    return {name: value.asnumpy() for name, value in join(parts).items()}


def compare(left, right, rtol):
    """Every array within rtol of its largest value: sums in another order differ by the size of their terms."""
    assert set(left) == set(right)
    for name in left:
        a, b = np.asarray(left[name]), np.asarray(right[name])
        assert np.abs(a).max() > 0, name
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(a).max(), err_msg=name)


def updates(one, classes, batch, steps, rng, rate=0.01):
    """Outputs, first gradients and parameters after some updates, fused and on two contexts."""
    size = one.network.input_size
    crops = [rng.normal(0, 50, (batch, 3, size, size)).astype(np.float32) for _ in range(steps)]
    labels = [rng.integers(0, classes, batch) for _ in range(steps)]
    results = []
    for contexts in (CONTEXTS[:1], CONTEXTS):
        trainer = Trainer(one, classes, contexts)
        trainer.initialize(seed=5)
        outputs = trainer._net(mx.nd.array(crops[0])).asnumpy()
        losses, first = [], None
        for crop, label in zip(crops, labels):
            losses.append(trainer.step(crop, label, flat(rate), seed=1))
            first = first or gradients(trainer)
        after = {name: value.asnumpy() for name, value in trainer.parameters().items()}
        momentum = {name: value.asnumpy() for name, value in trainer.momentum().items()}
        results.append((outputs, losses, first, after, momentum))
    return results


def test_fused_and_two_columns_learn_the_same(small_recipe, rng):
    fused, columns = updates(small_recipe, 7, batch=6, steps=5, rng=rng)
    np.testing.assert_allclose(fused[0], columns[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fused[1], columns[1], rtol=1e-5)
    for one, other in zip(fused[2:], columns[2:]):
        compare(one, other, rtol=1e-4)


@pytest.mark.parametrize("pooled_first", [False, True])
@pytest.mark.parametrize("numbers", [{}, {"n": 3}])
def test_they_do_where_normalisation_reads_both_columns(small_recipe, rng, numbers, pooled_first):
    joined = schema.ResponseNormalization(k=1.0, alpha=1e-2, both_columns=True, **numbers)
    changes = {"normalization": joined, "pool_before_normalization": pooled_first}
    one = dataclasses.replace(small_recipe, network=dataclasses.replace(small_recipe.network, **changes))
    fused, columns = updates(one, 7, batch=6, steps=3, rng=rng, rate=0.001)
    np.testing.assert_allclose(fused[0], columns[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fused[1], columns[1], rtol=1e-5)
    for left, right in zip(fused[2:], columns[2:]):
        compare(left, right, rtol=1e-4)
    own = dataclasses.replace(one.network, normalization=dataclasses.replace(joined, both_columns=False))
    apart = AlexNet(own, 7)  # and it is another net than that of columns that are normalised apart
    apart.initialize()
    set_parameters(apart, initial_parameters(own, 7, seed=5))
    image = rng.normal(0, 50, (1, 3, 99, 99))
    whole = AlexNet(one.network, 7)
    whole.initialize()
    set_parameters(whole, initial_parameters(own, 7, seed=5))
    assert (apart(mx.nd.array(image)).asnumpy() != whole(mx.nd.array(image)).asnumpy()).any()


@pytest.mark.slow
def test_fused_and_two_columns_learn_the_same_at_full_width(rng):
    one = no_dropout(presets.PAPER)
    fused, columns = updates(one, 1000, batch=4, steps=5, rng=rng, rate=0.001)
    np.testing.assert_allclose(fused[0], columns[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fused[1], columns[1], rtol=1e-5)
    compare(fused[2], columns[2], rtol=1e-4)
    before = initial_parameters(one.network, 1000, seed=5)
    for name, value in fused[3].items():
        # As a whole: in five steps k of N maxima flip in the last bit, sqrt(2k/N) of the gradient. Each update is
        # rounded to the float32 numbers around the parameter, on both sides.
        change = np.linalg.norm(value - before[name].asnumpy())
        rounding = 5 * np.finfo(np.float32).eps * np.linalg.norm(value)
        assert np.linalg.norm(value - columns[3][name]) <= 0.03 * change + rounding, name
        assert np.linalg.norm(fused[4][name] - columns[4][name]) <= 0.03 * np.linalg.norm(fused[4][name]), name


def test_five_updates_change_every_parameter(small_recipe, rng):
    before = initial_parameters(small_recipe.network, 7, 5)
    fused, _ = updates(small_recipe, 7, batch=6, steps=5, rng=rng)
    for name, value in fused[3].items():
        assert (value != before[name].asnumpy()).mean() > 0.5, name


@pytest.mark.parametrize("columns", [1, 2])
def test_joining_the_split_parameters_gives_them_back(small_recipe, columns):
    parameters = initial_parameters(small_recipe.network, 7, 1)
    joined = join(split(parameters, columns))
    assert list(joined) == list(parameters)
    for name, value in parameters.items():
        np.testing.assert_array_equal(joined[name].asnumpy(), value.asnumpy())


def test_a_column_gets_its_own_kernels():
    parameters = {"conv1_weight": mx.nd.arange(8).reshape((4, 2)), "fc8_bias": mx.nd.arange(3)}
    first, second = split(parameters, 2)
    np.testing.assert_array_equal(first["conv1_weight"].asnumpy(), [[0, 1], [2, 3]])
    np.testing.assert_array_equal(second["conv1_weight"].asnumpy(), [[4, 5], [6, 7]])
    np.testing.assert_array_equal(first["fc8_bias"].asnumpy(), [0, 1, 2])
    assert "fc8_bias" not in second


def test_each_column_lives_on_its_own_context(small_recipe):
    net = ColumnParallel(small_recipe.network, 7, CONTEXTS)
    for column, context in zip(net.columns, CONTEXTS):
        for parameter in column.collect_params().values():
            assert parameter.list_ctx() == [context]
    with pytest.raises(ValueError, match="2 columns need 2 contexts, not 1"):
        ColumnParallel(small_recipe.network, 7, CONTEXTS[:1])
