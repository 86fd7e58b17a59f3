"""Packing on a real Dask scheduler and two worker processes: the same bytes, also when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers.images import class_tree, contents, file_bytes, photo
from helpers.runner import attempt

from gluon_alexnet.recordio.dataset.manifest import DatasetError
from gluon_alexnet.recordio.packing import dask_backend, shard_worker
from gluon_alexnet.recordio.sources.class_folders import Source

DASK = [sys.executable, "-m", "dask"]
TOOL = [sys.executable, "-W", "ignore", "-m", "gluon_alexnet.tools.main"]


def wait_for(condition, seconds=60):
    """The first true value of `condition()`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


@pytest.fixture
def cluster(tmp_path):
    """(scheduler's address, its process, function that starts a worker), all ended afterwards."""
    pytest.importorskip("distributed")
    processes = []
    file = tmp_path / "scheduler.json"

    def start(*arguments):
        with open(tmp_path / f"{len(processes)}.log", "w") as log:
            processes.append(subprocess.Popen([*DASK, *arguments], stdout=log, stderr=log, cwd=tmp_path))
        return processes[-1]

    scheduler = start(
        "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)
    )
    options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", "--memory-limit", "0")
    worker_options = ("worker", "--scheduler-file", str(file), *options)
    try:
        wait_for(file.exists)
        address = wait_for(lambda: file.stat().st_size and json.loads(file.read_text())["address"])
        yield address, scheduler, lambda: start(*worker_options)
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture
def trees(tmp_path):
    train = class_tree(tmp_path / "train", images=8)
    for number, path in enumerate(sorted(train.rglob("*.JPEG"))):
        path.write_bytes(file_bytes(photo(number, 500, 700), "JPEG"))
    (train / "bee" / "cut.jpg").write_bytes(b"junk")
    return "--train", "train", "--val", str(class_tree(tmp_path / "val", images=2, seed=500)), "--shards", "12"


@pytest.fixture
def begin(tmp_path, trees):
    """Starts `alexnet-tools pack` into out."""
    begun = []

    def start(*options):
        command = [*TOOL, "pack", *trees, "--data", "out", *options]
        begun.append(subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def packed_here(tmp_path, trees):
    done = subprocess.run([*TOOL, "pack", *trees, "--data", "reference"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return contents(tmp_path / "reference")


def test_one_of_two_workers_is_killed_in_the_middle(tmp_path, cluster, trees, begin):
    address, _, start_worker = cluster
    workers = [start_worker(), start_worker()]
    reference = packed_here(tmp_path, trees)
    pack = begin("--dask", address)
    folder = tmp_path / "out" / "packing.partial"
    wait_for(lambda: folder.exists() and len(list(folder.glob("*.receipt"))) >= 3)
    os.kill(workers[0].pid, signal.SIGKILL)
    assert len(list(folder.glob("*.receipt"))) < 12 + 6
    out, err = pack.communicate(timeout=120)
    assert pack.returncode == 0, err
    assert out.startswith("packed 24 train, 6 val; rejected 1; ")
    assert contents(tmp_path / "out") == reference
    assert workers[1].poll() is None and workers[0].wait() == -signal.SIGKILL


@pytest.mark.slow
def test_client_is_killed_and_resumes_on_the_cluster(tmp_path, cluster, trees, begin):
    address, _, start_worker = cluster
    start_worker()
    pack = begin("--dask", address)
    folder = tmp_path / "out" / "packing.partial"
    wait_for(lambda: folder.exists() and len(list(folder.glob("*.receipt"))) >= 2)
    pack.kill()
    pack.communicate()
    reference = packed_here(tmp_path, trees)
    again = begin("--dask", address, "--resume")
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert "images had been done before" in err
    assert contents(tmp_path / "out") == reference


@pytest.mark.slow
def test_scheduler_is_killed(tmp_path, cluster, trees, begin):
    address, scheduler, start_worker = cluster
    start_worker()
    pack = begin("--dask", address)
    folder = tmp_path / "out" / "packing.partial"
    wait_for(lambda: folder.exists() and len(list(folder.glob("*.receipt"))) >= 2)
    scheduler.kill()
    _, err = pack.communicate(timeout=180)
    assert pack.returncode == 1
    assert "Traceback" not in err
    assert f"Error: {address}: the scheduler is gone; the finished shards are kept: add --resume" in err


def run(*arguments):
    code, _, err = attempt(*arguments)
    return code, err


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "gopher://x", "nonsense"])
def test_no_scheduler(tmp_path, begin, address):
    """Each in a process of its own, as for a user: Dask leaves threads behind where it cannot connect."""
    pytest.importorskip("distributed")
    pack = begin("--dask", address)
    _, err = pack.communicate(timeout=60)
    assert pack.returncode == 2
    assert err == f"Error: {address}: no Dask scheduler answers there; name it as in tcp://10.0.0.1:8786\n"
    assert not (tmp_path / "out").exists()


def test_without_dask(tmp_path, trees, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, err = run("pack", *trees, "--data", "out", "--dask", "tcp://127.0.0.1:9")
    assert (code, err) == (2, "Error: --dask needs Dask; install it with: pip install 'gluon-alexnet[dask]'\n")


@pytest.mark.parametrize("lacking", ["folder", "images", "tar"])
def test_worker_without_the_same_paths_rejects_no_image(tmp_path, lacking):
    tar = lacking == "tar"
    source = Source("n01/a.jpg", 0, str(tmp_path / ("all.tar" if tar else "train/n01/a.jpg")), 512 if tar else -1, 9)
    if lacking == "folder":
        (tmp_path / "train").mkdir()
    else:
        (tmp_path / "out").mkdir()
    job = shard_worker.ShardJob(str(tmp_path / "out"), "val", 0, 1, 1, "jpeg", "scale", "skip", [source])
    with pytest.raises(DatasetError, match=r"(out|train|all\.tar): not to be seen on the worker .*; it needs the same"):
        dask_backend.pack_one(job)
