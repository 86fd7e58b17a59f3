"""A run that is resumed on another number of devices: the same run but for the masks of dropout."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from helpers.images import coloured_classes

from gluon_alexnet.backend import mx
from gluon_alexnet.workflows.pack import pack
from gluon_alexnet.workflows.train import train

TWO, ONE = ["cpu(0)", "cpu(1)"], ["cpu(0)"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    images = coloured_classes(folder / "images", 4, {"train": 4, "val": 1})
    return pack(train=images / "train", val=images / "val", out=folder / "data").data


def arrays(run):
    parameters = mx.nd.load(str(run / "latest" / "parameters.params"))
    return {name: value.asnumpy() for name, value in parameters.items() if name != "mean"}


def largest(a, b):
    return max(float(np.abs(a[name] - b[name]).max()) for name in a)


@pytest.mark.parametrize("variants", [[], ["no-dropout"]], ids=["dropout", "no-dropout"])
def test_on_one_device_in_place_of_two_only_dropout_differs(data, tmp_path, variants):
    first = tmp_path / "first"
    train(data, recipe="narrow", variants=variants, devices=TWO, run=first, epochs=1, batch_size=8, learning_rate=0.001)
    after = {}
    for name, devices in (("two", TWO), ("again", TWO), ("one", ONE)):
        run = shutil.copytree(first, tmp_path / name, symlinks=True)
        train(run=run, resume=True, devices=devices, epochs=2)
        after[name] = arrays(run)
    moved = largest(after["two"], arrays(first))
    assert largest(after["two"], after["again"]) == 0
    difference = largest(after["two"], after["one"])
    if variants:
        assert difference < 1e-4 * moved
    else:
        assert difference > 0.05 * moved
