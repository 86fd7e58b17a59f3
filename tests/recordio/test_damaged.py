"""Damaged records in training and evaluation: a reason to stop or, if the user says so, left out and counted."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest
from helpers.images import packed
from helpers.runner import run

from gluon_alexnet.distributed.collectives import SingleWorker
from gluon_alexnet.recipes.presets import RECIPES
from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.workflows.training_data import TrainingData

NARROW = ["--recipe", "narrow", "--cpus", "0", "--batch-size", "4", "--epochs", "2", "--lr", "0.001"]


def spoil(folder, split, positions):
    shard = read_manifest(folder).split(split).shards[0]
    begins = [int(line.split()[1]) for line in (folder / shard.file(".idx")).read_text().splitlines()]
    with open(folder / shard.name, "r+b") as file:
        for position in positions:
            file.seek(begins[position])
            file.write(bytes(8))
    return shard.name


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A sound data set of 12 and 6 images, a copy with damage in both splits, and the name of the spoilt shard."""
    folder = tmp_path_factory.mktemp("damaged")
    sound = packed(folder, images=4)
    spoilt = shutil.copytree(sound, folder / "spoilt")
    spoil(spoilt, "val", [1])
    return folder, spoil(spoilt, "train", [3, 7])


def epochs(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == "epoch"]


def test_training_stops_at_damage_unless_told_otherwise(place, tmp_path):
    folder, shard = place
    words = ["train", "--data", folder / "spoilt", "--run", tmp_path / "run", *NARROW]
    assert f"{shard}: record " in run(*words, code=1)
    assert epochs(tmp_path / "run") == []


def test_training_skips_and_counts(place, tmp_path):
    folder, shard = place
    words = ["train", "--data", folder / "spoilt", "--run", tmp_path / "run", *NARROW, "--on-damaged", "skip"]
    output = run(*words)
    for epoch in epochs(tmp_path / "run"):
        assert (epoch["images"], epoch["skipped"], epoch["validation_images"]) == (10, 2, 5)
    assert "2 damaged images skipped" in output
    assert "Skipped 3 damaged records:" in output
    for position in (3, 7):
        assert f"{shard}: record {position} (" in output
    # The whole set, for comparison: nothing is skipped and nothing said of it.
    output = run("train", "--data", folder / "data", "--run", tmp_path / "sound", *NARROW, "--on-damaged", "skip")
    assert [(epoch["images"], epoch["skipped"]) for epoch in epochs(tmp_path / "sound")] == [(12, 0)] * 2
    assert "skipped" not in output.lower()
    evaluate = ["eval", "--data", folder / "spoilt", "--model", tmp_path / "run", "--views", 1]
    assert "val-00000-of-00001.rec: record 1 (" in run(*evaluate, code=1)
    output = run(*evaluate, "--on-damaged", "skip")
    assert "5 images of" in output
    assert "each counted once, 1 damaged ones skipped" in output


def test_an_epoch_resumes_behind_skipped_images(place):
    narrow = RECIPES["narrow"]
    narrow = dataclasses.replace(narrow, learning=dataclasses.replace(narrow.learning, batch_size=4))
    data = TrainingData(place[0] / "spoilt", narrow, 0, "skip", SingleWorker()).data
    whole = [(crops.tobytes(), labels.tolist(), skipped) for crops, labels, skipped in data.epoch(0, 0)]
    assert [len(labels) + skipped for _, labels, skipped in whole] == [4, 4, 4]
    assert sum(skipped for _, _, skipped in whole) == 2
    for done in (1, 2):
        rest = [(crops.tobytes(), labels.tolist(), skipped) for crops, labels, skipped in data.epoch(0, 4 * done)]
        assert rest == whole[done:]


def test_a_data_set_without_one_good_image_is_said(place, tmp_path):
    folder = shutil.copytree(place[0] / "data", tmp_path / "data")
    spoil(folder, "train", range(12))
    words = ["train", "--data", folder, "--run", tmp_path / "run", *NARROW, "--on-damaged", "skip"]
    assert "nothing to learn from" in run(*words, code=1)
