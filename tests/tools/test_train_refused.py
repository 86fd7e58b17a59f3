"""What `train` refuses before anything is trained, and that it leaves nothing then."""

import json
import shutil

import pytest
from helpers.runner import run
from helpers.trained import NARROW

from gluon_alexnet import backend


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--lr", -0.1], "'-0.1' is not a number above 0"),
        (["--lr", "nan"], "'nan' is not a number above 0"),
        (["--lr", "fast"], "'fast' is not a number above 0"),
        (["--lr-steps", "51,25"], "must rise, not 51,25"),
        (["--lr-steps", "a,b"], "is not a list of whole numbers"),
        (["--batch-size", 31], "The batch size is 31, but"),
        (["--epochs", 0], "'--epochs'"),
        (["--gpus", "0,0"], "named twice"),
        (["--cpus", "0,0"], "named twice"),
        (["--cpus", "0,1,2", "--batch-size", 8], "runs on 1 device or on a multiple of 2, not on 3"),
        (["--cpus", "0", "--gpus", "0"], "--gpus or --cpus, not both"),
        (["--cpus", "x"], "is not a list of whole numbers"),
        (["--recipe", "other"], "'other' is not one of"),
        (["--variant", "other"], "There is no variant 'other'"),
        (["--variant", "one-gpu", "--variant", "no-cross-link"], "the two contradict each other"),
        (["--resume", "--seed", 1], "seed, batch size and net; leave --seed out"),
        (["--resume", "--recipe", "paper", "--init-from", "x"], "leave --recipe, --init-from out"),
        (["--resume"], "is not a run"),
    ],
)
def test_wrong_use_of_train_is_said_and_leaves_nothing(trained, tmp_path, words, sentence):
    output = run("train", "--data", trained / "data", "--run", tmp_path / "run", *words, code=2)
    assert sentence in output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("gpus", "sentence"),
    [
        ([], "shows no NVIDIA GPU"),
        ([backend.Gpu("T4", (7, 5))], "there is no GPU 1; this machine has 1 GPU"),
        ([backend.Gpu("H100", (9, 0))] * 2, "cannot run MXNet 1.9.1"),
    ],
)
def test_gpus_that_are_not_there_are_said(trained, tmp_path, monkeypatch, gpus, sentence):
    monkeypatch.setattr(backend, "gpus", lambda: gpus)
    output = run(
        "train", "--data", trained / "data", "--run", tmp_path / "run", "--gpus", "0,1", "--batch-size", 8, code=2
    )
    assert sentence in output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("--lr", ["-1", "0", "nan", "inf", "fast"]),
        ("--epochs", ["-1", "0"]),
        ("--batch-size", ["-3", "0"]),
        ("--checkpoint-minutes", ["nan", "0", "-1"]),
    ],
)
def test_a_wrong_number_is_said_with_its_option(tmp_path, option, values):
    for value in values:
        assert f"'{option}'" in run("train", "--run", tmp_path / "run", option, value, code=2)


def test_a_run_is_not_overwritten(trained):
    before = (trained / "run" / "log.jsonl").read_bytes()
    assert "holds a run already" in run("train", "--data", trained / "data", "--run", trained / "run", *NARROW, code=2)
    assert (trained / "run" / "log.jsonl").read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "foreign", "missing"])
@pytest.mark.parametrize(
    "name", ["dataset.json", "statistics.npz", "train-00000-of-00001.rec", "train-00000-of-00001.idx"]
)
def test_damaged_data_is_named_and_nothing_is_trained(trained, tmp_path, name, damage):
    data = shutil.copytree(trained / "data", tmp_path / "data")
    content = (data / name).read_bytes()
    if damage == "missing":
        (data / name).unlink()
    else:
        (data / name).write_bytes(content[: len(content) // 2] if damage == "cut" else b"something else")
    code = 2 if (name, damage) == ("dataset.json", "missing") else 1  # a folder without it is no data set
    assert name in run("train", "--data", data, "--run", tmp_path / "run", *NARROW, code=code)
    assert not (tmp_path / "run" / "latest").exists()


def test_a_manifest_of_a_newer_program_is_refused(trained, tmp_path):
    data = shutil.copytree(trained / "data", tmp_path / "data")
    manifest = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**manifest, "schema_version": manifest["schema_version"] + 1}))
    assert "older than the data set" in run("train", "--data", data, "--run", tmp_path / "run", *NARROW, code=1)


def test_a_run_that_is_being_trained_is_left_alone(trained):
    import fcntl

    with open(trained / "run" / "log.jsonl", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = (trained / "run" / "log.jsonl").read_bytes()
        said = run("train", "--resume", "--run", trained / "run", "--cpus", 0, "--epochs", 2, code=2)
        assert "is being trained by another process" in said
        assert (trained / "run" / "log.jsonl").read_bytes() == before
