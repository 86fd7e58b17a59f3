"""What the benchmarks print of the machine and of what they measured."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

DISTURBED = 0.15  # share of the machine that other programs may take during a turn before it is taken again
TRIES = 5
PATIENCE = 40.0  # seconds to wait for a calm machine before a turn


def turn(command: list[str]) -> tuple[str, float, float]:
    """(output, seconds, seconds of processor) of a command; taken again while other programs disturb it."""
    for _ in range(TRIES):
        _wait_for_calm()
        before, began = _busy(), time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        everyone, own = (after - start for after, start in zip(_busy(), before))
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        foreign = (everyone - own) / (seconds * os.cpu_count())
        if foreign <= DISTURBED:
            break
        print(f"disturbed: other programs took {foreign:.0%} of the machine", file=sys.stderr, flush=True)
    return done.stdout, seconds, own


def _wait_for_calm():
    os.sync()  # what the program before left to be written is not the next one's work
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before = _busy()[0]
        time.sleep(0.3)
        if _busy()[0] - before <= 0.3 * DISTURBED * os.cpu_count():
            return


def _busy():
    """Seconds of processor so far: of all programs, of this one's finished children."""
    user, nice, system, _, _, *interrupts = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    everyone = (user + nice + system + sum(interrupts[:3])) / os.sysconf("SC_CLK_TCK")
    return everyone, children.ru_utime + children.ru_stime


def environment(*packages: str) -> str:
    """One line: day, processor, load, versions."""
    processor = next(x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name"))
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    cores = len(os.sched_getaffinity(0))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{datetime.date.today()}, {processor.split(': ')[1]}, {cores} cores, load {load}, "
        f"Python {platform.python_version()}, {versions}"
    )


def medians(measured: dict[str, list]) -> dict[str, float]:
    """Print the median rate, its range and the processor time of each side; returns the medians."""
    found = {}
    for name, pairs in measured.items():
        rates = [pair[0] for pair in pairs]
        found[name] = statistics.median(rates)
        busy = statistics.median(pair[1] for pair in pairs)
        spread = f"({min(rates):.0f} to {max(rates):.0f})"
        print(f"{name:<30} {found[name]:7.0f} images/s  {spread:<18} {busy:6.0f} µs of processor an image")
    return found
