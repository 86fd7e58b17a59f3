"""What one can do to a run from outside: its rate, event files, the layers it begins with."""

import json
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from helpers.runner import run

from gluon_alexnet.backend import mx
from gluon_alexnet.training import checkpoint, run_folder, run_log
from gluon_alexnet.workflows import set_learning_rate

CLASSES, TRAIN = 4, 4
PROGRAM = [sys.executable, "-c", "from gluon_alexnet.tools.main import main; main()"]
NARROW = ["--recipe", "narrow", "--cpus", "0", "--batch-size", "8"]


def log(folder, event):
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == event]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("supervision"), np.random.default_rng(0)
    for split in ("train", "val"):
        for label in range(CLASSES):
            for index in range(TRAIN):
                file = folder / split / f"class{label}" / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), made.integers(0, 60 + 60 * label, (80, 90, 3), dtype=np.uint8))
    run("pack", "--train", folder / "train", "--val", folder / "val", "--data", folder / "data")
    return folder / "data"


def test_the_rate_of_a_running_training_is_turned_and_stays_when_it_is_resumed(data, tmp_path):
    folder, said = tmp_path / "run", tmp_path / "said"
    words = ["train", "--data", data, "--run", folder, *NARROW, "--epochs", 1000, "--lr-steps", 900]
    with open(said, "wb") as file:
        process = subprocess.Popen([*PROGRAM, *map(str, words)], stdout=file, stderr=file)
    try:
        while not (folder / "latest").exists() or not log(folder, "epoch"):
            assert process.poll() is None, said.read_text()
            time.sleep(0.05)
        before = len(log(folder, "epoch"))
        assert "the rate is 0.0025 from now on" in run("lr", folder, 0.0025)
    finally:
        process.kill()
        process.wait()
    (turned,) = log(folder, "rate")
    assert turned["learning_rate"] == 0.0025
    assert turned["by"].partition("@")[2]
    assert turned["step"] <= 2 * before + 40
    assert not (folder / "rate.json").exists()
    epochs = len(checkpoint.read_state(run_folder.find_checkpoint(folder)).epochs)
    run("train", "--resume", "--run", folder, "--cpus", "0,1", "--epochs", epochs + 2)
    assert [epoch["learning_rate"] for epoch in log(folder, "epoch")][-2:] == [0.0025, 0.0025]
    run("train", "--resume", "--run", folder, "--cpus", "0", "--epochs", epochs + 3, "--lr", 0.005)
    assert log(folder, "epoch")[-1]["learning_rate"] == 0.005


def test_a_rate_for_what_does_not_run_is_refused(data, tmp_path):
    assert "is not a run" in run("lr", tmp_path, 0.001, code=2)
    run("train", "--data", data, "--run", tmp_path / "run", *NARROW, "--epochs", 1)
    said = run("lr", tmp_path / "run", 0.001, code=2)
    assert "is not being trained at the moment" in said
    assert "--resume" in said
    for rate in ("0", "-1", "nan", "inf", "fast"):
        assert "RATE" in run("lr", "--", tmp_path / "run", rate, code=2)
    for rate in ("-1", "-.5", "-inf"):
        assert f"RATE: {rate} is no learning rate" in run("lr", tmp_path / "run", rate, code=2)
    assert not (tmp_path / "run" / "rate.json").exists()


def test_a_damaged_request_is_told_and_does_no_harm(data, tmp_path):
    folder = tmp_path / "run"
    run("train", "--data", data, "--run", folder, *NARROW, "--epochs", 1)
    (folder / "rate.json").write_text('{"version": 1, "learning_rate": "fast", "by": "me"}')
    said = run("train", "--resume", "--run", folder, "--cpus", 0, "--epochs", 2)
    assert "asks for no learning rate" in said
    assert log(folder, "epoch")[-1]["learning_rate"] == 0.01
    assert not (folder / "rate.json").exists()


def test_a_run_that_ends_before_it_takes_the_rate_is_told(data, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    run("train", "--data", data, "--run", folder, *NARROW, "--epochs", 1)
    answers = iter([True, False])
    monkeypatch.setattr(run_log, "is_running", lambda run: next(answers))
    assert "ended before it took the rate" in run("lr", folder, 0.001, code=1)
    run("train", "--resume", "--run", folder, "--cpus", 0, "--epochs", 2)
    assert [record["learning_rate"] for record in log(folder, "rate")] == [0.001]
    monkeypatch.setattr(run_log, "is_running", lambda run: True)
    monkeypatch.setattr(set_learning_rate, "SECONDS", 0.0)
    assert "has not taken the rate yet" in run("lr", folder, 0.002)


def test_a_plateau_of_the_user_s_length(data, tmp_path):
    """A rate too small to learn anything: no epoch is better than the first, so every second one ends a wait of 2."""
    words = ["--data", data, "--run", tmp_path / "run", *NARROW, "--lr", 1e-12]
    run("train", *words, "--plateau", 2, "--epochs", 50)
    epochs = log(tmp_path / "run", "epoch")
    expected = [1e-12] * 3 + [1e-13] * 2 + [1e-14] * 2 + [1e-15] * 2
    assert [epoch["learning_rate"] for epoch in epochs] == pytest.approx(expected)
    assert [(r["step"], r["by"]) for r in log(tmp_path / "run", "rate")] == [
        (6, "plateau"),
        (10, "plateau"),
        (14, "plateau"),
    ]
    assert "not both" in run("train", *words, "--plateau", 2, "--lr-steps", 3, code=2)
    run("train", "--plateau", 0, code=2)


def test_event_files_are_what_tensorboard_reads(data, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    run("train", "--data", data, "--run", folder, *NARROW, "--epochs", 2, "--lr-steps", 1, "--tensorboard")
    run("train", "--resume", "--run", folder, "--cpus", 0, "--epochs", 3, "--tensorboard")
    board = EventAccumulator(str(folder / "tensorboard"))
    board.Reload()
    losses = board.Scalars("training/loss")
    assert [event.step for event in losses] == [1, 2, 3, 4, 5, 6]
    for number, epoch in enumerate(log(folder, "epoch")):  # both batches of an epoch have 8 images
        mean = sum(event.value for event in losses[2 * number : 2 * number + 2]) / 2
        assert mean == pytest.approx(epoch["training_loss"], rel=1e-5)
        error = board.Scalars("validation/top1_error")[number]
        assert (error.step, error.value) == (epoch["step"], pytest.approx(epoch["validation_top1"]))
    assert [event.value for event in board.Scalars("training/rate")] == pytest.approx([0.01] * 2 + [0.001] * 4)


def test_a_run_that_begins_with_another_net(data, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    run("train", "--data", data, "--run", first, *NARROW, "--epochs", 1)
    words = ["--data", data, "--run", second, *NARROW, "--epochs", 1, "--seed", 3]
    rates = ["--layer-rates", "conv1-5=0,fc6=0.1,fc8=10"]
    said = run("train", *words, "--init-from", first, "--layers", "conv1-5,fc6", *rates)
    assert "conv1, conv2, conv3, conv4, conv5, fc6 of" in said
    old, new = (mx.nd.load(str(folder / "latest" / "parameters.params")) for folder in (first, second))
    for name in ("conv1_weight", "conv3_bias", "conv5_weight"):  # frozen: no step, no decay
        assert old[name].asnumpy().tobytes() == new[name].asnumpy().tobytes()
    assert not np.array_equal(old["fc6_weight"].asnumpy(), new["fc6_weight"].asnumpy())
    taken = run_folder.read_description(second).initialized_from
    assert (taken["source"], taken["layers"]) == (str(first), ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--layers", "conv1"], "name it with --init-from"),
        (["--match-classes"], "name it with --init-from"),
        (["--init-from", "nothing"], "nothing is neither a run, a checkpoint nor an exported net"),
        (["--init-from", "nothing", "--layers", "conv1-9"], "conv1 to conv6"),
        (["--init-from", "nothing", "--layers", "pool1"], "no layer"),
        (["--layer-rates", "conv1"], "not a layer with a number"),
        (["--layer-rates", "conv1=nan"], "not a layer with a number"),
        (["--layer-rates", "conv1=-1"], "not a layer with a number"),
    ],
)
def test_wrong_use(data, tmp_path, words, sentence):
    said = run("train", "--data", data, "--run", tmp_path / "run", *NARROW, *words, code=2)
    assert sentence in said
    assert not (tmp_path / "run").exists()
