"""A run finds the data set it was trained on, from any folder, or says what to give."""

import json
import os
import shutil
import stat

import pytest
from helpers import images, nets
from helpers.runner import run

from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.training import checkpoint, run_folder
from gluon_alexnet.workflows.run_data import data_of_run

NARROW = ["--recipe", "narrow", "--cpus", "0", "--batch-size", "8", "--epochs", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    folder = tmp_path_factory.mktemp("run-data")
    nets.make_run(folder / "runs" / "run", small_recipe, images.packed(folder), seed=1)
    return folder


def recorded(folder, data, digest=None):
    """The run's description with another path of the data set."""
    file = folder / "recipe.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "data": str(data), "data_digest": digest or content["data_digest"]}))


def test_a_run_keeps_the_data_set_absolute_and_works_from_anywhere(place, tmp_path, monkeypatch):
    monkeypatch.chdir(place)
    run("train", "--data", "data", "--run", tmp_path / "run", *NARROW)
    assert run_folder.read_description(tmp_path / "run").data == str(place / "data")
    monkeypatch.chdir(tmp_path)
    for words in (
        ["eval", "--model", "run", "--split", "train", "--views", 1],
        ["train", "--resume", "--run", "run", *NARROW[2:4], "--epochs", 2],
    ):
        run(*words)


def test_the_relative_path_of_an_older_run_is_tried_where_the_run_lies(place, tmp_path, monkeypatch):
    older = shutil.copytree(place, tmp_path / "all", symlinks=True)
    recorded(older / "runs" / "run", "data")
    monkeypatch.chdir("/")
    assert data_of_run(older / "runs" / "run") == older / "data"
    assert data_of_run(older / "runs" / "run" / "latest") == older / "data"
    monkeypatch.chdir(older)
    assert data_of_run(older / "runs" / "run").resolve() == older / "data"


def test_of_several_data_sets_at_a_relative_path_the_one_with_the_run_s_digest_is_taken(place, tmp_path, monkeypatch):
    older = shutil.copytree(place, tmp_path / "all", symlinks=True)
    (tmp_path / "elsewhere").mkdir()
    images.packed(tmp_path / "elsewhere", images=3)
    recorded(older / "runs" / "run", "data", read_manifest(older / "data").digest)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert data_of_run(older / "runs" / "run") == older / "data"


def test_a_data_set_that_is_gone_is_said_with_what_to_give(place, tmp_path, monkeypatch):
    gone = shutil.copytree(place / "runs" / "run", tmp_path / "run", symlinks=True)
    recorded(gone, "/nowhere/data")
    sentence = f"{gone} was trained on the data set /nowhere/data, which is not there; give --data."
    for words in (
        ["eval", "--model", gone],
        ["export", gone, tmp_path / "out"],
        ["plot", "units", gone, "--layer", "conv5", "--output", tmp_path / "u.png"],
        ["train", "--resume", "--run", gone, "--cpus", 0],
    ):
        assert sentence in run(*words, code=2)
    run("export", gone, tmp_path / "out", "--data", images.packed(tmp_path), "--cpus", 0)
    monkeypatch.chdir(tmp_path)
    said = run("eval", "--model", "out", code=2)
    assert "out is an exported net, which does not know its data set" in said and "give --data" in said
    with pytest.raises(InvalidRequest, match="neither a run, a checkpoint nor an exported net"):
        data_of_run(tmp_path / "nope")


def test_a_model_that_is_none_is_said_before_the_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "nope is neither a run, a checkpoint nor an exported net" in run("eval", "--model", "nope", code=2)
    assert "nope is neither" in run("eval", "--model", "nope", "--data", "none", code=2)


def test_a_file_is_no_run_folder(place, tmp_path):
    (tmp_path / "file").write_text("mine")
    words = ["train", "--data", place / "data", "--run", tmp_path / "file", *NARROW]
    assert "is a file" in run(*words, code=2)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o002])
def test_checkpoints_are_for_whom_the_run_is_for(place, tmp_path, mask):
    before = os.umask(mask)
    try:
        parameters = checkpoint.load_run(place / "runs" / "run")[2]
        (tmp_path / "run").mkdir()
        target = checkpoint.save(tmp_path / "run", checkpoint.State(0), parameters, {}, best=True)
    finally:
        os.umask(before)
    for folder in (tmp_path / "run", target.parent, target):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~mask
    for file in target.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask
