"""Devices beside cpu(0): what agrees is trusted, what does not is named, and what cannot be run is said."""

import dataclasses
import json
import subprocess

import numpy as np
import pytest
from helpers.runner import run

from gluon_alexnet import backend
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.model import column_parallel
from gluon_alexnet.workflows import check_devices as check
from gluon_alexnet.workflows.measure_device import Measurement, Order, measure, relative_difference

GOOD = Measurement(
    ("gpu(0)", "gpu(1)"),
    128,
    losses=[7.2, 6.4, 5.5],
    images_per_second=1000.0,
    peak_memory_mb=[4000.0, 4000.0],
    copies_gb_per_second=10.0,
    differences={"outputs": 1e-6, "gradients": 1e-5, "updates": 1e-5, "ten views": 1e-6},
    worst=dict.fromkeys(("outputs", "gradients", "updates", "ten views"), "conv1_weight"),
)


def order(folder, devices, reference=None):
    return Order(devices, str(folder), reference and str(reference), "narrow", 4, timed_updates=1)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    return folder, measure(order(folder, ("cpu(0)",)))


def test_relative_difference_by_hand():
    assert relative_difference(np.array([3.0, 4.5]), np.array([3.0, 4.0])) == pytest.approx(0.1)
    assert relative_difference(np.array([0.0, 2.0]), np.zeros(2)) == 2.0


def test_two_columns_on_two_contexts_agree_with_one(reference):
    folder, exact = reference
    found = measure(order(folder, ("cpu(0)", "cpu(1)"), folder))
    assert check.fault(found, exact, tf32=False) is None
    assert set(found.differences) == {"outputs", "gradients", "updates", "ten views"}
    assert found.copies_equal and found.copies_gb_per_second > 0 and found.images_per_second > 0
    assert exact.losses[0] == pytest.approx(np.log(1000), rel=0.2)  # nothing is known yet of 1,000 classes
    assert exact.losses[2] < exact.losses[0]


def test_columns_that_meet_in_the_wrong_order_are_a_fault(reference, monkeypatch):
    folder, exact = reference
    right = column_parallel.ColumnParallel._gather
    monkeypatch.setattr(
        column_parallel.ColumnParallel, "_gather", lambda self, parts, context: right(self, parts[::-1], context)
    )
    found = measure(order(folder, ("cpu(0)", "cpu(1)"), folder))
    assert "differ by" in check.fault(found, exact, tf32=False)


@pytest.mark.parametrize(
    ("changes", "tf32", "expected"),
    [
        ({}, False, None),
        ({"differences": {**GOOD.differences, "gradients": 0.18}}, False, "gradients differ by 1.8e-01 (conv1_weight)"),
        ({"differences": {**GOOD.differences, "gradients": 0.18}}, True, "gradients differ by 1.8e-01 (conv1_weight)"),
        ({"differences": {**GOOD.differences, "gradients": 0.05}}, True, None),
        ({"differences": {**GOOD.differences, "outputs": float("nan")}}, False, "outputs differ by nan"),
        ({"losses": [7.2, 6.4, 5.6]}, False, "the loss before update 3 is 5.6, and 5.5 on"),
        ({"losses": [7.2, float("nan"), 5.5]}, True, "the loss before update 2 is nan"),
        ({"copies_equal": False}, False, "a copy from gpu(0) to gpu(1) and back is not what was sent"),
    ],
)
def test_what_is_a_fault(changes, tf32, expected):
    found = check.fault(dataclasses.replace(GOOD, **changes), GOOD, tf32)
    assert (found is None) if expected is None else found.startswith(expected)


def test_the_command_says_that_training_can_be_trusted_and_writes_its_report(tmp_path):
    report = tmp_path / "check.json"
    words = ["--cpus", "0,1", "--recipe", "narrow", "--batch-size", 4, "--report", report]
    assert run("doctor", "--check", *words).splitlines()[-1] == "Training can be trusted on cpu(0), cpu(1)."
    written = json.loads(report.read_text())
    assert written["trusted"] and written["results"][0]["devices"] == ["cpu(0)", "cpu(1)"]
    assert written["machine"]["mxnet"] == "1.9.1"


def test_the_command_fails_where_training_cannot_be_trusted(tmp_path, monkeypatch):
    wrong = dataclasses.replace(GOOD, differences={**GOOD.differences, "updates": 0.5})
    monkeypatch.setattr(check, "_run", lambda one, tf32: GOOD if one.reference is None else wrong)
    said = run("doctor", "--check", "--cpus", "0,1", "--report", tmp_path / "r.json", code=1)
    assert "Do not train on cpu(0), cpu(1): updates differ by 5.0e-01 (conv1_weight)" in said


def test_the_batch_that_fits_is_named(monkeypatch):
    def run(one, tf32):
        if one.batch_size > 32 and one.reference is not None:
            raise MemoryError("MXNet failed: out of memory")
        return dataclasses.replace(GOOD, batch_size=one.batch_size)

    monkeypatch.setattr(check, "_run", run)
    found = check.check_devices(["cpu(0)", "cpu(1)"])
    assert found.trusted and found.batch_size == 32
    assert "train with a `batch_size` of 32" in found.notes[-1]


def test_gpus_are_tried_alone_and_together_without_tf32_and_with_it():
    assert check._rows(("gpu(0)", "gpu(1)")) == [
        (("gpu(0)",), False),
        (("gpu(0)",), True),
        (("gpu(0)", "gpu(1)"), False),
        (("gpu(0)", "gpu(1)"), True),
    ]
    assert check._rows(("cpu(0)", "cpu(1)")) == [(("cpu(0)", "cpu(1)"), False)]


def test_tf32_is_allowed_or_not_before_the_process_begins(monkeypatch):
    seen = []

    def run(command, env, **_):
        seen.append(env.get("NVIDIA_TF32_OVERRIDE"))
        return subprocess.CompletedProcess(command, 0, json.dumps(dataclasses.asdict(GOOD)), "")

    monkeypatch.setattr(subprocess, "run", run)
    for tf32 in (False, True):
        assert check._run(Order(("gpu(0)",), "x"), tf32) == GOOD
    assert seen == ["0", None]


def test_memory_that_others_have_taken_is_said(monkeypatch):
    monkeypatch.setattr(backend.mx.context, "gpu_memory_info", lambda index: (3 * 2**30, 8 * 2**30))
    assert check._taken(["gpu(1)"])[0].startswith("5120 of 8192 MB of gpu(1) are taken")
    monkeypatch.setattr(backend.mx.context, "gpu_memory_info", lambda index: (8 * 2**30 - 2**20, 8 * 2**30))
    assert check._taken(["gpu(1)", "cpu(0)"]) == []


def test_a_process_that_dies_is_a_problem_of_its_device(monkeypatch):
    ends = [json.dumps(dataclasses.asdict(GOOD)), ""]
    monkeypatch.setattr(
        subprocess,
        "run",
        lambda command, **_: subprocess.CompletedProcess(command, -9, ends.pop(0), "noise\nCUDA: unspecified\n"),
    )
    found = check.check_devices(["cpu(0)", "cpu(1)"])
    assert found.problems == ["cpu(0), cpu(1): the process ended with exit code -9: CUDA: unspecified"]


@pytest.mark.parametrize(
    ("devices", "words"),
    [(["cpu(0)"], "cpu(0) is the reference itself"), (["cpu(0)", "cpu(1)", "cpu(2)"], "one or two devices at a time")],
)
def test_devices_that_cannot_be_compared_are_refused(devices, words):
    with pytest.raises(InvalidRequest) as error:
        check.check_devices(devices)
    assert words in str(error.value)


def test_options_of_the_check_need_the_check():
    assert "--check" in run("doctor", "--cpus", "0,1", code=2)
