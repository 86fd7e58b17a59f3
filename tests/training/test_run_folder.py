"""A run's folder: which checkpoint is meant, what is no run, and runs that earlier versions wrote."""

import json
import os
import shutil

import pytest
from helpers.runs import described_run, save

from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.recipes import presets, timetable
from gluon_alexnet.recipes.serialization import FORMAT_VERSION
from gluon_alexnet.training import checkpoint, lr_schedule, run_folder
from gluon_alexnet.training.lr_schedule import ManualRate


@pytest.fixture
def run(tmp_path):
    return described_run(tmp_path / "run")


def test_what_is_no_run_is_said(tmp_path, run):
    with pytest.raises(InvalidRequest, match=r"is n(ot|either) a run.*: it has no recipe\.json"):
        run_folder.find_checkpoint(tmp_path)
    with pytest.raises(OperationFailed, match="no checkpoint yet"):
        run_folder.find_checkpoint(run)
    with pytest.raises(InvalidRequest, match="no run with a checkpoint"):
        run_folder.newest_run(tmp_path)
    save(run, 1)
    assert run_folder.newest_run(tmp_path) == run


def test_the_newest_of_two_runs_is_the_one_that_saved_last(tmp_path, run):
    other = shutil.copytree(run, tmp_path / "a-name-before-the-other")
    for folder, seconds in ((run, 1000), (other, 2000), (run, 3000)):
        save(folder, seconds)
        os.utime(folder / "latest", (seconds, seconds), follow_symlinks=False)
        assert run_folder.newest_run(tmp_path) == folder


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": "x"}'])
def test_a_damaged_description_is_refused(run, content):
    (run / "recipe.json").write_text(content)
    with pytest.raises(OperationFailed, match=r"recipe\.json"):
        run_folder.read_description(run)


def test_runs_of_the_first_version_are_read(run):
    save(run, 7)
    description = json.loads((run / "recipe.json").read_text())
    learning = description["recipe"]["learning"]
    for content, field in ((description, "initialized_from"), (learning, "timetable"), (learning, "stalled_after")):
        del content[field]
    del learning["drops_on_plateau"], learning["updates"]
    (run / "recipe.json").write_text(json.dumps({**description, "version": 1}))
    state = json.loads((run / "latest" / "state.json").read_text())
    for field in ("manual_rate", "recent_loss"):
        del state["state"][field]
    (run / "latest" / "state.json").write_text(json.dumps({**state, "version": 1}))
    assert run_folder.read_description(run).recipe == presets.PAPER
    assert checkpoint.read_state(run / "latest").step == 7
    (run / "recipe.json").write_text(json.dumps({**description, "version": FORMAT_VERSION}))
    with pytest.raises(OperationFailed, match="missing"):
        run_folder.read_description(run)


def test_a_run_of_the_second_version_is_read(run):
    file = run / "recipe.json"
    content = json.loads(file.read_text())
    content["version"] = 2
    for name in ("channel_mean", "channel_std", "dropout_before", "inverted_dropout"):  # what it did not know
        del content["recipe"]["network"][name]
    file.write_text(json.dumps(content))
    assert run_folder.read_description(run).recipe == presets.PAPER


def test_runs_of_the_second_version_had_other_names(run):
    """Written here as the program of 2026-11-22 wrote them, with numbers that are nobody's defaults."""
    save(run, 7)
    description = json.loads((run / "recipe.json").read_text())
    network, learning = description["recipe"]["network"], description["recipe"]["learning"]
    del network["conv1"]["padding"], network["conv1"]["weight_std"], network["fc8_weight_std"], network["activation"]
    network["conv1"].update(border=[1, 2], weight_deviation=0.125)
    network.update(fc8_weight_deviation=0.25, neuron="tanh")
    del learning["learning_rate"]
    learning["rate"] = 0.375
    del learning["timetable"], learning["drops_on_plateau"]  # of seven fields in its place, all are here
    learning.update(bias_rate=0.02, rate_steps=[3, 7], conv1_slow_after=5, conv1_slow_rate=1e-6, conv1_frozen_after=8)
    learning["layer_rates"] = {"fc8": 10.0}
    description["recipe"]["augmentation"]["colour_epochs"] = 6
    (run / "recipe.json").write_text(json.dumps({**description, "version": 2}))
    state = json.loads((run / "latest" / "state.json").read_text())
    del state["state"]["manual_rate"]
    state["state"]["by_hand"] = {"rate": 0.5, "scheduled": 0.25, "by": "me"}
    state["state"]["epochs"] = [{"validation_top1": 50.0, "rate": 0.01, "rates": {"weights": 0.01}}]
    (run / "latest" / "state.json").write_text(json.dumps({**state, "version": 2}))
    recipe = run_folder.read_description(run).recipe
    assert (recipe.network.conv1.padding, recipe.network.conv1.weight_std) == ((1, 2), 0.125)
    assert (recipe.network.fc8_weight_std, recipe.network.activation) == (0.25, "tanh")
    assert recipe.learning.learning_rate == 0.375 and not recipe.learning.drops_on_plateau
    found = {}
    for epoch in (0, 3, 5, 7, 8):
        rates = lr_schedule.rates(recipe.learning, lr_schedule.Moment([50.0] * epoch))
        found[epoch] = [
            rates.of(name) for name in ("conv1_weight", "conv1_bias", "conv2_weight", "fc8_weight", "fc8_bias")
        ]
    assert found == {
        0: pytest.approx([0.375, 0.02, 0.375, 3.75, 0.2]),
        3: pytest.approx([0.0375, 0.02, 0.0375, 0.375, 0.2]),
        5: pytest.approx([1e-6, 0.02, 0.0375, 0.375, 0.2]),
        7: pytest.approx([1e-6, 0.02, 0.00375, 0.0375, 0.2]),
        8: pytest.approx([0, 0, 0.00375, 0.0375, 0.2]),
    }
    changes = recipe.learning.timetable
    assert [timetable.colour_std(0.1, changes, epoch) for epoch in (0, 5, 6, 9)] == [0.1, 0.1, 0, 0]
    found = checkpoint.read_state(run / "latest")
    assert found.manual_rate == ManualRate(0.5, 0.25, "me")
    assert found.epochs == [{"validation_top1": 50.0, "learning_rate": 0.01, "learning_rates": {"weights": 0.01}}]


def test_runs_of_the_fourth_version_had_no_fields_of_the_print(run):
    save(run, 7)
    description = json.loads((run / "recipe.json").read_text())
    del description["recipe"]["network"]["normalization"]["both_columns"]
    for field in ("colour_by_eigenvalue", "mean_before_crop"):
        del description["recipe"]["augmentation"][field]
    (run / "recipe.json").write_text(json.dumps({**description, "version": 4}))
    assert run_folder.read_description(run).recipe == presets.PAPER
    (run / "recipe.json").write_text(json.dumps({**description, "version": FORMAT_VERSION}))
    with pytest.raises(OperationFailed, match="missing"):
        run_folder.read_description(run)
