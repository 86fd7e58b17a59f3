"""A data set of six classes and a run of one epoch on it, made by the commands themselves."""

import json

from helpers.images import coloured_classes
from helpers.runner import run

CLASSES, TRAIN, VAL = 6, 5, 3  # classes, and images of each
NARROW = ["--recipe", "narrow", "--cpus", "0", "--batch-size", "8"]


def trained_run(folder):
    """FOLDER/images, FOLDER/data and FOLDER/run."""
    images = coloured_classes(folder / "images", CLASSES, {"train": TRAIN, "val": VAL})
    run("pack", "--train", images / "train", "--val", images / "val", "--data", folder / "data")
    run("train", "--data", folder / "data", "--run", folder / "run", *NARROW, "--epochs", 1)
    return folder


def events(folder, event):
    """What a run's log says of such events."""
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [record for record in records if record["event"] == event]
