"""The rehearsal of ImageNet, on a few images: benchmarks/rehearsal.py from the tars to the verified data set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.challenge import WNIDS, meta

REHEARSAL = Path(__file__).parent.parent / "benchmarks" / "rehearsal.py"
IMAGES = 40  # of each class


@pytest.fixture
def devkit(tmp_path):
    data = tmp_path / "kit" / "data"
    data.mkdir(parents=True)
    (data / "meta.mat").write_bytes(meta(2012, WNIDS, IMAGES, group=False))
    truth = np.random.default_rng(0).integers(1, len(WNIDS) + 1, 30)
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{one}\n" for one in truth))
    return data.parent


def rehearse(devkit, folder, *words, code=0, least=()):
    """(lines of the journal, stderr); least: names and values in the script, such as the room that it wants."""
    command = f"import sys; sys.argv = sys.argv[1:]; sys.path.insert(0, {os.fspath(REHEARSAL.parent)!r}); "
    command += "import rehearsal; " + "".join(f"rehearsal.{name} = {value!r}; " for name, value in least)
    words = [REHEARSAL, "--devkit", devkit, "--folder", folder, *words]
    done = subprocess.run(
        [sys.executable, "-c", command + "rehearsal.main()", *map(os.fspath, words)], capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.slow
def test_step_by_step_from_the_tars_to_the_verified_data_set(devkit, tmp_path):
    folder, report = tmp_path / "scratch", tmp_path / "report.jsonl"
    rehearse(devkit, folder, "--steps", "make")
    # Stopped at once, packed by the next call, and not again by the last.
    paused, said = rehearse(devkit, folder, "--steps", "pack", "--pause", "0.0001", code=3)
    assert paused[-1]["state"] == "paused" and "Paused" in said
    (packed,) = rehearse(devkit, folder, "--steps", "pack")[0]
    assert packed["said"].startswith(f"packed {IMAGES * len(WNIDS)} train, 30 val; rejected 0")
    rest, _ = rehearse(devkit, folder, "--steps", "make,pack,read,verify,stats", "--output", report)
    assert [line["step"] for line in rest] == ["read", "verify", "stats"]
    assert rest[0]["said"].startswith(f"train: {IMAGES * len(WNIDS)} images, each once, no wrong label")
    assert all(line["state"] == "done" and line["peak_mb"] > 10 for line in [packed, rest[1]])
    lines = {line["step"]: line for line in map(json.loads, report.read_text().splitlines()[1:])}
    assert lines["pack"]["calls"] == 2 and lines["pack"]["seconds"] >= packed["seconds"]
    # One byte of one label, and the reader that knows nothing of the program sees it.
    shard = next((folder / "data").glob("train-*.rec"))
    content = bytearray(shard.read_bytes())
    content[12:16] = np.float32(1 - np.frombuffer(content[12:16], np.float32)[0] % 2).tobytes()
    shard.write_bytes(content)
    (folder / "rehearsal.jsonl").write_text(
        "".join(line + "\n" for line in (folder / "rehearsal.jsonl").read_text().splitlines() if '"read"' not in line)
    )
    assert "1 wrong labels" in rehearse(devkit, folder, "--steps", "read", code=1)[1]


def test_what_cannot_begin_is_said_in_one_sentence(devkit, tmp_path):
    folder = tmp_path / "scratch"
    assert "there is no 'sleep'" in rehearse(devkit, folder, "--steps", "make,sleep", code=2)[1]
    assert "not the unpacked kit" in rehearse(tmp_path, folder, code=2)[1]
    lacking = [("GIGABYTES_OF_A_RUN", 1e9)]
    assert "GB free; name another folder" in rehearse(devkit, folder, code=1, least=lacking)[1]
    assert not folder.exists()
    assert "needs the step make" in rehearse(devkit, folder, "--steps", "pack", code=2)[1]
    assert "begun with --share 1" in rehearse(devkit, folder, "--share", "2", code=2)[1]
    (folder / "rehearsal.jsonl").rename(folder / "other")
    assert "no rehearsal's" in rehearse(devkit, folder, code=2)[1]
