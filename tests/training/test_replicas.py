"""Several replicas of the net, each on one context a column, learn from one batch as one context does (Sec. 3.2)."""

import dataclasses

import numpy as np
import pytest
from helpers.devices import contexts

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.model.alexnet import AlexNet, set_parameters
from gluon_alexnet.training.lr_schedule import LearningRates
from gluon_alexnet.training.trainer import Trainer

CLASSES = 7
FLAT = LearningRates(0.01, 0.01)


def batches(rng, size, counts):
    return [
        (rng.normal(0, 50, (count, 3, size, size)).astype(np.float32), rng.integers(0, CLASSES, count))
        for count in counts
    ]


def learned(one, made, count):
    """(losses, parameters, momentum) after one update on each batch, on so many contexts."""
    trainer = Trainer(one, CLASSES, contexts(count))
    trainer.initialize(seed=5)
    losses = [trainer.step(crops, labels, FLAT, seed=1) for crops, labels in made]
    arrays = [{n: a.asnumpy() for n, a in found.items()} for found in (trainer.parameters(), trainer.momentum())]
    return losses, *arrays


def compare(left, right):
    """Each array to a ten thousandth of its largest value: sums in another order differ by the size of their terms."""
    assert set(left) == set(right)
    for name, value in left.items():
        largest = np.abs(value).max()
        assert largest > 0, name
        np.testing.assert_allclose(right[name], value, rtol=0, atol=1e-4 * largest, err_msg=name)


# Of 7 images the first of two replicas takes 4; of 1 the second has none.
@pytest.mark.parametrize("sizes", [(8,), (6, 7, 1, 6)], ids=["one step", "uneven parts"])
@pytest.mark.parametrize("count", [4, 6])
def test_replicas_of_two_columns_learn_what_one_context_learns(small_recipe, rng, count, sizes):
    made = batches(rng, small_recipe.network.input_size, sizes)
    one, several = learned(small_recipe, made, 1), learned(small_recipe, made, count)
    np.testing.assert_allclose(several[0], one[0], rtol=1e-5)
    compare(one[1], several[1])
    compare(one[2], several[2])


def test_replicas_of_a_net_of_one_column(small_recipe, rng):
    one_column = dataclasses.replace(small_recipe, network=dataclasses.replace(small_recipe.network, columns=1))
    made = batches(rng, one_column.network.input_size, (5, 5))
    one, several = learned(one_column, made, 1), learned(one_column, made, 3)
    compare(one[1], several[1])


def test_every_replica_has_the_same_bits_after_each_update(small_recipe, rng):
    trainer = Trainer(small_recipe, CLASSES, contexts(4))
    trainer.initialize(seed=5)
    for crops, labels in batches(rng, small_recipe.network.input_size, (7, 5, 1)):
        trainer.step(crops, labels, FLAT, seed=1)
    first, second = trainer._replicas
    for left, right in zip(first.values() + first.velocities(), second.values() + second.velocities()):
        assert left.context != right.context
        assert left.asnumpy().tobytes() == right.asnumpy().tobytes()


def test_the_same_batch_gives_the_same_bits_again(small_recipe, rng):
    dropped = dataclasses.replace(small_recipe, network=dataclasses.replace(small_recipe.network, dropout=0.5))
    made = batches(rng, small_recipe.network.input_size, (7, 6))
    left, right = learned(dropped, made, 4), learned(dropped, made, 4)
    for name, value in left[1].items():
        assert value.tobytes() == right[1][name].tobytes(), name


def test_replicas_drop_different_neurons(small_recipe):
    network = dataclasses.replace(small_recipe.network, dropout=0.5)
    trainer = Trainer(dataclasses.replace(small_recipe, network=network), CLASSES, contexts(4))
    trainer.initialize(seed=5)
    mx.random.seed(3)
    same = np.ones((40, network.fc6.neurons // 2), np.float32)  # 20 rows for each replica, one of whose columns it is
    masks = []
    with mx.autograd.train_mode():
        for replica in trainer._replicas:
            column = replica.blocks[0]
            masks.append(column.fc6.dropout(mx.nd.array(same[:20], ctx=replica.context)).asnumpy())
    assert 0.4 < masks[0].mean() < 0.6
    assert np.mean(masks[0] != masks[1]) == pytest.approx(0.5, abs=0.1)  # half of them, if they are independent


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_mean_image_is_subtracted_where_the_validation_is_judged(small_recipe, rng, count):
    """Against the net itself on what NumPy subtracts, and NumPy's softmax; the mean varies in place and colour."""
    size = small_recipe.network.input_size
    images = rng.integers(0, 256, (5, size, size, 3), dtype=np.uint8)
    mean = rng.uniform(60, 180, (3, size, size)).astype(np.float32)
    trainer = Trainer(small_recipe, CLASSES, contexts(count))
    trainer.initialize(seed=5)
    net = AlexNet(small_recipe.network, CLASSES)
    net.initialize()
    set_parameters(net, trainer.parameters())
    outputs = net(mx.nd.array(images.astype(np.float32).transpose(0, 3, 1, 2) - mean)).asnumpy().astype(np.float64)
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(trainer.classifier(mean)(images), expected, atol=1e-5)
    assert np.abs(trainer.classifier(mean[:, ::-1])(images) - expected).max() > 1e-3  # so the mean's place tells


def test_a_run_moves_between_four_contexts_and_one(small_recipe, rng):
    made = batches(rng, small_recipe.network.input_size, (6, 6))
    whole = learned(small_recipe, made, 1)
    four = Trainer(small_recipe, CLASSES, contexts(4))
    four.initialize(seed=5)
    four.step(*made[0], FLAT, seed=1)
    one = Trainer(small_recipe, CLASSES, contexts(1))
    one.restore(four.parameters(), four.momentum())
    one.step(*made[1], FLAT, seed=1)
    compare(whole[1], {name: value.asnumpy() for name, value in one.parameters().items()})
    back = Trainer(small_recipe, CLASSES, contexts(4))
    back.restore(four.parameters(), four.momentum())
    back.step(*made[1], FLAT, seed=1)
    compare(whole[1], {name: value.asnumpy() for name, value in back.parameters().items()})


def test_a_poisoned_image_of_the_second_replica_stops_every_replica(small_recipe, rng):
    ((crops, labels),) = batches(rng, small_recipe.network.input_size, (6,))
    crops[5, 0, 40, 40] = np.nan
    trainer = Trainer(small_recipe, CLASSES, contexts(4))
    trainer.initialize(seed=5)
    before = [value.asnumpy() for replica in trainer._replicas for value in replica.values()]
    with pytest.raises(FloatingPointError, match=r"the loss is nan|the gradient of"):
        trainer.step(crops, labels, FLAT, seed=1)
    after = [value.asnumpy() for replica in trainer._replicas for value in replica.values()]
    for left, right in zip(before, after):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("count", [3, 5])
def test_devices_that_cannot_hold_whole_nets_are_refused(small_recipe, count):
    with pytest.raises(InvalidRequest, match=f"2 columns runs on 1 device or on a multiple of 2, not on {count}"):
        Trainer(small_recipe, CLASSES, contexts(count))


@pytest.mark.parametrize("count", [1, 2])
def test_a_batch_is_read_where_it_is_and_left_as_it_was(small_recipe, rng, count):
    ((crops, labels),) = batches(rng, small_recipe.network.input_size, [4])
    before = crops.copy()
    losses, *there = learned(small_recipe, [(crops, labels)], count)
    np.testing.assert_array_equal(crops, before)
    crops[:] = 0  # the reader may use the memory for the next batch
    assert losses[0] > 0
    elsewhere = np.zeros((4, *before.shape[1:3], before.shape[3] + 1), np.float32)[..., :-1]  # what has to be copied
    elsewhere[:] = before
    copied_losses, *copied = learned(small_recipe, [(elsewhere, labels)], count)
    assert copied_losses == losses
    for one, other in zip(there, copied):
        compare(one, other)
