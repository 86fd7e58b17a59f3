"""`train`: what an epoch leaves, what a stopped, diverging or cramped run keeps."""

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers.runner import invoke, run
from helpers.trained import CLASSES, NARROW, TRAIN, VAL, events

from gluon_alexnet import backend
from gluon_alexnet.recipes import presets
from gluon_alexnet.workflows.train import train


def test_an_epoch_leaves_a_log_line_a_checkpoint_and_curves(trained):
    (epoch,) = events(trained / "run", "epoch")
    assert (epoch["epoch"], epoch["images"], epoch["validation_images"]) == (1, CLASSES * TRAIN, CLASSES * VAL)
    assert epoch["step"] == 4  # 30 images are batches of 8, 8, 8 and 6
    assert (trained / "run" / "latest" / "parameters.params").exists()
    assert (trained / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_two_columns_train_and_their_run_exports_as_one_net(trained, tmp_path):
    words = ["--recipe", "narrow", "--cpus", "0,1", "--batch-size", 16, "--epochs", 2, "--lr-steps", 1]
    run("train", "--data", trained / "data", "--run", tmp_path / "run", *words)
    assert [epoch["learning_rate"] for epoch in events(tmp_path / "run", "epoch")] == pytest.approx([0.01, 0.001])
    assert events(tmp_path / "run", "start")[0]["contexts"] == ["cpu(0)", "cpu(1)"]
    run("export", tmp_path / "run", tmp_path / "net")
    description = json.loads((tmp_path / "net.json").read_text())
    assert description["provenance"]["epochs"] == 2
    assert [c["wnid"] for c in description["classes"]] == [f"class{label}" for label in range(CLASSES)]


def test_a_variant_trains_and_eval_shows_its_own_target(trained, tmp_path):
    words = ["--data", trained / "data", "--run", tmp_path / "run", *NARROW, "--epochs", 1]
    run("train", *words, "--variant", "no-lrn", "--variant", "tanh")
    run("export", tmp_path / "run", tmp_path / "net")
    assert json.loads((tmp_path / "net.json").read_text())["provenance"]["variants"] == ["no-lrn", "tanh"]
    shutil.rmtree(tmp_path / "run")
    run("train", *words, "--variant", "no-lrn")
    output = run("eval", "--data", trained / "data", "--model", tmp_path / "run", "--ilsvrc", 2012, "--views", 1)
    assert re.search(r"^  net-148 +42\.03 +19\.36 +–$", output, re.MULTILINE)


def test_as_run_trains_at_an_eighth_of_its_width(trained, tmp_path):
    one = dataclasses.replace(presets.AS_RUN, network=presets.an_eighth(presets.AS_RUN.network))
    words = {"recipe": one, "devices": ["cpu(0)", "cpu(1)"], "run": tmp_path / "run", "batch_size": 30, "epochs": 1}
    assert train(trained / "data", **words).finished
    (epoch,) = events(tmp_path / "run", "epoch")
    assert epoch["learning_rates"] == {"weights": 0.01, "biases": 0.02}


@pytest.mark.slow
def test_as_run_trains(trained, tmp_path):
    words = ["--data", trained / "data", "--cpus", "0,1", "--batch-size", 30, "--epochs", 1]
    run("train", *words, "--recipe", "as-run", "--run", tmp_path / "run")
    (epoch,) = events(tmp_path / "run", "epoch")
    assert epoch["learning_rates"] == {"weights": 0.01, "biases": 0.02}


def test_ctrl_c_leaves_a_checkpoint_that_resume_continues_bit_by_bit(trained, tmp_path):
    words = ["train", "--data", str(trained / "data"), *NARROW, "--lr", "0.001", "--epochs", "5"]
    program = [sys.executable, "-c", "from gluon_alexnet.tools.main import main; main()"]
    process = subprocess.Popen([*program, *words, "--run", str(tmp_path / "a")], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "a" / "latest").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGINT
    assert f"alexnet-tools train --resume --run {tmp_path / 'a'}" in said
    assert len(events(tmp_path / "a", "epoch")) < 5
    run("train", "--resume", "--run", tmp_path / "a", "--cpus", 0)
    run(*words, "--run", tmp_path / "b")
    for name in ("parameters.params", "momentum.params"):
        assert (tmp_path / "a" / "latest" / name).read_bytes() == (tmp_path / "b" / "latest" / name).read_bytes()
    compared = ("epoch", "step", "images", "training_loss", "validation_top1", "validation_top5")
    left, right = ([[e[k] for k in compared] for e in events(tmp_path / r, "epoch")] for r in ("a", "b"))
    assert left == right
    assert len(left) == 5


def test_a_diverging_run_stops_and_keeps_its_last_checkpoint(trained, tmp_path):
    copy = shutil.copytree(trained / "run", tmp_path / "run", symlinks=True)
    before = (copy / "latest" / "parameters.params").read_bytes()
    output = run("train", "--resume", "--run", copy, "--cpus", 0, "--epochs", 9, "--lr", 1e6, code=1)
    kept = backend.mx.nd.load(str(copy / "latest" / "parameters.params"))
    assert before and all(np.isfinite(value.asnumpy()).all() for value in kept.values())
    assert "training stopped before that update" in output
    said, _ = invoke("eval", "--data", trained / "data", "--model", copy, "--json")
    assert json.loads(said)["images"] == CLASSES * VAL


def test_a_full_disk_keeps_the_old_checkpoint_and_training_goes_on(trained, tmp_path, monkeypatch):
    from gluon_alexnet.backend import mx

    written, real = [], mx.nd.save

    def save(file, arrays):
        written.append(file)
        if 3 <= len(written) <= 4:  # after the initial checkpoint's two files: the first of each of the next two
            open(file, "wb").close()
        else:
            real(file, arrays)

    monkeypatch.setattr(mx.nd, "save", save)
    words = ["--data", trained / "data", "--run", tmp_path / "run", *NARROW, "--epochs", 2]
    output = run("train", *words)
    assert output.count("Training goes on, and the checkpoints there stay") == 2
    assert len(events(tmp_path / "run", "epoch")) == 2
    run("eval", "--model", tmp_path / "run", "--views", 1)
    del written[2:]
    shutil.rmtree(tmp_path / "run")
    monkeypatch.setattr(mx.nd, "save", lambda file, arrays: open(file, "wb").close())
    assert "cannot be written" in run("train", *words[:-1], 1, code=1)


def test_checkpoints_within_an_epoch(trained, tmp_path):
    words = ["--data", trained / "data", "--run", tmp_path / "run", *NARROW, "--epochs", 1, "--batch-size", 4]
    run("train", *words, "--checkpoint-minutes", 0.00001)
    # 30 images are 8 updates; before and after the validation the last step is saved twice
    kept = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step-00000008", "step-00000008-2"]
