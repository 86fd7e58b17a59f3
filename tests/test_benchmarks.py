"""What the benchmarks do with peers that are not there."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
PRINTS = "import json; print('noise'); print(json.dumps({'rates': [2.0, 4.0], 'memory': 1}))"
LACKS = "import json; print(json.dumps({'missing': 'not installed (jax)'}))"


@pytest.fixture
def sides(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import sides

    return sides


@pytest.mark.parametrize("name", ["training.py", "evaluation.py"])
def test_an_unknown_peer_is_one_sentence(name):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / name, "--peers", "torch,theano"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("There is no peer 'theano'; the peers are ") and "torch-compile" in line


def test_every_side_of_a_program_that_is_not_there_has_a_row(sides, tmp_path):
    import training

    absent = str(tmp_path / "python")
    given = argparse.Namespace(batch=128, steps=1, torch=absent, jax=absent, data=None)
    peers = {name: training.commands(given, list(training.PEERS))[name] for name in training.PEERS.values()}
    found = sides.take_turns(peers, 1)
    assert [sides.missing(found[name]) for name in found] == [f"not installed ({absent})"] * 4


@pytest.mark.parametrize("file", sorted(BENCHMARKS.glob("results/*/recipe.json")), ids=lambda file: file.parent.name)
def test_a_kept_recipe_tells_no_folder_of_the_machine(file):
    assert "/" not in json.loads(file.read_text())["data"]


def test_what_is_not_installed_has_a_row_and_the_rest_runs(sides, tmp_path):
    commands = {
        "no environment": [str(tmp_path / "bin" / "python"), "peer.py"],
        "no library": [sys.executable, "-c", LACKS],
        "here": [sys.executable, "-c", PRINTS],
    }
    keep = tmp_path / "turns.jsonl"
    found = sides.take_turns(commands, 2, keep)
    assert sides.missing(found["no environment"]).startswith("not installed (")
    assert sides.missing(found["no library"]) == "not installed (jax)"
    assert sides.missing(found["here"]) is None
    assert sides.values(found["here"]) == [2.0, 4.0] * 2
    assert len(sides.take_turns(commands, 1, keep)["here"]) == 3  # those of the file count, too
    assert [name for name, _ in map(json.loads, keep.read_text().splitlines())].count("no library") == 1
    assert sides.spread([1.0, 4.0, 2.0]).split() == ["2.0", "(1.0", "to", "4.0)"]


def test_the_peak_is_above_what_one_multiplication_at_a_time_could_be(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import peak

    monkeypatch.setattr(peak, "TRIES", 1)
    monkeypatch.setattr(peak, "SECONDS", 0.02)
    rate = peak.multiply_add_peak()
    assert rate is None or rate > 1e9
    monkeypatch.setattr(peak.shutil, "which", lambda name: None)
    assert peak.multiply_add_peak() is None


def test_operations_are_those_that_have_to_be_done(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import training

    each = training.products()
    assert each["conv1"] == 55 * 55 * 96 * 363 and each["fc7"] == 4096 * 4096
    assert training.operations(training=False) == 2 * sum(each.values())
    assert training.operations() == 6 * sum(each.values()) - 2 * each["conv1"]  # nothing is derived by the image
