"""The update rule against NumPy (Sec. 5), and what a run does when all is not well."""

import dataclasses

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.data.prefetch import prefetched
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.evaluation.metrics import Score
from gluon_alexnet.recipes.schema import Learning
from gluon_alexnet.recipes.timetable import Change, RateRequest
from gluon_alexnet.training import loop
from gluon_alexnet.training.callbacks import TrainingCallback
from gluon_alexnet.training.checkpoint import State
from gluon_alexnet.training.loop import Data, step_seed, train
from gluon_alexnet.training.lr_schedule import LearningRates
from gluon_alexnet.training.trainer import Trainer

CLASSES = 5
CONTEXTS = {"fused": [mx.cpu(0)], "two columns": [mx.cpu(0), mx.cpu(1)]}


def flat(rate):
    return LearningRates(rate, rate)


def batch(rng, size, count=6):
    return rng.normal(0, 50, (count, 3, size, size)).astype(np.float32), rng.integers(0, CLASSES, count)


def mean_gradients(one, parameters, crops, labels):
    """Gradient of the mean loss at these parameters, from MXNet's autograd alone: no trainer, no decay."""
    trainer = Trainer(one, CLASSES, [mx.cpu(0)])
    trainer.restore({name: mx.nd.array(value) for name, value in parameters.items()}, {})
    with mx.autograd.record():
        logits = trainer._net(mx.nd.array(crops))
        picked = mx.nd.pick(mx.nd.log_softmax(logits), mx.nd.array(labels))
        loss = -mx.nd.sum(picked) / len(labels)
    loss.backward()
    gradients = {name: p.grad().asnumpy() for name, p in trainer._blocks[0].collect_params().items()}
    return float(loss.asscalar()), gradients


@pytest.mark.parametrize("contexts", CONTEXTS.values(), ids=CONTEXTS)
def test_updates_are_the_printed_rule(small_recipe, rng, contexts):
    decay = 0.05  # large enough that a missing or an extra decay is seen
    one = dataclasses.replace(small_recipe, learning=Learning(weight_decay=decay))
    trainer = Trainer(one, CLASSES, contexts)
    trainer.initialize(seed=1)
    weights = {name: value.asnumpy().astype(np.float64) for name, value in trainer.parameters().items()}
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    for step, rate in enumerate([0.01, 0.01, 0.001, 0.001, 0.02]):  # the rate changes on the way
        crops, labels = batch(rng, one.network.input_size)
        expected_loss, gradients = mean_gradients(one, weights, crops, labels)
        assert trainer.step(crops, labels, flat(rate), step) == pytest.approx(expected_loss, rel=1e-4)
        for name in weights:
            decayed = 0.0 if name.endswith("_bias") else decay
            velocity[name] = 0.9 * velocity[name] - decayed * rate * weights[name] - rate * gradients[name]
            weights[name] = weights[name] + velocity[name]
    for name, value in trainer.parameters().items():
        np.testing.assert_allclose(
            value.asnumpy(), weights[name], atol=2e-4 * np.abs(weights[name]).max(), err_msg=name
        )
    for name, value in trainer.momentum().items():
        np.testing.assert_allclose(
            value.asnumpy(), velocity[name], atol=2e-3 * np.abs(velocity[name]).max(), err_msg=name
        )


def test_biases_do_not_decay_and_weights_do(small_recipe, rng):
    one = dataclasses.replace(small_recipe, learning=Learning(weight_decay=0.5, momentum=0.0))
    trainer = Trainer(one, CLASSES, [mx.cpu(0)])
    trainer.initialize(seed=1)
    before = {name: value.asnumpy() for name, value in trainer.parameters().items()}
    crops, labels = batch(rng, one.network.input_size)
    _, gradients = mean_gradients(one, before, crops, labels)
    trainer.step(crops, labels, flat(0.1), 0)
    for name, value in trainer.parameters().items():
        decay = (before[name] - value.asnumpy() - 0.1 * gradients[name]) / 0.1
        expected = 0 if name.endswith("_bias") else 0.5 * before[name]
        np.testing.assert_allclose(decay, expected, atol=1e-4, err_msg=name)


def test_a_number_of_devices_that_does_not_fit_is_refused(small_recipe):
    with pytest.raises(InvalidRequest, match="2 columns runs on 1 device or on a multiple of 2, not on 3"):
        Trainer(small_recipe, CLASSES, [mx.cpu(i) for i in range(3)])


class Run:
    """A run on made images, with its saves kept in memory."""

    def __init__(self, one, contexts, count=20, seed=9):
        self.one, self.count, self.saved, self.said = one, count, [], []
        self.trainer = Trainer(one, CLASSES, contexts)
        self.trainer.initialize(seed)
        self.state = State(seed)
        made = np.random.default_rng(1)
        size = one.network.input_size
        self.crops = made.normal(0, 50, (count, 3, size, size)).astype(np.float32)
        self.labels = made.integers(0, CLASSES, count)
        self.images = made.integers(0, 256, (7, 256, 256, 3), dtype=np.uint8)

    def data(self):
        def epoch(number, position):
            order = np.random.default_rng(number).permutation(self.count)
            for start in range(position, self.count, self.one.learning.batch_size):
                part = order[start : start + self.one.learning.batch_size]
                yield self.crops[part], self.labels[part], 0

        size = self.one.network.input_size
        validation = [(self.images, np.arange(7) % CLASSES, np.arange(7))]
        return Data(self.count, epoch, lambda: validation, np.zeros((3, size, size), np.float32))

    def go(self, stop=lambda: False, rates=()):
        return train(self.trainer, self.one, self.data(), self.state, Notes(self, stop, rates))


class Notes(TrainingCallback):
    """Keeps what a training saves and says; ``rates``: (step after which somebody asks, rate)."""

    def __init__(self, run, stop, rates):
        self.run, self.stop, self.rates = run, stop, dict(rates)

    def save(self, state, best):
        parameters, momentum = self.run.trainer.parameters(), self.run.trainer.momentum()
        kept = dataclasses.replace(state, epochs=list(state.epochs))
        self.run.saved.append((kept, parameters, momentum, best))

    def rate_asked(self):
        rate = self.rates.pop(self.run.state.step, None)
        return None if rate is None else RateRequest(rate, "me")

    def rate_changed(self, state, rates, by):
        self.run.said.append((state.step, rates.weights, by))

    def stalled(self, state):
        self.run.said.append((state.step, "stalled", state.recent_loss))


@pytest.mark.parametrize("contexts", CONTEXTS.values(), ids=CONTEXTS)
def test_a_stopped_and_resumed_run_ends_bit_by_bit_like_an_uninterrupted_one(small_recipe, contexts):
    one = dataclasses.replace(small_recipe, network=dataclasses.replace(small_recipe.network, dropout=0.5))
    whole = Run(one, contexts)
    assert whole.go()
    halved = Run(one, contexts)
    assert not halved.go(stop=lambda: halved.state.step == 4)  # in the second epoch: 20 images are batches of 8, 8, 4
    state, parameters, momentum, _ = halved.saved[-1]
    assert (state.epoch, state.step, state.position) == (1, 4, 8)
    resumed = Run(one, contexts, seed=1234)
    resumed.state, resumed.trainer = state, Trainer(one, CLASSES, contexts)
    resumed.trainer.restore(parameters, momentum)
    assert resumed.go()
    for left, right in ((whole.saved[-1][1], resumed.saved[-1][1]), (whole.saved[-1][2], resumed.saved[-1][2])):
        assert set(left) == set(right)
        for name, value in left.items():
            assert value.asnumpy().tobytes() == right[name].asnumpy().tobytes(), name
    exact = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in whole.state.epochs]
    assert exact == [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in resumed.state.epochs]
    assert [epoch["images"] for epoch in exact] == [20, 20]
    assert [epoch["step"] for epoch in exact] == [3, 6]


def test_a_run_stopped_before_its_validation_resumes_with_it(small_recipe):
    whole, halved = Run(small_recipe, CONTEXTS["fused"]), Run(small_recipe, CONTEXTS["fused"])
    assert whole.go()
    assert not halved.go(stop=lambda: halved.state.step == 3)  # the third and last step of the first epoch
    state, parameters, momentum, _ = halved.saved[-1]
    assert (state.epoch, state.step, state.position) == (0, 3, 20)
    halved.state = state
    halved.trainer.restore(parameters, momentum)
    assert halved.go()
    exact = [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in whole.state.epochs]
    assert exact == [{k: v for k, v in epoch.items() if k != "seconds"} for epoch in halved.state.epochs]


def test_a_net_trained_on_two_contexts_goes_on_on_one(small_recipe):
    start = Run(small_recipe, CONTEXTS["two columns"])
    assert start.go()
    trainer = Trainer(small_recipe, CLASSES, [mx.cpu(0)])
    trainer.restore(start.trainer.parameters(), start.trainer.momentum())
    crops, labels = start.crops[:8], start.labels[:8]
    assert trainer.step(crops, labels, flat(0.01), 1) == pytest.approx(
        start.trainer.step(crops, labels, flat(0.01), 1), rel=1e-5
    )
    after = start.trainer.parameters()
    for name, value in trainer.parameters().items():
        np.testing.assert_allclose(value.asnumpy(), after[name].asnumpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("contexts", CONTEXTS.values(), ids=CONTEXTS)
@pytest.mark.parametrize("poison", ["an image", "a weight of layer 8", "a weight of layer 2"])
def test_a_number_that_is_none_stops_before_the_update(small_recipe, contexts, poison):
    run = Run(small_recipe, contexts)
    if poison == "an image":
        run.crops[:, 0, 50, 50] = np.nan
    else:
        name = {"8": "fc8_weight", "2": "conv2_weight"}[poison[-1]]
        values = run.trainer.parameters()
        values[name][0] = np.inf if name == "conv2_weight" else np.nan
        run.trainer.restore(values, {})
    before = {name: value.asnumpy() for name, value in run.trainer.parameters().items()}
    with pytest.raises(
        OperationFailed, match=r"At step 1 \(epoch 1, learning rate 0\.01\) the (loss is|gradient of \w+ is not)"
    ):
        run.go()
    for name, value in run.trainer.parameters().items():
        np.testing.assert_array_equal(value.asnumpy(), before[name])
    assert run.saved == []


STEP = {"timetable": (Change(1, weight_rate=0.001),), "drops_on_plateau": False}


def test_a_rate_set_by_hand_is_the_rate_of_the_next_step_and_survives_resuming(small_recipe):
    """20 images in batches of 8 are 3 steps an epoch; the step list divides the rate after the first epoch."""
    one = dataclasses.replace(small_recipe, learning=dataclasses.replace(small_recipe.learning, **STEP))
    whole = Run(one, CONTEXTS["fused"])
    assert whole.go(rates={2: 0.004})
    assert [(step, pytest.approx(rate), by) for step, rate, by in whole.said] == [
        (2, 0.004, "me"),
        (3, 0.0004, "timetable"),
    ]
    assert [epoch["learning_rate"] for epoch in whole.state.epochs] == pytest.approx([0.004, 0.0004])
    by_step = {state.step: (state, values) for state, values, _, _ in reversed(whole.saved)}
    start, halved = by_step[2][1], Run(one, CONTEXTS["fused"])
    assert not halved.go(rates={2: 0.004}, stop=lambda: halved.state.step == 2)
    state, parameters, momentum, _ = halved.saved[-1]
    resumed = Run(one, CONTEXTS["fused"], seed=77)
    resumed.state = state
    resumed.trainer.restore(parameters, momentum)
    assert resumed.go()
    for name, value in whole.saved[-1][1].items():
        assert value.asnumpy().tobytes() == resumed.saved[-1][1][name].asnumpy().tobytes(), name
    # The third step by the printed rule, with the rate that was asked for.
    crops, labels, _ = list(whole.data().epoch(0, 0))[2]
    _, gradients = mean_gradients(one, {name: v.asnumpy() for name, v in start.items()}, crops, labels)
    for name, gradient in gradients.items():
        weight, velocity = start[name].asnumpy(), momentum[name].asnumpy()
        decay = 0 if name.endswith("_bias") else 0.0005
        expected = weight + 0.9 * velocity - 0.004 * (decay * weight + gradient)
        np.testing.assert_allclose(by_step[3][1][name].asnumpy(), expected, atol=1e-5 * np.abs(expected).max() + 1e-7)


def test_a_stalled_start_is_noticed_and_a_good_one_is_not(small_recipe):
    """At a rate of nearly 0 the loss stays that of the first guess; that of a net that learns does not."""
    learning = dataclasses.replace(small_recipe.learning, stalled_after=20, epochs=27, patience=99)
    stuck = dataclasses.replace(small_recipe, learning=dataclasses.replace(learning, learning_rate=1e-12))
    run = Run(stuck, CONTEXTS["fused"])
    run.labels[:] = np.arange(20) % CLASSES
    assert run.go()
    assert [said[:2] for said in run.said] == [(20, "stalled"), (40, "stalled"), (80, "stalled")]
    assert run.said[0][2] >= 0.99 * np.log(CLASSES)
    run = Run(dataclasses.replace(small_recipe, learning=learning), CONTEXTS["fused"])
    run.labels[:] = np.arange(20) % 2
    assert run.go()
    assert run.said == []


def test_an_epoch_that_lacks_images_is_noticed(small_recipe):
    run = Run(small_recipe, CONTEXTS["fused"])
    data = dataclasses.replace(run.data(), images=21)
    run.data = lambda: data
    with pytest.raises(OperationFailed, match="20 images where the data set has 21"):
        run.go()


def test_best_is_the_first_checkpoint_of_the_lowest_top_1_error(small_recipe, monkeypatch):
    found = [Score(1, 100, 50, 30), Score(1, 100, 50, 20), Score(1, 100, 40, 35), Score(1, 100, 45, 10)]
    scores = iter(found)
    monkeypatch.setattr(loop, "evaluate", lambda *_, **__: [next(scores)])
    learning = dataclasses.replace(small_recipe.learning, epochs=4)
    run = Run(dataclasses.replace(small_recipe, learning=learning), CONTEXTS["fused"])
    assert run.go()
    best = {len(state.epochs): best for state, _, _, best in run.saved if not state.position}
    assert best == {1: True, 2: False, 3: True, 4: False}  # a tie is no new best, nor is a better top-5 error
    assert [epoch["validation_top5"] for epoch in run.state.epochs] == [30, 20, 35, 10]


def test_the_training_loss_is_the_mean_over_the_images_that_were_there(small_recipe):
    """Of 20 images in batches of 8, 8 and 4 three are damaged and left out of the second one."""
    one = dataclasses.replace(small_recipe, learning=dataclasses.replace(small_recipe.learning, epochs=1))
    run = Run(one, CONTEXTS["fused"])
    batches = [(crops[3:], labels[3:], 3) if n == 1 else (crops, labels, 0) for n, (crops, labels, _) in
               enumerate(run.data().epoch(0, 0))]  # fmt: skip
    data = dataclasses.replace(run.data(), epoch=lambda number, position: iter(batches))
    run.data = lambda: data
    losses, step = [], run.trainer.step
    run.trainer.step = lambda crops, *rest: losses.append((step(crops, *rest), len(crops))) or losses[-1][0]
    assert run.go()
    (epoch,) = run.state.epochs
    assert [count for _, count in losses] == [8, 5, 4]
    assert (epoch["images"], epoch["skipped"]) == (17, 3)
    assert epoch["training_loss"] == pytest.approx(sum(loss * count for loss, count in losses) / 17)


def test_step_seeds_differ():
    assert len({step_seed(seed, step) for seed in range(10) for step in range(1000)}) == 10_000


def test_prefetched_batches_come_in_order_and_errors_come_through():
    with prefetched(iter(range(10))) as batches:
        assert list(batches) == list(range(10))

    def broken():
        yield 1
        raise OSError("the disk is gone")

    with prefetched(broken()) as batches:
        assert next(batches) == 1
        with pytest.raises(OSError, match="the disk is gone"):
            next(batches)


def test_prefetching_ends_with_its_user():
    closed = []

    def endless():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    source = endless()
    with prefetched(source) as batches:
        next(batches)
    source.close()
    assert closed == [True]
