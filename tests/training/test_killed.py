"""A training that is killed at random moments, and resumed each time, ends bit by bit like one that was not."""

import json
import random
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from helpers.runner import run

KILLS = 12
PROGRAM = [sys.executable, "-c", "from gluon_alexnet.tools.main import main; main()"]

pytestmark = pytest.mark.slow


def start(said, *words):
    with open(said, "ab") as file:
        return subprocess.Popen([*PROGRAM, *map(str, words)], stdout=file, stderr=file)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("killed"), np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 2)):
        for label in range(4):
            for index in range(count):
                file = folder / split / f"class{label}" / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), made.integers(0, 60 + 60 * label, (80, 90, 3), dtype=np.uint8))
    run("pack", "--train", folder / "train", "--val", folder / "val", "--data", folder / "data")
    return folder / "data"


@pytest.mark.parametrize("cpus", ["0", "0,1"])
def test_killed_and_resumed_is_uninterrupted(data, tmp_path, cpus):
    said = tmp_path / "said"
    words = ["--cpus", cpus, "--checkpoint-minutes", 0.001]
    new = ["train", "--data", data, "--recipe", "narrow", "--epochs", 20, "--batch-size", 8, *words]
    whole = start(said, *new, "--run", tmp_path / "whole")
    assert whole.wait(timeout=300) == 0, said.read_text()
    seed = random.randrange(2**32)
    print("seed", seed)
    moments, kills = random.Random(seed), 0
    process = start(said, *new, "--run", tmp_path / "killed")
    while True:
        latest = tmp_path / "killed" / "latest"
        stood = latest.resolve().name if latest.exists() else None
        while process.poll() is None and (not latest.exists() or latest.resolve().name == stood):
            time.sleep(0.005)  # until it has gone on a bit: a run killed before each checkpoint would never end
        time.sleep(moments.uniform(0, 0.6))
        if kills < KILLS:
            process.kill()
        process.wait(timeout=300)
        if process.returncode == 0:
            break
        assert process.returncode == -9, said.read_text()
        kills += 1
        process = start(said, "train", "--resume", "--run", tmp_path / "killed", *words)
    print(kills, "kills")
    assert kills >= KILLS // 2
    for name in ("parameters.params", "momentum.params"):
        killed, uninterrupted = (tmp_path / folder / "latest" / name for folder in ("killed", "whole"))
        assert killed.read_bytes() == uninterrupted.read_bytes()
    logs = []
    for folder in ("killed", "whole"):
        records = [json.loads(line) for line in (tmp_path / folder / "log.jsonl").read_text().splitlines()]
        epochs = [record for record in records if record["event"] == "epoch"]
        logs.append([{k: v for k, v in epoch.items() if k not in ("time", "seconds")} for epoch in epochs])
    assert logs[0] == logs[1]
    assert len(logs[0]) == 20
