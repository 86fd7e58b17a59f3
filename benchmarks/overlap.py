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
import time
from pathlib import Path

from report import environment, turn

WARM = 2  # steps before the clock starts: memory is planned, the reader is ahead by as much as it may


def train(folder: Path, batch: int, steps: int, attached: bool) -> list[float]:
    """Images/s of each step."""
    import dataclasses
    import itertools

    import numpy as np

    from gluon_alexnet import backend, recipe, schedule, training
    from gluon_alexnet.tools.train import _data

    paper = dataclasses.replace(recipe.PAPER, learning=dataclasses.replace(recipe.PAPER.learning, batch_size=batch))
    learner = training.Learner(paper, 1000, backend.contexts("cpu", [0]))
    learner.initialize(1000, seed=0)
    data, _ = _data(folder, paper, 0, "stop")
    batches = itertools.chain.from_iterable(data.epoch(number, 0) for number in itertools.count())
    if not attached:
        crops, labels, _ = next(batches)
        batches = itertools.repeat((np.array(crops), labels, 0))
    rates = []
    with training.prefetched(batches) as ready:
        for step in range(WARM + steps):
            began = time.perf_counter()
            crops, labels, _ = next(ready)
            learner.step(crops, labels, schedule.Rates(1e-4, 1e-4, 1e-4, 1e-4), step)
            backend.mx.nd.waitall()
            rates.append(len(labels) / (time.perf_counter() - began))
    return rates[WARM:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=4, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--side", choices=["reader", "memory"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(train(given.data, given.batch, given.steps, given.side == "reader")))
        return
    rates: dict[str, list[float]] = {"memory": [], "reader": []}
    words = [f"--{name}={getattr(given, name)}" for name in ("data", "batch", "steps")]
    for number in range(given.turns):
        for side in rates:
            command = [sys.executable, __file__, *words, "--side", side]
            rates[side] += json.loads(turn(command)[0].splitlines()[-1])
            print(f"turn {number + 1}: {side} {rates[side][-1]:.1f} images/s", file=sys.stderr, flush=True)
    print(environment("mxnet", "numpy", "simplejpeg"))
    print(f"the paper's net on one context, batch {given.batch}, {given.turns} turns of {given.steps} steps; medians")
    for side, name in (("memory", "batch in memory"), ("reader", "reader attached")):
        spread = f"({min(rates[side]):.1f} to {max(rates[side]):.1f})"
        print(f"{name:<16} {statistics.median(rates[side]):6.1f} images/s  {spread}")
    share = statistics.median(rates["reader"]) / statistics.median(rates["memory"])
    print(f"reader attached / batch in memory: {share:.3f} (wanted: 0.97)")


if __name__ == "__main__":
    main()
