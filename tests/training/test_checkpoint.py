"""Checkpoints come back whole or are refused."""

import dataclasses
import json

import numpy as np
import pytest
from helpers.runs import described_run, save

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import OperationFailed
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.recipes import presets
from gluon_alexnet.recipes.serialization import FORMAT_VERSION
from gluon_alexnet.training import checkpoint, run_folder


@pytest.fixture
def run(tmp_path):
    return described_run(tmp_path / "run")


def test_what_was_saved_comes_back(run):
    save(run, 7, position=64)
    state, parameters, momentum = checkpoint.load(run_folder.find_checkpoint(run))
    assert (state.seed, state.step, state.position, state.epoch, state.errors) == (3, 7, 64, 2, [50.0, 50.0])
    np.testing.assert_array_equal(parameters["a"].asnumpy(), np.arange(6).reshape(2, 3) + 7)
    assert parameters["b"].asnumpy().tobytes() == np.array([1e-30, -0.0], np.float32).tobytes()
    np.testing.assert_array_equal(momentum["a"].asnumpy(), 2 * (np.arange(6).reshape(2, 3) + 7))
    description = run_folder.read_description(run)
    assert description.recipe == presets.PAPER
    assert [c["name"] for c in description.classes] == ["tench", "Zürich"]


def test_a_run_without_momentum_yet_comes_back(run):
    checkpoint.save(run, checkpoint.State(seed=0), {"a": mx.nd.ones((2,))}, {}, best=False)
    assert checkpoint.load(run / "latest")[2] == {}


def test_a_step_that_is_saved_many_times_keeps_its_newest(run):
    for loss in range(12):
        state = checkpoint.State(seed=0, step=5, loss_sum=float(loss))
        checkpoint.save(run, state, {"a": mx.nd.ones((2,))}, {}, best=False)
        assert checkpoint.read_state(run_folder.find_checkpoint(run)).loss_sum == loss
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
    assert run_folder.find_checkpoint(run / "best").name == "step-00000001"


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
    with pytest.raises(OperationFailed, match=rf"version 99; this program reads up to {FORMAT_VERSION}"):
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


def test_a_checkpoint_of_another_net_is_refused(tmp_path, small_recipe):
    """The checkpoint of a net of four classes in the folder of a run of three, and one with a layer too few."""
    classes = [{"wnid": name, "name": name} for name in "abc"]
    run_folder.write_description(tmp_path, run_folder.RunDescription(small_recipe, classes, "data", "d", {}))
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
