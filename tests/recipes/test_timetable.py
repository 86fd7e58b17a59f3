"""Timetables: what holds at a moment, worked out by hand; the diaries of 2012; files of them, good and bad."""

import dataclasses

import pytest

from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.recipes import presets, timetable
from gluon_alexnet.recipes.timetable import Change
from gluon_alexnet.training import lr_schedule
from gluon_alexnet.training.lr_schedule import Moment
from gluon_alexnet.workflows.learning_options import LearningOptions, changed

DIARY = """
25: 0.001                 # all layers
67: conv1 0.00001, colour 0

72: conv1 0, conv1 bias 0
79: conv2-3+fc8 1e-5
79.1600: bias 0.002
"""


def rates(name, epoch, images=0, **options):
    """Weights' and biases' rates of conv1, of conv2 and of fc8 of a recipe at a moment, rounded to 12 places."""
    recipe = changed(presets.RECIPES[name], LearningOptions(**options))
    found = lr_schedule.rates(recipe.learning, Moment([50.0] * epoch, images))
    kinds, layers = ("weight", "bias"), ("conv1", "conv2", "fc8")
    return [tuple(round(found.of(f"{layer}_{kind}"), 12) for kind in kinds) for layer in layers]


def test_a_file_says_what_changes_and_when(tmp_path):
    changes = timetable.read(DIARY, "diary")
    assert changes == (
        Change(25, weight_rate=0.001),
        Change(67, layers=("conv1",), weight_rate=1e-5),
        Change(67, colour_std=0.0),
        Change(72, layers=("conv1",), weight_rate=0.0),
        Change(72, layers=("conv1",), bias_rate=0.0),
        Change(79, layers=("conv2", "conv3", "fc8"), weight_rate=1e-5),
        Change(79, 1600 * 1024, bias_rate=0.002),
    )
    assert str(changes[-1]) == "after 79.1600: biases 0.002"
    assert str(changes[1]) == "after 67: weights of conv1 1e-05"
    (tmp_path / "diary").write_text(DIARY)
    given = {"timetable": tmp_path / "diary"}
    assert rates("paper", 24, **given) == [(0.01, 0.01)] * 3
    assert rates("paper", 25, **given) == [(0.001, 0.001)] * 3  # biases go with the weights
    assert rates("paper", 72, **given) == [(0.0, 0.0), (0.001, 0.001), (0.001, 0.001)]
    assert rates("paper", 79, 1600 * 1024 - 1, **given)[1:] == [(1e-5, 1e-5)] * 2
    assert rates("paper", 79, 1600 * 1024, **given) == [(0.0, 0.002), (1e-5, 0.002), (1e-5, 0.002)]
    assert [timetable.colour_std(0.1, changes, epoch) for epoch in (66, 67, 90)] == [0.1, 0.0, 0.0]
    learning = changed(presets.PAPER, LearningOptions(**given)).learning
    assert not learning.drops_on_plateau and lr_schedule.changes_within(learning)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("25: 0.001\n10: 0.0001", 'line 2: The timetable is out of order: "after 10: weights 0.0001" stands behind'),
        ("25: 0.001\n24.9: bias 1", "line 2: The timetable is out of order"),
        ("0.001", 'line 1: "0.001" does not begin with an epoch and a colon'),
        ("-1: 0.1", "does not begin with an epoch"),
        ("1: ", '"" does not end with a number'),
        ("1: conv1", '"conv1" does not end with a number'),
        ("1: conv9 0", "there is no layer 'conv9'; there are conv1, conv2"),
        ("1: conv1 conv2 0", '"conv1 conv2" is no layer'),
        ("1: conv1 nan", "must be a number, 0 or more, not nan"),
        ("1: -0.1", "must be a number, 0 or more"),
        ("1.5: colour 0", "The colour shift changes between epochs"),
        ("", "A timetable without a change"),
    ],
)
def test_a_file_that_is_no_timetable(text, words, tmp_path):
    (tmp_path / "diary").write_text(text)
    with pytest.raises(InvalidRequest) as caught:
        changed(presets.PAPER, LearningOptions(timetable=tmp_path / "diary"))
    assert words in str(caught.value) and "\n" not in str(caught.value)


OLD, STOPPED = (1e-3, 0.02), (0, 0)


@pytest.mark.parametrize(
    ("name", "epoch", "file", "expected", "coloured"),
    [
        ("net-145", 66, 0, [(1e-4, 0.02)] * 3, True),
        ("net-145", 67, 0, [(1e-5, 0.02), (1e-4, 0.02), (1e-4, 0.02)], False),
        ("net-145", 90, 0, [STOPPED, (1e-5, 0.02), (1e-5, 0.02)], False),
        ("net-145-continued", 0, 0, [STOPPED, OLD, OLD], True),
        ("net-145-continued", 33, 0, [STOPPED, (1e-5, 0.02), (1e-5, 0.02)], False),
        ("net-147", 78, 0, [(1e-4, 0.02)] * 3, True),
        ("net-147", 79, 0, [STOPPED, (1e-5, 0.02), (1e-5, 0.02)], True),
        ("net-146-2009", 2, 1599, [OLD, OLD, (0.01, 0.02)], True),
        ("net-146-2009", 2, 1600, [OLD] * 3, True),
        ("net-146-2012-2011", 0, 0, [(1e-4, 0.02), OLD, OLD], True),
        ("net-146-2012-2011", 1, 0, [(1e-4, 0.02), OLD, (0.01, 0.02)], True),
        ("net-146-2012-2011", 9, 0, [STOPPED, OLD, OLD], True),
        ("net-146-2012-2011", 42, 0, [STOPPED, (1e-5, 0.02), (1e-5, 0.02)], False),
        ("net-146-2012-2009", 3, 0, [(1e-5, 0.02), OLD, OLD], True),
        ("net-146-2012-2009", 4, 0, [STOPPED, OLD, OLD], True),
    ],
)
def test_the_diaries_of_2012(name, epoch, file, expected, coloured):
    assert rates(name, epoch, file * 1024) == expected
    assert bool(timetable.colour_std(0.1, presets.RECIPES[name].learning.timetable, epoch)) == coloured


def test_as_run_is_a_name_of_net_145():
    for name, net in (("as-run", "net-145"), ("as-run-2010", "net-145-2010")):
        assert dataclasses.replace(presets.RECIPES[name], name=net) == presets.RECIPES[net]


def test_options_change_the_rate_and_leave_the_diary_s_rest():
    for epoch, conv1, others in ((0, 0.005, 0.005), (25, 0.0005, 0.0005), (67, 5e-6, 5e-5), (72, 0, 5e-5)):
        found = rates("as-run", epoch, learning_rate=0.005)
        assert found == [(conv1, 0 if epoch == 72 else 0.02), (others, 0.02), (others, 0.02)]
    for epoch, conv1, others in ((9, 0.01, 0.01), (10, 0.001, 0.001), (67, 1e-5, 1e-3), (80, 0, 1e-4)):
        found = rates("as-run", epoch, steps=(10, 80))
        assert found == [(conv1, 0 if epoch == 80 else 0.02), (others, 0.02), (others, 0.02)]
    factors = {"conv1": 0.1, "fc8": 10.0}
    assert rates("paper", 0, layer_factors=factors) == [(0.001, 0.001), (0.01, 0.01), (0.1, 0.1)]
    found = rates("as-run", 25, layer_factors=factors)
    assert found == [(1e-4, 0.002), (1e-3, 0.02), (1e-2, 0.2)]
    found = rates("as-run", 67, layer_factors=factors)  # of a slow conv1, too
    assert found == [(1e-6, 0.002), (1e-4, 0.02), (1e-3, 0.2)]
    plateau = changed(presets.AS_RUN, LearningOptions(plateau=2)).learning
    assert plateau.drops_on_plateau and plateau.patience == 2
    assert lr_schedule.rates(plateau, Moment([9, 9, 9])).of("fc8_weight") == pytest.approx(0.001)
    assert rates("as-run", 72, plateau=99)[0] == (0, 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": (1,), "plateau": 2}, "contradict each other"),
        ({"steps": (5, 3)}, "must rise, not 5,3"),
        ({"steps": (0, 3)}, "1 or more"),
    ],
)
def test_options_that_contradict_each_other(options, words):
    with pytest.raises(InvalidRequest, match=words):
        changed(presets.PAPER, LearningOptions(**options))


def test_layers_that_never_move():
    learning = changed(presets.PAPER, LearningOptions(layer_factors={"conv1": 0.0, "conv2": 0.5})).learning
    assert timetable.frozen(learning.learning_rate, learning.timetable) == {"conv1"}
    assert timetable.frozen(0.01, presets.AS_RUN.learning.timetable) == set()  # conv1 stops, but it has moved
    continued = presets.RECIPES["net-145-continued"].learning
    assert timetable.frozen(continued.learning_rate, continued.timetable) == {"conv1"}


def test_a_change_by_hand_holds_till_the_timetable_says_otherwise():
    learning = presets.AS_RUN.learning
    by_hand = [Change(30, 2048, ("fc8",), 0.5), Change(30, 2048, ("fc8",), bias_rate=0.25)]
    seen = []
    for epoch, images in ((30, 2047), (30, 2048), (50, 0), (51, 0)):
        found = lr_schedule.rates(learning, Moment([50.0] * epoch, images, changes=by_hand))
        seen.append(tuple(round(found.of(name), 12) for name in ("fc8_weight", "fc8_bias", "fc7_weight")))
    assert seen == [(1e-3, 0.02, 1e-3), (0.5, 0.25, 1e-3), (0.5, 0.25, 1e-3), (1e-4, 0.25, 1e-4)]
