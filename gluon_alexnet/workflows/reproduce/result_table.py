"""What a repeated experiment leaves: a table, with the machine that it was measured on, and a drawing."""

from __future__ import annotations

import datetime
import platform
from dataclasses import dataclass
from pathlib import Path

from ... import backend
from ...atomic_files import write_text


@dataclass(frozen=True)
class Reproduced:
    """``text``: what the table's file holds."""

    text: str
    table: Path
    drawing: Path


def write_table(out: Path, name: str, table: str) -> Reproduced:
    """Write OUT/NAME.txt, the table below a line about the machine; the drawing is OUT/NAME.png."""
    text = f"{_machine()}\n{table}"
    file = out / f"{name}.txt"
    write_text(file, text + "\n")
    return Reproduced(text, file, out / f"{name}.png")


def _machine() -> str:
    """Day, processor, cores, threads and versions, in a line."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.machine()
    versions = ", ".join(f"{name} {version}" for name, version in backend.versions().items() if "mxnet" in name)
    return (
        f"{datetime.date.today()}, {processor}, cores: {backend.usable_cores()}, threads: {backend.threads()}, "
        f"Python {platform.python_version()}, {versions}"
    )
