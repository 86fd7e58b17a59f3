"""Checkpoints come back whole or are refused."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.recipes import presets, timetable
from gluon_alexnet.training import checkpoint, lr_schedule
from gluon_alexnet.training.lr_schedule import ManualRate


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    classes = [{"wnid": "n01", "name": "tench"}, {"wnid": "n02", "name": "Zürich"}]
    checkpoint.write_description(
        folder, checkpoint.RunDescription(presets.PAPER, classes, "data", "d" * 64, {"mxnet": "1"})
    )
    return folder


def save(run, step, best=False, position=0):
    state = checkpoint.State(seed=3, step=step, position=position, epochs=[{"validation_top1": 50.0}] * 2)
    arrays = {"a": mx.nd.arange(6).reshape((2, 3)) + step, "b": mx.nd.array([1e-30, -0.0])}
    return checkpoint.save(run, state, arrays, {"a": arrays["a"] * 2}, best)


def test_what_was_saved_comes_back(run):
    save(run, 7, position=64)
    state, parameters, momentum = checkpoint.load(checkpoint.find_checkpoint(run))
    assert (state.seed, state.step, state.position, state.epoch, state.errors) == (3, 7, 64, 2, [50.0, 50.0])
    np.testing.assert_array_equal(parameters["a"].asnumpy(), np.arange(6).reshape(2, 3) + 7)
    assert parameters["b"].asnumpy().tobytes() == np.array([1e-30, -0.0], np.float32).tobytes()
    np.testing.assert_array_equal(momentum["a"].asnumpy(), 2 * (np.arange(6).reshape(2, 3) + 7))
    description = checkpoint.read_description(run)
    assert description.recipe == presets.PAPER
    assert [c["name"] for c in description.classes] == ["tench", "Zürich"]


def test_a_run_of_the_second_version_is_read(run):
    file = run / "recipe.json"
    content = json.loads(file.read_text())
    content["version"] = 2
    for name in ("channel_mean", "channel_std", "dropout_before", "inverted_dropout"):  # what it did not know
        del content["recipe"]["network"][name]
    file.write_text(json.dumps(content))
    assert checkpoint.read_description(run).recipe == presets.PAPER


def test_a_run_without_momentum_yet_comes_back(run):
    checkpoint.save(run, checkpoint.State(seed=0), {"a": mx.nd.ones((2,))}, {}, best=False)
    assert checkpoint.load(run / "latest")[2] == {}


def test_a_step_that_is_saved_many_times_keeps_its_newest(run):
    for loss in range(12):
        state = checkpoint.State(seed=0, step=5, loss_sum=float(loss))
        checkpoint.save(run, state, {"a": mx.nd.ones((2,))}, {}, best=False)
        assert checkpoint.read_state(checkpoint.find_checkpoint(run)).loss_sum == loss
        assert len(list((run / "checkpoints").iterdir())) == min(loss + 1, 2)


def test_the_newest_two_and_the_best_are_kept(run):
    save(run, 1, best=True)
    for step in (2, 3, 4):
        save(run, step)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == [
        "step-00000001",
        "step-00000003",
        "step-00000004",
    ]
    assert (run / "latest").resolve().name == "step-00000004"
    assert checkpoint.find_checkpoint(run / "best").name == "step-00000001"


def test_saving_the_same_step_again_leaves_the_first_until_it_is_old(run):
    for position in (0, 5, 6):
        save(run, 1, position=position)
        assert checkpoint.load(run / "latest")[0].position == position
    save(run, 2)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step-00000001-3", "step-00000002"]


@pytest.mark.parametrize("name", ["parameters.params", "momentum.params", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "foreign", "missing"])
def test_a_damaged_file_is_named(run, name, damage):
    file = save(run, 1) / name
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"not what was saved")
    with pytest.raises(OperationFailed, match=name):
        checkpoint.load(run / "checkpoints" / "step-00000001")


def test_a_newer_checkpoint_is_refused(run):
    file = save(run, 1) / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "version": 99}))
    with pytest.raises(OperationFailed, match=rf"version 99; this program reads up to {checkpoint.FORMAT_VERSION}"):
        checkpoint.load(run / "latest")


def raise_mxnet_error(file, arrays):
    raise mx.base.MXNetError("FileStream.Write incomplete")


@pytest.mark.parametrize(
    "full_disk",
    [raise_mxnet_error, lambda file, arrays: open(file, "wb").close()],
    ids=["a write fails", "the flush at the end fails"],
)
def test_a_failed_save_leaves_the_old_checkpoint(run, monkeypatch, full_disk):
    save(run, 1)
    monkeypatch.setattr(mx.nd, "save", full_disk)
    with pytest.raises(OperationFailed, match="step 2 cannot be written"):
        save(run, 2)
    assert checkpoint.load(run / "latest")[0].step == 1
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step-00000001"]


def test_the_newest_of_two_runs_is_the_one_that_saved_last(tmp_path, run):
    other = shutil.copytree(run, tmp_path / "a-name-before-the-other")
    for folder, seconds in ((run, 1000), (other, 2000), (run, 3000)):
        save(folder, seconds)
        os.utime(folder / "latest", (seconds, seconds), follow_symlinks=False)
        assert checkpoint.newest_run(tmp_path) == folder


def test_what_is_no_run_is_said(tmp_path, run):
    with pytest.raises(InvalidRequest, match=r"is n(ot|either) a run.*: it has no recipe\.json"):
        checkpoint.find_checkpoint(tmp_path)
    with pytest.raises(OperationFailed, match="no checkpoint yet"):
        checkpoint.find_checkpoint(run)
    with pytest.raises(InvalidRequest, match="no run with a checkpoint"):
        checkpoint.newest_run(tmp_path)
    save(run, 1)
    assert checkpoint.newest_run(tmp_path) == run


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": "x"}'])
def test_a_damaged_description_is_refused(run, content):
    (run / "recipe.json").write_text(content)
    with pytest.raises(OperationFailed, match=r"recipe\.json"):
        checkpoint.read_description(run)


def test_a_checkpoint_of_another_net_is_refused(tmp_path, small_recipe):
    """The checkpoint of a net of four classes in the folder of a run of three, and one with a layer too few."""
    classes = [{"wnid": name, "name": name} for name in "abc"]
    checkpoint.write_description(tmp_path, checkpoint.RunDescription(small_recipe, classes, "data", "d", {}))
    network = small_recipe.network
    for values, momentum, named in (
        (initial_parameters(network, 4, seed=0), {}, "fc8_weight"),
        (initial_parameters(dataclasses.replace(network, conv3=None), 3, seed=0), {}, "conv3_weight"),
        (initial_parameters(network, 3, seed=0), {"fc8_bias": mx.nd.zeros(4)}, "momentum"),
    ):
        checkpoint.save(tmp_path, checkpoint.State(seed=0), values, momentum, best=False)
        with pytest.raises(
            OperationFailed, match=rf"is of another net than .*recipe.json describes \({named} differs\)"
        ):
            checkpoint.load_run(tmp_path)
    good = initial_parameters(network, 3, seed=0)
    checkpoint.save(tmp_path, checkpoint.State(seed=0), good, {"fc8_bias": good["fc8_bias"]}, best=False)
    assert set(checkpoint.load_run(tmp_path)[2]) == set(good)


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
    assert checkpoint.read_description(run).recipe == presets.PAPER
    assert checkpoint.read_state(run / "latest").step == 7
    (run / "recipe.json").write_text(json.dumps({**description, "version": checkpoint.FORMAT_VERSION}))
    with pytest.raises(OperationFailed, match="missing"):
        checkpoint.read_description(run)


def test_runs_of_the_fourth_version_had_no_fields_of_the_print(run):
    save(run, 7)
    description = json.loads((run / "recipe.json").read_text())
    del description["recipe"]["network"]["normalization"]["both_columns"]
    for field in ("colour_by_eigenvalue", "mean_before_crop"):
        del description["recipe"]["augmentation"][field]
    (run / "recipe.json").write_text(json.dumps({**description, "version": 4}))
    assert checkpoint.read_description(run).recipe == presets.PAPER
    (run / "recipe.json").write_text(json.dumps({**description, "version": checkpoint.FORMAT_VERSION}))
    with pytest.raises(OperationFailed, match="missing"):
        checkpoint.read_description(run)


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
    recipe = checkpoint.read_description(run).recipe
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
