"""The rate: tables of (what happened, rate), worked out by hand."""

import math

import pytest

from gluon_alexnet.recipes import timetable
from gluon_alexnet.recipes.schema import Learning
from gluon_alexnet.recipes.timetable import Change
from gluon_alexnet.training import lr_schedule
from gluon_alexnet.training.lr_schedule import Moment


def stepped(*steps, **numbers):
    drops = lr_schedule.stepped_rates(0.01, 10, steps, 90)
    others = numbers.pop("others", ())
    return Learning(timetable=timetable.with_steps(others, drops), drops_on_plateau=False, **numbers)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.01), (24, 0.01), (25, 0.001), (50, 0.001), (51, 1e-4), (78, 1e-4), (79, 1e-5), (89, 1e-5)],
)
def test_steps_by_hand(epoch, rate):
    learning = stepped(25, 51, 79)
    errors = [50.0] * epoch  # a list of steps does not look at the errors
    assert lr_schedule.rate(learning, Moment(errors)) == pytest.approx(rate)
    assert not lr_schedule.finished(learning, errors)


@pytest.mark.parametrize(
    ("errors", "drops"),
    [
        ([], 0),
        ([9], 0),
        ([9, 9], 0),
        ([9, 9, 9], 1),  # two epochs without a new minimum
        ([9, 8, 8, 7, 7], 0),
        ([9, 8, 8, 8, 7, 7, 8], 2),
        ([9, 9, 9, 9, 9], 2),
        ([9, 10, 8, 10, 10, 7, 6], 1),
        ([9, 9, 9, 9, 9, 9, 9], 3),
    ],
)
def test_a_plateau_divides_the_rate_by_ten(errors, drops):
    learning = Learning(patience=2)
    assert lr_schedule.plateaus(learning, errors) == drops
    assert lr_schedule.rate(learning, Moment(errors)) == pytest.approx(0.01 / 10**drops)


def test_training_ends_on_the_plateau_after_the_third_drop():
    learning = Learning(patience=2)
    stalled = [9.0] * 9
    assert [lr_schedule.finished(learning, stalled[:n]) for n in (7, 8, 9)] == [False, False, True]


def test_training_ends_after_the_last_epoch():
    learning = stepped(1, epochs=3)
    assert [lr_schedule.finished(learning, [1.0] * n) for n in (0, 2, 3)] == [False, False, True]
    falling = [3.0, 2.0, 1.0]
    assert lr_schedule.finished(Learning(epochs=3), falling)
    assert not lr_schedule.finished(Learning(epochs=4), falling)


def test_a_rate_set_by_hand_falls_with_the_schedule():
    learning = stepped(2, 4)
    manual_rate = lr_schedule.ManualRate(rate=0.003, scheduled=0.001, by="me")  # set in epoch 3
    found = [lr_schedule.rates(learning, Moment([9.0] * epoch, manual_rate=manual_rate)).weights for epoch in (2, 3, 4)]
    assert found == pytest.approx([0.003, 0.003, 0.0003])
    assert found[0] == 0.003  # to the bit
    assert lr_schedule.rates(learning, Moment([9.0] * 3, manual_rate=manual_rate)).biases == 0.003
    own = stepped(2, 4, others=(Change(bias_rate=0.02),))
    assert lr_schedule.rates(own, Moment([9.0] * 3, manual_rate=manual_rate)).biases == 0.02


def test_rates_of_layers():
    changes = timetable.with_factors(0.01, (Change(bias_rate=0.02),), {"conv1": 0.1, "fc8": 10, "conv2": 0})
    rates = lr_schedule.rates(Learning(timetable=changes), Moment([]))
    expected = {
        "conv1_weight": 0.001,
        "conv1_bias": 0.002,
        "conv2_weight": 0,
        "conv2_bias": 0,
        "fc7_weight": 0.01,
        "fc8_weight": 0.1,
        "fc8_bias": 0.2,
    }
    assert {name: rates.of(name) for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("step", "loss", "stalled"),
    [
        (1999, 6.91, False),
        (2000, 6.91, True),
        (2000, 6.85, True),
        (2000, 6.80, False),
        (2000, 50.0, True),
        (4000, 6.91, True),
        (6000, 6.91, False),
        (8000, 6.91, True),
    ],
)
def test_a_loss_at_chance_after_two_thousand_updates_is_a_stalled_start(step, loss, stalled):
    assert math.log(1000) == pytest.approx(6.908, abs=1e-3)
    assert lr_schedule.stalled(Learning(), step, loss, 1000) is stalled


def test_why_a_training_ends_before_its_epochs():
    learning = Learning(epochs=90, patience=2, rate_drops=3)
    errors = [50.0, 40.0, *[40.0] * 8]
    assert lr_schedule.finished(learning, errors) and not lr_schedule.finished(learning, errors[:-1])
    said = lr_schedule.why_early(learning, errors)
    assert "no new minimum for 2 epochs, after 3 drops of the learning rate: training ends after 10 of 90" in said
    assert lr_schedule.why_early(Learning(epochs=10), errors) is None


@pytest.mark.parametrize(
    ("error", "classes", "expected"),
    [(90.0, 10, True), (86.0, 10, True), (84.0, 10, False), (50.0, 2, True), (39.0, 2, False), (99.9, 1000, True),
     (99.0, 1000, False)],
)  # fmt: skip
def test_an_error_like_that_of_guessing(error, classes, expected):
    assert lr_schedule.guesses(error, classes) == expected


def test_too_few_updates_are_said_before_they_are_made():
    assert "12 epochs of 450 images are 48 updates" in lr_schedule.few_updates(Learning(epochs=12), 450)
    assert "`init_from`" in lr_schedule.few_updates(Learning(epochs=12), 450)
    assert lr_schedule.few_updates(Learning(epochs=90), 450) is None
