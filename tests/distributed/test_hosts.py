"""Between hosts, network namespaces of this machine: a training whose link is cut, and Dask's packing."""

import json
import os
import re
import sys
import time
from pathlib import Path

import pytest
from helpers.hosts import Hosts, possible
from helpers.images import coloured_classes, packed
from helpers.runner import run as command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not possible(), reason="hosts need root, iproute2 and a kernel with network namespaces"),
]
TOOLS = [sys.executable, "-m", "gluon_alexnet.tools.main"]
ROLES = {"scheduler": 3, "server": 3, "first worker": 1, "second worker": 2}  # and the host of each


def started(hosts, folder, *words):
    """The processes of a job by name, each writing to FOLDER/<name>.txt."""
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "DMLC_NUM_WORKER": "2", "DMLC_NUM_SERVER": "1"}
    shared |= {"DMLC_PS_ROOT_URI": "n3", "DMLC_PS_ROOT_PORT": "9091"}
    found = {}
    for name, host in ROLES.items():
        with open(folder / f"{name}.txt", "w") as said:
            env = {**shared, "DMLC_ROLE": name.split()[-1]}
            line = [*TOOLS, "train", "--kvstore", "dist_sync", "--cpus", 0, *words]
            found[name] = hosts.start(host, line, env=env, stdout=said, stderr=said)
    return found


def ended(processes, seconds):
    """Seconds after which each process ended, and its exit code."""
    began, found = time.monotonic(), {}
    while len(found) < len(processes) and time.monotonic() < began + seconds:
        for name, process in processes.items():
            if name not in found and process.poll() is not None:
                found[name] = (time.monotonic() - began, process.returncode)
        time.sleep(0.1)
    for process in processes.values():
        process.kill()
        process.wait()
    return found


def test_where_a_host_s_link_is_cut_every_process_ends_with_a_sentence_and_the_run_resumes(tmp_path):
    words = ["--data", packed(tmp_path, images=10), "--recipe", "narrow", "--batch-size", 8, "--epochs"]
    with Hosts(3) as hosts:
        whole = started(hosts, tmp_path, *words, 3, "--run", tmp_path / "whole")
        assert [code for _, code in ended(whole, 200).values()] == [0] * 4
        run = tmp_path / "cut"
        job = started(hosts, tmp_path, *words, 10_000, "--checkpoint-minutes", 0.02, "--run", run)
        deadline = time.monotonic() + 120
        while not (run / "log.jsonl").exists() or '"epoch": 1,' not in (run / "log.jsonl").read_text():
            assert time.monotonic() < deadline and not any(process.poll() for process in job.values())
            time.sleep(0.1)
        hosts.cut(2)
        found = ended(job, 120)
        print({name: (round(seconds, 1), code) for name, (seconds, code) in found.items()})
        said = {name: (tmp_path / f"{name}.txt").read_text() for name in ROLES}
        for name, text in said.items():
            print(name, text.splitlines()[-1])
        assert {name: code for name, (_, code) in found.items()} == dict.fromkeys(ROLES, 1)
        assert max(seconds for seconds, _ in found.values()) < 60
        assert "1 of 2 workers gave no sign of life for 18 s; the job ends" in said["scheduler"]
        for name in ("server", "first worker", "second worker"):
            assert re.search(
                r"Error: The scheduler at 10\.77\.\d+\.3:9091 is gone.*with --resume\.$", said[name].strip()
            )
        hosts.mend(2)
        epochs = len([line for line in (run / "log.jsonl").read_text().splitlines() if '"event": "epoch"' in line])
        again = started(hosts, tmp_path, "--resume", "--run", run, "--epochs", epochs + 2)
        assert [code for _, code in ended(again, 200).values()] == [0] * 4
        records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        assert [one["epoch"] for one in records if one["event"] == "epoch"] == list(range(1, epochs + 3))
        uncut = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
        losses = [[one["training_loss"] for one in of if one["event"] == "epoch"] for of in (uncut, records)]
        assert losses[0] == losses[1][:3]


def test_dask_packs_the_same_bytes_between_hosts(tmp_path):
    pytest.importorskip("distributed")
    images = coloured_classes(tmp_path / "images", 3, {"train": 20, "val": 6})
    words = ["pack", "--train", images / "train", "--val", images / "val", "--shards", 4, "--data"]
    command(*words, tmp_path / "here")
    with Hosts(3) as hosts:
        address = f"tcp://{hosts.address(3)}:8786"
        quiet = {"stdout": -3, "stderr": -3}
        dask = (
            [sys.executable, "-m", "distributed.cli.dask_scheduler"],
            [sys.executable, "-m", "distributed.cli.dask_worker"],
        )
        processes = [hosts.start(3, [*dask[0], "--host", hosts.address(3), "--no-dashboard"], **quiet)]
        processes += [
            hosts.start(host, [*dask[1], address, "--nthreads", 1, "--no-dashboard", "--no-nanny"], **quiet)
            for host in (1, 2)
        ]
        try:
            packing = hosts.start(1, [*TOOLS, *words, tmp_path / "there", "--dask", address])
            assert packing.wait(120) == 0
        finally:
            for process in processes:
                process.kill()
                process.wait()
    here, there = (
        {file.name: file.read_bytes() for file in Path(tmp_path, name).iterdir() if file.is_file()}
        for name in ("here", "there")
    )
    assert set(here) == set(there) and len(here) > 8
    assert [name for name in here if here[name] != there[name]] == []
