"""The paper's small experiments: layers against their formulas, trainings that go on as if never stopped, tables."""

import contextlib
import fcntl
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
from helpers.runner import invoke, run

from gluon_alexnet.backend import mx
from gluon_alexnet.experiments import cifar as experiments
from gluon_alexnet.experiments import config as cifar_recipe
from gluon_alexnet.experiments import trials
from gluon_alexnet.recordio.sources import cifar10
from gluon_alexnet.workflows.reproduce.cifar10 import Watching, reproduce_normalization

BATCH = 40  # images in each of the made batches


# The commands, on made images that can be told apart by their colour.


@pytest.fixture
def source(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(cifar10, "IMAGES_PER_BATCH", BATCH)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        labels = rng.integers(0, 10, BATCH)
        pixels = rng.integers(0, 100, (BATCH, 3, 1024)) + 15 * labels[:, None, None] * np.array([1, 0, 0])[:, None]
        records = np.concatenate([labels[:, None], pixels.reshape(BATCH, -1)], axis=1).astype(np.uint8)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij"))
    return folder


LIMITS = ["--images", 96, "--seeds", 2, "--cpus", 0]


@pytest.fixture
def short(monkeypatch):
    """Batches of 32; four updates are a full window, and any training error is low enough."""
    descent = replace(cifar_recipe.Descent(), batch_size=32)
    monkeypatch.setattr(
        cifar_recipe, "FIGURE_ONE", replace(cifar_recipe.FIGURE_ONE, descent=descent, window=4, target=100.0)
    )
    monkeypatch.setattr(cifar_recipe, "NORMALIZATION_TEST", replace(cifar_recipe.NORMALIZATION_TEST, descent=descent))


def test_a_trial_that_is_interrupted_ends_bit_by_bit_as_one_that_is_not(source, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "SAVE_EVERY", 3)
    found = cifar10.read_cifar(source)
    data = trials.Data(
        found.train, found.train_labels, found.test, found.test_labels
    )  # 200: an update of 72 each epoch
    numbers = replace(cifar_recipe.FIGURE_ONE, target=0.0, window=2)

    def trained(out, stop):
        report = lambda *_: contextlib.nullcontext(lambda *_: None)  # noqa: E731
        place = trials.TrialContext(out, mx.cpu(), stop, report)
        return experiments.figure_one_trial(place, numbers, data, "relu", 0.002, 1, 7)

    whole = trained(tmp_path / "a", lambda: False)
    asked = iter([False] * 4 + [True])  # one update after the save of the third
    with pytest.raises(trials.Interrupted):
        trained(tmp_path / "b", lambda: next(asked))
    resumed = trained(tmp_path / "b", lambda: False)
    assert whole.step == 7
    assert (whole.wrong, whole.sizes) == (resumed.wrong, resumed.sizes)
    assert whole.sizes == [128, 72, 128, 72, 128, 72, 128]
    for name in ("parameters.params", "momentum.params"):
        files = [tmp_path / x / "relu-rate-0.002-seed-1" / "latest" / name for x in "ab"]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(("rival", "steps"), [([0] * 8, 4), ([128] * 8, 6), (None, 6)], ids=["behind", "ahead", "none"])
def test_a_rate_that_is_behind_half_way_is_given_up(source, tmp_path, rival, steps):
    found = cifar10.read_cifar(source)
    data = trials.Data(found.train, found.train_labels, found.test, found.test_labels)
    numbers = replace(cifar_recipe.FIGURE_ONE, target=0.0, window=2)
    report = lambda *_: contextlib.nullcontext(lambda *_: None)  # noqa: E731
    place = trials.TrialContext(tmp_path / "out", mx.cpu(), lambda: False, report)
    best = trials.Trial(rival, [128] * 8) if rival else None
    assert experiments.figure_one_trial(place, numbers, data, "tanh", 0.002, 0, 6, best).step == steps


def test_a_training_ends_where_the_error_of_a_window_first_reaches_the_target(source, tmp_path):
    """The target is one that this very training reaches on its way; the windows are counted here."""
    found = cifar10.read_cifar(source)
    data = trials.Data(found.train, found.train_labels, found.test, found.test_labels)
    report = lambda *_: contextlib.nullcontext(lambda *_: None)  # noqa: E731

    def trained(name, target):
        place = trials.TrialContext(tmp_path / name, mx.cpu(), lambda: False, report)
        numbers = replace(cifar_recipe.FIGURE_ONE, target=target, window=2)
        return experiments.figure_one_trial(place, numbers, data, "relu", 0.002, 0, 9)

    whole = trained("whole", -1.0)
    assert whole.step == 9
    errors = {
        step: 100 * sum(whole.wrong[step - 2 : step]) / sum(whole.sizes[step - 2 : step]) for step in range(2, 10)
    }
    target = sorted(errors.values())[4]
    first = next(step for step, error in errors.items() if error <= target)
    assert trained("stopped", target).step == first
    assert max(errors.values()) > target


def test_figure_1_counts_draws_and_goes_on(source, short, tmp_path):
    out = tmp_path / "out"
    words = ["reproduce", "figure-1", "--source", source, "--out", out, *LIMITS, "--epochs", 3]
    words += ["--relu-rates", "0.002", "--tanh-rates", "0.005"]
    table = run(*words)
    assert "on 96 training images of CIFAR-10" in table
    assert [line.split() for line in table.splitlines() if line.startswith(("ReLU  ", "tanh  "))] == [
        ["ReLU", "0.002:", "4", "0.002", "4,", "4", "4", "0"],  # at the rate; the best; both seeds; mean, deviation
        ["tanh", "0.005:", "4", "0.005", "4,", "4", "4", "0"],
    ]
    assert "ReLU is 1.00 times sooner" in table
    assert (out / "figure-1.txt").read_text().strip() in table
    assert (out / "figure-1.png").read_bytes().startswith(b"\x89PNG")
    began = (out / "relu-rate-0.002-seed-0" / "latest").resolve().stat().st_mtime_ns
    again = run(*words)
    assert again.splitlines()[1:] == table.splitlines()[1:]  # all but the day and the machine
    assert (out / "relu-rate-0.002-seed-0" / "latest").resolve().stat().st_mtime_ns == began
    words[words.index(96)] = 64
    assert "holds results of other settings or data" in run(*words, code=2)


def test_figure_1_says_that_the_target_was_not_reached(source, short, tmp_path):
    words = ["reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *LIMITS, "--epochs", 1]
    table = run(*words, "--relu-rates", "0.002,0.001", "--tanh-rates", "0.005")  # three updates, less than a window
    assert "0.002: given up, 0.001: given up" in table
    assert "No ratio: not every training reached the target" in table
    assert (tmp_path / "out" / "figure-1.png").exists()


def test_a_rate_at_which_the_loss_is_no_number_is_given_up(source, short, tmp_path):
    words = ["reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *LIMITS]
    table = run(*words, "--relu-rates", "1e9,0.002", "--tanh-rates", "0.005")
    assert "1e+09: given up, 0.002: 4" in table


def test_lrn_measures_every_test_image(source, short, tmp_path):
    out = tmp_path / "out"
    words = ["reproduce", "lrn", "--source", source, "--out", out, "--images", 64, "--seeds", 2, "--cpus", 0]
    table = run(*words, "--epochs", 1, "--views", "1")
    assert f"each of {BATCH} test images counted once" in table
    assert [line.split()[:4] for line in table.splitlines() if " LRN " in line and " view " in line][:2] == [
        ["without", "LRN", "centre", "view"],
        ["with", "LRN", "centre", "view"],
    ]
    assert (out / "lrn.png").read_bytes().startswith(b"\x89PNG")
    folders = sorted(p.name for p in out.glob("*-seed-*"))
    assert folders == [f"{word}-lrn-seed-{seed}" for word in ("with", "without") for seed in (0, 1)]
    tested = []

    @contextlib.contextmanager
    def testing(images, what):
        tested.append([what, images, 0])

        def advance(done):
            tested[-1][2] += done

        yield advance

    watching = Watching(testing=testing)
    options = {"images": 64, "seeds": 2, "epochs": 1, "views": [1], "test_images": 5, "device": "cpu(0)"}
    few = reproduce_normalization(source, out, watching=watching, **options)  # what was trained is not trained again
    assert "each of 5 test images counted once" in few.text
    assert tested == [[f"test of {w}-lrn-seed-{s}", 5, 5] for s in (0, 1) for w in ("without", "with")]
    assert "test images" in run(*words, "--test-images", BATCH + 1, code=2)


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on(source, tmp_path):
    code = (
        f"from gluon_alexnet.recordio.sources import cifar10; cifar10.IMAGES_PER_BATCH = {BATCH}\n"
        "from gluon_alexnet.experiments import trials; trials.SAVE_EVERY = 1\n"
        "from gluon_alexnet.tools.main import main; main()"
    )
    words = ["reproduce", "lrn", "--source", source, "--images", 128, "--seeds", 1, "--cpus", 0, "--views", "1"]
    program = [sys.executable, "-c", code, *map(str, words), "--epochs", "8", "--out"]
    process = subprocess.Popen(
        [*program, str(tmp_path / "a")], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "a" / "without-lrn-seed-0" / "latest").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGINT
    assert f"what was done is in {tmp_path / 'a'}, and the same command goes on from there" in said
    assert not (tmp_path / "a" / "lrn.txt").exists()
    tables = [run(*words, "--epochs", 8, "--out", tmp_path / name).splitlines()[1:] for name in "ab"]
    assert tables[0][:-1] == tables[1][:-1]  # the last line says how long it took


def test_ablations_train_what_is_not_trained_yet_and_measure_as_eval_does(tmp_path, rng):
    for split in ("train", "val"):
        for label in range(4):
            for index in range(2):
                file = tmp_path / "images" / split / f"class{label}" / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), rng.integers(0, 60 * (label + 1), (64, 64, 3), dtype=np.uint8))
    images, data, out = tmp_path / "images", tmp_path / "data", tmp_path / "out"
    run("pack", "--train", images / "train", "--val", images / "val", "--data", data)
    words = ["reproduce", "ablations", "--data", data, "--recipe", "narrow", "--batch-size", 8, "--out", out]
    words += ["--epochs", 1, "--cpus", "0,1"]
    table = run(*words, "--variant", "no-lrn")
    assert "on 8 validation images" in table
    row = next(line for line in table.splitlines() if line.startswith("no-lrn"))
    assert "+1.4 top-1, +1.2 top-5 (Sec. 3.3)" in row
    measured = {}
    for name in ("full", "no-lrn"):
        model = ["--model", out / name, "--data", data, "--cpus", 0, "--json"]
        measured[name] = json.loads(invoke("eval", *model)[0])["scores"][0]
    for name in measured:
        line = next(line for line in table.splitlines() if line.startswith(name))
        assert f"{measured[name]['top1_error']:.2f} / {measured[name]['top5_error']:.2f}" in line
    difference = measured["no-lrn"]["top1_error"] - measured["full"]["top1_error"]
    assert f"{difference:+.2f} / " in row
    assert (out / "ablations.png").read_bytes().startswith(b"\x89PNG")
    before = (out / "full" / "log.jsonl").read_bytes()
    assert run(*words, "--variant", "one-gpu").count("one-gpu") >= 1  # on the first of the two devices
    assert (out / "full" / "log.jsonl").read_bytes() == before
    words[words.index("--epochs") + 1] = 2
    assert "is a run of another recipe or data set" in run(*words, code=2)
    assert "There is no variant 'other'" in run(*words, "--out", tmp_path / "new", "--variant", "other", code=2)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--images", 127], "a batch 128"),
        (["--images", 201], "has 200 training images"),
        (["--seeds", 0], "0 is not in the range"),
        (["--cpus", "0,1"], "runs on one device, and 2 are given"),
        (["--relu-rates", "0.1,-1"], "is not a list of different rates above 0"),
        (["--tanh-rates", "nan"], "is not a list of different rates above 0"),
        (["--tanh-rates", "0.1,0.1"], "is not a list of different rates above 0"),
    ],
)
def test_wrong_use_is_said_and_leaves_nothing(source, tmp_path, words, sentence):
    assert sentence in run("reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *words, code=2)
    assert not (tmp_path / "out").exists()


def test_what_is_no_cifar_10_is_said(source, tmp_path):
    (source / "test_batch.bin").write_bytes(b"cut")
    said = run("reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", code=2)
    assert "test_batch.bin: 3 bytes where" in said
    said = run("reproduce", "lrn", "--source", tmp_path / "none.tar.gz", "--out", tmp_path / "out", code=2)
    assert "none.tar.gz: no such file" in said
    assert not (tmp_path / "out").exists()


def test_a_folder_in_which_another_process_works_is_left_alone(source, short, tmp_path):
    words = ["reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *LIMITS, "--epochs", 1]
    words += ["--relu-rates", "0.002", "--tanh-rates", "0.005"]
    run(*words)
    with open(tmp_path / "out" / "settings.json", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "is being worked in by another process" in run(*words, code=2)


def test_a_folder_with_other_files_is_left_alone(source, short, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    said = run("reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *LIMITS, code=2)
    assert "is not empty" in said
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]
