"""`alexnet-tools serve` as a user starts it: a process of its own, asked over HTTP, ended by a signal."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from helpers.images import class_tree
from helpers.nets import make_run
from helpers.runner import invoke

from gluon_alexnet.serving import connection

PROGRAM = [sys.executable, "-m", "gluon_alexnet.tools.main"]
LETTERS = ("ant", "bee", "cat", "dog", "elk", "fox")


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    """Images, a data set that holds their very pixels, and a net."""
    folder = tmp_path_factory.mktemp("serve")
    images = class_tree(folder / "images", LETTERS, 3)
    invoke("pack", "--train", images, "--val", images, "--data", folder / "data", "--encoding", "raw")
    make_run(folder / "run a", small_recipe, folder / "data", 5)
    return folder


@contextlib.contextmanager
def served(*words, end=signal.SIGTERM, outlives=None):
    """The address of a server, which is ended and must have ended well. outlives: a signal that does nothing to it."""
    ignore = (lambda: signal.signal(outlives, signal.SIG_IGN)) if outlives else None  # as nohup(1) does
    command = [*PROGRAM, "serve", *map(str, words), "--port", "0", "--cpus", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=ignore
    ) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
            if outlives:
                process.send_signal(outlives)
            yield address
        finally:
            process.send_signal(end)
            try:
                _, err = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert err.endswith("Ending: what has begun is answered.\n")


def ask(address, data=None):
    with urllib.request.urlopen(address, data, timeout=30) as answer:
        return json.loads(answer.read())


def test_a_run_with_its_data(place):
    files = sorted((place / "images").glob("*/*"))[:4]
    predicted = invoke("predict", place / "run a", *files, "--json", "--cpus", 0)[0].splitlines()
    invoke("similar", place / "run a", files[0], "--data", place / "data", "--output", place / "s.png", "--cpus", 0)
    with served(place / "run a", "--data", place / "data", outlives=signal.SIGHUP) as address:
        assert ask(f"{address}v2/health/ready") == {"ready": True}
        model = ask(f"{address}model")
        assert (model["name"], model["columns"], model["classes"], model["searchable"]) == ("run-a", 2, 6, 18)
        assert str(place) not in json.dumps(model)
        for file, line in zip(files, predicted):
            guesses, expected = ask(f"{address}predict", file.read_bytes())["guesses"], json.loads(line)["guesses"]
            assert [guess["wnid"] for guess in guesses] == [guess["wnid"] for guess in expected]
            probabilities = [[guess["probability"] for guess in each] for each in (guesses, expected)]
            np.testing.assert_allclose(*probabilities, rtol=1e-4, atol=1e-6)
        # The image itself is in the data set: nothing is nearer.
        near = ask(f"{address}similar?count=3", files[0].read_bytes())["images"]
        assert near[0]["label"] == files[0].parent.name
        assert near[0]["distance"] < 0.05 * near[1]["distance"]
        assert [one["distance"] for one in near] == sorted(one["distance"] for one in near)


def test_an_export_is_served_as_its_run(place):
    invoke("export", place / "run a", place / "net", "--data", place / "data")
    file = sorted((place / "images").glob("*/*"))[0]
    expected = json.loads(invoke("predict", place / "run a", file, "--json", "--cpus", 0)[0])["guesses"]
    with served(place / "net", end=signal.SIGHUP) as address:
        model = ask(f"{address}model")
        assert (model["name"], model["columns"], model["examples"]) == ("net", 2, 0)
        guesses = ask(f"{address}predict", file.read_bytes())["guesses"]
        whole, less = (ask(f"{address}look{query}", file.read_bytes()) for query in ("", "?without=column1"))
    assert [guess["wnid"] for guess in guesses] == [guess["wnid"] for guess in expected]
    assert whole["probabilities"] != less["probabilities"]


def test_what_cannot_be_served_is_said(place, tmp_path):
    assert "neither a run, a checkpoint nor" in invoke("serve", tmp_path / "none", code=2)[1]
    assert "give that, too" in invoke("serve", place / "run a", "--features", tmp_path, code=2)[1]
    with connection.listen("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        assert f"cannot listen on 127.0.0.1, port {port}" in invoke("serve", place / "run a", "--port", port, code=2)[1]
    assert "cannot listen on no.such.host" in invoke("serve", place / "run a", "--host", "no.such.host", code=2)[1]


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "prometheus_client"])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    said = invoke("serve", tmp_path, code=2)[1]
    assert f"{package} is not installed" in said
    assert "extra serve" in said
