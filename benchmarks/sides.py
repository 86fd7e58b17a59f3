"""Sides of a benchmark in alternating turns: each turn of a side is a process of its own, which prints JSON at its end.

A side that cannot be run here prints {"missing": what}, and has a row that says so; the others run.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any


def chosen(names: str, known: list[str]) -> list[str]:
    """The peers of a comma-separated list; ends the program with one sentence where one is unknown."""
    given = [name for name in names.split(",") if name]
    unknown = [name for name in given if name not in known]
    if unknown:
        print(f"There is no peer {unknown[0]!r}; the peers are {', '.join(known)}.", file=sys.stderr)
        sys.exit(2)
    return given


def take_turns(sides: dict[str, list[str]], turns: int, keep: Path | None = None) -> dict[str, list[dict[str, Any]]]:
    """What each side printed in each of its turns. keep: a file of earlier turns, which count too and get these."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    if keep and keep.exists():
        for line in keep.read_text().splitlines():
            name, printed = json.loads(line)
            if name in found:
                found[name].append(printed)
    missing = {name for name, printed in found.items() if any("missing" in one for one in printed)}
    for turn in range(turns):
        for name, command in sides.items():
            if name in missing:
                continue
            printed = _run(command)
            if "missing" in printed:
                missing.add(name)
            found[name].append(printed)
            if keep:
                with keep.open("a") as file:
                    file.write(json.dumps([name, printed]) + "\n")
            shown = printed.get("missing") or f"{statistics.median(printed['rates']):.4g} a second"
            print(f"turn {turn + 1}: {name}: {shown}", file=sys.stderr, flush=True)
    return found


def _run(command: list[str]) -> dict[str, Any]:
    if not Path(command[0]).exists():
        return {"missing": f"not installed ({command[0]})"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def values(printed: list[dict[str, Any]], key: str = "rates") -> list[float]:
    """All figures of a side, of all its turns."""
    return [value for one in printed for value in one.get(key, [])]


def missing(printed: list[dict[str, Any]]) -> str | None:
    """Why a side was not measured; None where it was."""
    return next((one["missing"] for one in printed if "missing" in one), None)


def spread(figures: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(figures):6.1f} ({min(figures):.1f} to {max(figures):.1f})"


def versions(found: dict[str, list[dict[str, Any]]]) -> str:
    """What the peers say of their versions and settings, a line a side."""
    lines = [f"{name}: {printed[0]['how']}" for name, printed in found.items() if printed and "how" in printed[0]]
    return "\n".join(lines)
