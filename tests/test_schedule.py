"""The rate: tables of (what happened, rate), worked out by hand."""

import pytest

from gluon_alexnet import schedule
from gluon_alexnet.recipe import Learning


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(0, 0.01), (24, 0.01), (25, 0.001), (50, 0.001), (51, 1e-4), (78, 1e-4), (79, 1e-5), (89, 1e-5)],
)
def test_steps_by_hand(epoch, rate):
    learning = Learning(rate_steps=(25, 51, 79))
    errors = [50.0] * epoch  # a list of steps does not look at the errors
    assert schedule.rate(learning, errors) == pytest.approx(rate)
    assert not schedule.finished(learning, errors)


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
    assert schedule.plateaus(learning, errors) == drops
    assert schedule.rate(learning, errors) == pytest.approx(0.01 / 10**drops)


def test_training_ends_on_the_plateau_after_the_third_drop():
    learning = Learning(patience=2)
    stalled = [9.0] * 9
    assert [schedule.finished(learning, stalled[:n]) for n in (7, 8, 9)] == [False, False, True]


def test_training_ends_after_the_last_epoch():
    learning = Learning(epochs=3, rate_steps=(1,))
    assert [schedule.finished(learning, [1.0] * n) for n in (0, 2, 3)] == [False, False, True]
    falling = [3.0, 2.0, 1.0]
    assert schedule.finished(Learning(epochs=3), falling)
    assert not schedule.finished(Learning(epochs=4), falling)
