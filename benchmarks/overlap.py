"""Images a second of training with the reader attached, beside training on one batch that stays in memory.

    python benchmarks/overlap.py --data DATA

Both take the same steps of the paper's net, in turns, each turn a process of its own. What is quoted is the ratio of
the medians: what is missing to 1 is what reading, decoding and cropping take from the net.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from report import environment, turn
from training import ours


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--side", choices=["reader", "memory"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(ours(128, given.steps, 1, given.data if given.side == "reader" else None)))
        return
    rates: dict[str, list[float]] = {"memory": [], "reader": []}
    words = [f"--{name}={getattr(given, name)}" for name in ("data", "steps")]
    for number in range(given.turns):
        for side in rates:
            command = [sys.executable, __file__, *words, "--side", side]
            rates[side] += json.loads(turn(command)[0].splitlines()[-1])
            print(f"turn {number + 1}: {side} {rates[side][-1]:.1f} images/s", file=sys.stderr, flush=True)
    print(environment("mxnet", "numpy", "simplejpeg"))
    print(f"the paper's net on one context, batch 128, {given.turns} turns of {given.steps} steps; medians")
    for side, name in (("memory", "batch in memory"), ("reader", "reader attached")):
        spread = f"({min(rates[side]):.1f} to {max(rates[side]):.1f})"
        print(f"{name:<16} {statistics.median(rates[side]):6.1f} images/s  {spread}")
    share = statistics.median(rates["reader"]) / statistics.median(rates["memory"])
    print(f"reader attached / batch in memory: {share:.3f} (wanted: 0.98)")


if __name__ == "__main__":
    main()
