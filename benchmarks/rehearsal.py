"""All of ImageNet, rehearsed: 1,281,167 + 50,000 small images in the official files, from the tars to the exported net.

    python benchmarks/rehearsal.py --devkit ILSVRC2012_devkit_t12 --folder SCRATCH [--share 100] [--output FILE]

Makes the files, then runs the program as a user would: pack (nothing may be missing), verify, stats, ten updates of
training, SIGTERM, a resume that is killed with SIGKILL, a resume again, eval of the validation set over the centre
view, export. Time, peak memory and what is on the disk after each step are reported, and all records are read by a
reader that knows nothing of the program: each image must be there once, with its label. --share 100 takes a hundredth
of the images, to try this script.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import ilsvrc_replica
from report import environment

GIGABYTES = {"files": 3, "shards": 12, "run": 3}  # that all of it takes, with room
UPDATES = 10
BATCH = 128
PATIENCE = 3600.0  # seconds until a step of training must have shown its updates


class Failed(Exception):
    """A step did not do what it should."""


def step(name: str, folder: Path, work: Callable[[], str]) -> dict:
    """Do a step; its seconds, the peak memory of its largest process, and the gigabytes on the disk after it."""
    began = time.perf_counter()
    said = work()
    size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    found = {"step": name, "seconds": round(time.perf_counter() - began, 1), "gigabytes": round(size / 1e9, 2)}
    found |= {"peak_mb": round(PEAK.pop() / 1024) if PEAK else None, "said": said}
    print(json.dumps(found), flush=True)
    return found


PEAK: list[int] = []  # KB, of the command that ran last


def program(*words: object, stop: Callable[[Path], signal.Signals | None] | None = None) -> str:
    """Run the program; returns what it printed. stop: asked now and then, with its log, whether to send a signal."""
    log = Path(f"/tmp/rehearsal-{os.getpid()}.log")
    with open(log, "w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "gluon_alexnet.tools.main", *map(str, words)],
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        sent = None
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG if stop else 0)
            if pid:
                break
            if sent is None and (sent := stop(log)) is not None:
                process.send_signal(sent)
            time.sleep(0.2)
    code = os.waitstatus_to_exitcode(status)
    said = log.read_text()
    log.unlink()
    PEAK[:] = [used.ru_maxrss]
    if code != 0 and sent is None:
        raise Failed(f"{words[0]} ended with exit code {code}: {said.strip().splitlines()[-1:]}")
    return said


def after_updates(count: int, how: signal.Signals) -> Callable[[Path], signal.Signals | None]:
    """Send a signal once the progress shows so many updates of this process."""
    began, first = time.monotonic(), []

    def stop(log: Path) -> signal.Signals | None:
        if time.monotonic() - began > PATIENCE:
            raise Failed(f"after {PATIENCE:.0f} s there are not {count} updates: {log.read_text()[-300:]}")
        done = [int(number) for number in re.findall(r"epoch 1[^:\n]*: (\d+)/", log.read_text())]
        first.extend(done[:1] if not first else [])
        return how if done and done[-1] - first[0] >= count * BATCH else None

    return stop


def last(said: str) -> str:
    return said.strip().splitlines()[-1] if said.strip() else ""


def audit(data: Path, official: ilsvrc_replica.Kit, made: dict[str, int]) -> str:
    """Read every record independently of the program. Raises Failed unless each image is there once, with its label."""
    order = {wnid: label for label, wnid in enumerate(sorted(official.wnids.values()))}
    labels = {class_id: order[wnid] for class_id, wnid in official.wnids.items()}
    words = []
    for split, name in enumerate(("train", "val")):
        seen, unreadable, wrong = set(), 0, 0
        shards = sorted(data.glob(f"{name}-*.rec"))
        with ProcessPoolExecutor() as pool:
            for found, bad, mistaken in pool.map(
                ilsvrc_replica.audit, shards, [labels] * len(shards), [split] * len(shards)
            ):
                if seen & set(found) or len(set(found)) < len(found):
                    raise Failed(f"{name}: an image is there twice")
                seen.update(found)
                unreadable, wrong = unreadable + bad, wrong + mistaken
        if (len(seen), unreadable, wrong) != (made[name], 0, 0):
            raise Failed(f"{name}: {len(seen)} of {made[name]} images, {unreadable} unreadable, {wrong} wrong labels")
        words.append(f"{name}: {len(seen)} images, each once, no wrong label, {len(shards)} shards")
    return "; ".join(words)


def main() -> None:
    """Rehearse, and print one line of JSON a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devkit", type=Path, required=True, help="the official kit, unpacked")
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder, new")
    parser.add_argument("--share", type=int, default=1, help="take one image in so many")
    parser.add_argument("--output", type=Path, help="write the report there, too")
    given = parser.parse_args()
    if given.folder.exists():
        sys.exit(f"{given.folder} is there already; name a new folder.")
    need = sum(GIGABYTES.values()) / given.share + GIGABYTES["run"]
    free = shutil.disk_usage(given.folder.absolute().parent).free / 1e9
    if free < need:
        sys.exit(f"The rehearsal takes {need:.0f} GB and {given.folder.absolute().parent} has {free:.0f} GB free.")
    report = [{"environment": environment("mxnet"), "share": given.share}]
    print(json.dumps(report[0]), flush=True)
    try:
        rehearse(given, report)
    except Failed as error:
        sys.exit(f"Rehearsal failed: {error}")
    finally:
        if given.output:
            given.output.write_text("".join(json.dumps(line) + "\n" for line in report))


def rehearse(given: argparse.Namespace, report: list[dict]) -> None:
    """Every step, each one's line added to the report."""
    folder, made = given.folder, {}
    source, data, run, out = (folder / name for name in ("downloads", "data", "run", "exported/net"))
    official = ilsvrc_replica.kit(given.devkit)

    def add(name: str, work: Callable[[], str]) -> None:
        report.append(step(name, folder, work))

    def make() -> str:
        made.update(ilsvrc_replica.make(given.devkit, source, given.share))
        return json.dumps(made)

    missing = [] if given.share == 1 else ["--allow-missing"]
    train = ["train", "--data", data, "--run", run, "--cpus", "0,1", "--checkpoint-minutes", 0.2]
    add("make", make)
    add("pack", lambda: last(program("pack", "--ilsvrc", 2012, "--source", source, "--data", data, *missing)))
    add("independent reader", lambda: audit(data, official, made))
    add("verify", lambda: last(program("verify", "--data", data)))
    add("stats", lambda: last(program("stats", "--data", data)))
    add("train, SIGTERM", lambda: last(program(*train, stop=after_updates(UPDATES, signal.SIGTERM))))
    again = [*train, "--resume"]
    add("resume, SIGKILL", lambda: last(program(*again, stop=after_updates(UPDATES, signal.SIGKILL))))
    add("resume, SIGTERM", lambda: last(program(*again, stop=after_updates(1, signal.SIGTERM))))
    add("eval", lambda: last(program("eval", "--model", run, "--data", data, "--views", 1)))
    out.parent.mkdir()
    add("export", lambda: last(program("export", run, out)))


if __name__ == "__main__":
    main()
