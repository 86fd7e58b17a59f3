"""The commands one after another on made images, and what each says to bad input."""

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from helpers.images import coloured_classes
from helpers.runner import invoke, run

from gluon_alexnet import backend
from gluon_alexnet.recipes import presets
from gluon_alexnet.workflows.train import train

CLASSES, TRAIN, VAL = 6, 5, 3  # classes, and images of each
NARROW = ["--recipe", "narrow", "--cpus", "0", "--batch-size", "8"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images, a data set of them, and a run of one epoch on it."""
    folder = tmp_path_factory.mktemp("commands")
    images = coloured_classes(folder / "images", CLASSES, {"train": TRAIN, "val": VAL})
    run("pack", "--train", images / "train", "--val", images / "val", "--data", folder / "data")
    run("train", "--data", folder / "data", "--run", folder / "run", *NARROW, "--epochs", 1)
    return folder


def log(folder, event):
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == event]


def test_an_epoch_leaves_a_log_line_a_checkpoint_and_curves(place):
    (epoch,) = log(place / "run", "epoch")
    assert (epoch["epoch"], epoch["images"], epoch["validation_images"]) == (1, CLASSES * TRAIN, CLASSES * VAL)
    assert epoch["step"] == 4  # 30 images are batches of 8, 8, 8 and 6
    assert (place / "run" / "latest" / "parameters.params").exists()
    assert (place / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_eval_counts_every_image_and_shows_the_paper_s_row(place):
    output = run("eval", "--data", place / "data", "--model", place / "run", "--ilsvrc", 2012)
    assert f"{CLASSES * VAL} images" in output
    assert "10 views" in output
    assert "centre view" in output
    assert "paper, Table 2" in output
    assert re.search(r"^  1 CNN +40\.7 +18\.2 +–$", output, re.MULTILINE)


def test_eval_of_the_export_is_eval_of_the_run(place):
    out = place / "exported" / "net"
    assert "largest difference in a probability over 8 images: SymbolBlock" in run("export", place / "run", out)
    scores = [
        json.loads(invoke("eval", "--data", place / "data", "--model", model, "--json")[0])["scores"]
        for model in (place / "run", out)
    ]
    assert scores[0] == scores[1]
    assert [score["images"] for score in scores[0]] == [CLASSES * VAL] * 2


def test_without_a_data_set_a_run_is_evaluated_on_its_own(place, monkeypatch):
    monkeypatch.chdir(place)
    assert f"{CLASSES * VAL} images of {place / 'data'} (val)" in run("eval", "--model", "run", "--views", 1)


def test_views_and_split_are_the_user_s_choice(place):
    words = ["--data", place / "data", "--model", place / "run", "--views", 1, "--split", "train", "--json"]
    output, _ = invoke("eval", *words)
    document = json.loads(output)
    assert [score["views"] for score in document["scores"]] == [1]
    assert document["images"] == CLASSES * TRAIN
    assert "give 10, 1 or 10,1" in run("eval", "--data", place / "data", "--model", place / "run", "--views", 5, code=2)
    said = run("eval", "--data", place / "data", "--model", place / "run", "--split", "test", code=2)
    assert "train, val" in said


def test_two_columns_train_and_their_run_exports_as_one_net(place, tmp_path):
    words = ["--recipe", "narrow", "--cpus", "0,1", "--batch-size", 16, "--epochs", 2, "--lr-steps", 1]
    run("train", "--data", place / "data", "--run", tmp_path / "run", *words)
    assert [epoch["learning_rate"] for epoch in log(tmp_path / "run", "epoch")] == pytest.approx([0.01, 0.001])
    assert log(tmp_path / "run", "start")[0]["contexts"] == ["cpu(0)", "cpu(1)"]
    run("export", tmp_path / "run", tmp_path / "net")
    description = json.loads((tmp_path / "net.json").read_text())
    assert description["provenance"]["epochs"] == 2
    assert [c["wnid"] for c in description["classes"]] == [f"class{label}" for label in range(CLASSES)]


def test_recipes_lists_what_can_be_trained_and_its_targets():
    output = run("recipes")
    for words in ("as-run", "one-gpu", "no-cross-link", "six-conv"):
        assert words in output
    # A score is the net's that earned it, and a variant, which differs in less, only points to it.
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "paper 60,965,224 what the paper prints (NIPS 2012)" in lines
    own = lines.index("net-148 60,965,224 no normalisation")
    assert lines[own + 1] == "42.03/19.36 on 2012 val (2012 code's diary)"
    variant = lines.index("no-lrn 60,965,224 no response normalisation (Sec. 3.3)")
    assert lines[variant + 1] == "paper, against the full net: +1.4 top-1, +1.2 top-5 (Sec. 3.3)"
    assert lines[variant + 2] == "another net: recipe net-148, 42.03/19.36 on 2012 val (2012 code's diary)"
    assert "60,714,408" in lines[lines.index("41.83/19.33 on 2012 val (2012 code's diary)") - 1]


def test_a_variant_trains_and_eval_shows_its_own_target(place, tmp_path):
    words = ["--data", place / "data", "--run", tmp_path / "run", *NARROW, "--epochs", 1]
    run("train", *words, "--variant", "no-lrn", "--variant", "tanh")
    run("export", tmp_path / "run", tmp_path / "net")
    assert json.loads((tmp_path / "net.json").read_text())["provenance"]["variants"] == ["no-lrn", "tanh"]
    shutil.rmtree(tmp_path / "run")
    run("train", *words, "--variant", "no-lrn")
    output = run("eval", "--data", place / "data", "--model", tmp_path / "run", "--ilsvrc", 2012, "--views", 1)
    assert re.search(r"^  net-148 +42\.03 +19\.36 +–$", output, re.MULTILINE)


def test_as_run_trains_at_an_eighth_of_its_width(place, tmp_path):
    one = dataclasses.replace(presets.AS_RUN, network=presets.an_eighth(presets.AS_RUN.network))
    words = {"recipe": one, "devices": ["cpu(0)", "cpu(1)"], "run": tmp_path / "run", "batch_size": 30, "epochs": 1}
    assert train(place / "data", **words).finished
    (epoch,) = log(tmp_path / "run", "epoch")
    assert epoch["learning_rates"] == {"weights": 0.01, "biases": 0.02}


@pytest.mark.slow
def test_as_run_trains(place, tmp_path):
    words = ["--data", place / "data", "--cpus", "0,1", "--batch-size", 30, "--epochs", 1]
    run("train", *words, "--recipe", "as-run", "--run", tmp_path / "run")
    (epoch,) = log(tmp_path / "run", "epoch")
    assert epoch["learning_rates"] == {"weights": 0.01, "biases": 0.02}


def test_fewer_than_five_classes_are_explained(place, tmp_path):
    for split in ("train", "val"):
        for label in range(3):
            source = place / "images" / split / f"class{label}"
            shutil.copytree(source, tmp_path / "images" / split / f"class{label}")
    images = tmp_path / "images"
    run("pack", "--train", images / "train", "--val", images / "val", "--data", tmp_path / "data")
    run("train", "--data", tmp_path / "data", "--run", tmp_path / "run", *NARROW, "--epochs", 1)
    output = run("eval", "--data", tmp_path / "data", "--model", tmp_path / "run", "--views", 1)
    assert "With 3 classes the five best guesses are all of them" in output
    said = run("eval", "--data", place / "data", "--model", tmp_path / "run", code=2)
    assert "knows 3 classes" in said
    said = run("train", "--resume", "--run", tmp_path / "run", "--data", place / "data", "--cpus", 0, code=2)
    assert "was trained on another data set" in said


def test_ctrl_c_leaves_a_checkpoint_that_resume_continues_bit_by_bit(place, tmp_path):
    words = ["train", "--data", str(place / "data"), *NARROW, "--lr", "0.001", "--epochs", "5"]
    program = [sys.executable, "-c", "from gluon_alexnet.tools.main import main; main()"]
    process = subprocess.Popen([*program, *words, "--run", str(tmp_path / "a")], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "a" / "latest").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGINT
    assert f"alexnet-tools train --resume --run {tmp_path / 'a'}" in said
    assert len(log(tmp_path / "a", "epoch")) < 5
    run("train", "--resume", "--run", tmp_path / "a", "--cpus", 0)
    run(*words, "--run", tmp_path / "b")
    for name in ("parameters.params", "momentum.params"):
        assert (tmp_path / "a" / "latest" / name).read_bytes() == (tmp_path / "b" / "latest" / name).read_bytes()
    compared = ("epoch", "step", "images", "training_loss", "validation_top1", "validation_top5")
    left, right = ([[e[k] for k in compared] for e in log(tmp_path / r, "epoch")] for r in ("a", "b"))
    assert left == right
    assert len(left) == 5


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
def test_wrong_use_of_train_is_said_and_leaves_nothing(place, tmp_path, words, sentence):
    output = run("train", "--data", place / "data", "--run", tmp_path / "run", *words, code=2)
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
def test_gpus_that_are_not_there_are_said(place, tmp_path, monkeypatch, gpus, sentence):
    monkeypatch.setattr(backend, "gpus", lambda: gpus)
    output = run(
        "train", "--data", place / "data", "--run", tmp_path / "run", "--gpus", "0,1", "--batch-size", 8, code=2
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


def test_a_run_is_not_overwritten(place):
    before = (place / "run" / "log.jsonl").read_bytes()
    assert "holds a run already" in run("train", "--data", place / "data", "--run", place / "run", *NARROW, code=2)
    assert (place / "run" / "log.jsonl").read_bytes() == before


def test_commands_before_their_time(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "There is no run with a checkpoint in runs" in run("eval", "--data", place / "data", code=2)
    assert "no data set here" in run("train", code=2)
    assert "no data set here" in run("eval", "--ilsvrc", 2010, "--model", place / "run", code=2)
    assert "is neither a run, a checkpoint nor an exported net" in run(
        "eval", "--data", place / "data", "--model", "x", code=2
    )
    assert "is neither a run nor a checkpoint" in run("export", tmp_path, tmp_path / "out", code=2)


@pytest.mark.parametrize("damage", ["cut", "foreign", "missing"])
@pytest.mark.parametrize(
    "name", ["dataset.json", "statistics.npz", "train-00000-of-00001.rec", "train-00000-of-00001.idx"]
)
def test_damaged_data_is_named_and_nothing_is_trained(place, tmp_path, name, damage):
    data = shutil.copytree(place / "data", tmp_path / "data")
    content = (data / name).read_bytes()
    if damage == "missing":
        (data / name).unlink()
    else:
        (data / name).write_bytes(content[: len(content) // 2] if damage == "cut" else b"something else")
    code = 2 if (name, damage) == ("dataset.json", "missing") else 1  # a folder without it is no data set
    assert name in run("train", "--data", data, "--run", tmp_path / "run", *NARROW, code=code)
    assert not (tmp_path / "run" / "latest").exists()


def test_a_manifest_of_a_newer_program_is_refused(place, tmp_path):
    data = shutil.copytree(place / "data", tmp_path / "data")
    manifest = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps({**manifest, "schema_version": manifest["schema_version"] + 1}))
    assert "older than the data set" in run("train", "--data", data, "--run", tmp_path / "run", *NARROW, code=1)


def test_a_damaged_checkpoint_is_named(place, tmp_path):
    copy = shutil.copytree(place / "run", tmp_path / "run", symlinks=True)
    file = copy / "latest" / "parameters.params"
    file.write_bytes(file.read_bytes()[:-1])
    for words in (["eval", "--data", place / "data", "--model", copy], ["export", copy, tmp_path / "net"]):
        assert "parameters.params is damaged" in run(*words, code=1)
    said = run("train", "--resume", "--run", copy, "--cpus", 0, "--epochs", 2, code=1)
    assert "parameters.params is damaged" in said


def test_a_diverging_run_stops_and_keeps_its_last_checkpoint(place, tmp_path):
    copy = shutil.copytree(place / "run", tmp_path / "run", symlinks=True)
    before = (copy / "latest" / "parameters.params").read_bytes()
    output = run("train", "--resume", "--run", copy, "--cpus", 0, "--epochs", 9, "--lr", 1e6, code=1)
    kept = backend.mx.nd.load(str(copy / "latest" / "parameters.params"))
    assert before and all(np.isfinite(value.asnumpy()).all() for value in kept.values())
    assert "training stopped before that update" in output
    said, _ = invoke("eval", "--data", place / "data", "--model", copy, "--json")
    assert json.loads(said)["images"] == CLASSES * VAL


def test_plots_are_written_and_say_what_they_hold(place, tmp_path):
    assert "12 kernels in layer 1; Fig. 3 shows the 96" in run(
        "plot", "filters", place / "run", "--output", tmp_path / "f.png"
    )
    assert "(1 epochs)" in run("plot", "curves", place / "run", place / "run" / "best", "--output", tmp_path / "c.png")
    image = place / "images" / "val" / "class1" / "0.png"
    output = run("plot", "predictions", place / "run", image, image, "--output", tmp_path / "p.png")
    guesses = output.splitlines()[0].split(": ", 1)[1].split(", ")
    assert len(guesses) == 5
    assert {guess.split()[0] for guess in guesses} <= {f"class{label}" for label in range(CLASSES)}
    for name in ("f.png", "c.png", "p.png"):
        assert cv2.imread(str(tmp_path / name)) is not None


def test_plots_of_what_is_no_run_or_no_image_are_refused(place, tmp_path):
    assert "is neither a run nor a checkpoint" in run("plot", "filters", tmp_path, code=2)
    junk = tmp_path / "junk.jpg"
    junk.write_bytes(b"junk")
    words = ["plot", "predictions", place / "run", junk, "--output", tmp_path / "p.png"]
    assert "junk.jpg is no image this program reads" in run(*words, code=1)
    words[3] = tmp_path / "none.jpg"
    assert "none.jpg: No such file" in run(*words, code=1)
    assert not (tmp_path / "p.png").exists()


def test_a_full_disk_keeps_the_old_checkpoint_and_training_goes_on(place, tmp_path, monkeypatch):
    from gluon_alexnet.backend import mx

    written, real = [], mx.nd.save

    def save(file, arrays):
        written.append(file)
        if 3 <= len(written) <= 4:  # after the initial checkpoint's two files: the first of each of the next two
            open(file, "wb").close()
        else:
            real(file, arrays)

    monkeypatch.setattr(mx.nd, "save", save)
    words = ["--data", place / "data", "--run", tmp_path / "run", *NARROW, "--epochs", 2]
    output = run("train", *words)
    assert output.count("Training goes on, and the checkpoints there stay") == 2
    assert len(log(tmp_path / "run", "epoch")) == 2
    run("eval", "--model", tmp_path / "run", "--views", 1)
    del written[2:]
    shutil.rmtree(tmp_path / "run")
    monkeypatch.setattr(mx.nd, "save", lambda file, arrays: open(file, "wb").close())
    assert "cannot be written" in run("train", *words[:-1], 1, code=1)


def test_checkpoints_within_an_epoch(place, tmp_path):
    words = ["--data", place / "data", "--run", tmp_path / "run", *NARROW, "--epochs", 1, "--batch-size", 4]
    run("train", *words, "--checkpoint-minutes", 0.00001)
    # 30 images are 8 updates; before and after the validation the last step is saved twice
    kept = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step-00000008", "step-00000008-2"]


def test_a_run_that_is_being_trained_is_left_alone(place):
    import fcntl

    with open(place / "run" / "log.jsonl", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before = (place / "run" / "log.jsonl").read_bytes()
        said = run("train", "--resume", "--run", place / "run", "--cpus", 0, "--epochs", 2, code=2)
        assert "is being trained by another process" in said
        assert (place / "run" / "log.jsonl").read_bytes() == before
