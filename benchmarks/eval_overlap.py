"""Images a second of `eval` on a packed set, beside the net alone on views that stay in memory.

    python benchmarks/eval_overlap.py --data DATA --model RUN [--views 1] [--nets 3]

Both take passes of the same size, in turns, each turn a process of its own; the first passes are not counted. What is
quoted is the ratio of the medians: what is missing to 1 is what reading, decoding, cropping and counting take.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from report import environment, turn

WARM = 2  # passes


class Enough(Exception):
    """So many passes were timed."""


def reading(given: argparse.Namespace) -> list[float]:
    """Images/s of each pass of `eval`."""
    from gluon_alexnet.workflows.evaluate import evaluate

    moments, counts = [], []

    @contextmanager
    def progress(*_):
        def done(images):
            moments.append(time.perf_counter())
            counts.append(images)
            if len(moments) > WARM + given.passes:
                raise Enough

        yield done

    with suppress(Enough):
        evaluate([given.model] * given.nets, given.data, views=(given.views,), device="cpu(0)", progress=progress)
    seconds = moments[-1] - moments[WARM]
    return [sum(counts[WARM + 1 :]) / seconds]


def alone(given: argparse.Namespace) -> list[float]:
    """Images/s of the nets on the same number of views, without a reader."""
    import numpy as np

    from gluon_alexnet.workflows.evaluate import images_per_pass
    from gluon_alexnet.workflows.load import as_models

    nets = as_models([given.model] * given.nets, "cpu(0)")
    count = images_per_pass(given.nets, (given.views,))
    size = nets[0].size
    views = np.random.default_rng(0).integers(0, 256, (count * given.views, size, size, 3), np.uint8)
    for _ in range(WARM):
        for net in nets:
            net.classify(views)
    began = time.perf_counter()
    for _ in range(given.passes):
        for net in nets:
            net.classify(views)
    return [count * given.passes / (time.perf_counter() - began)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--views", type=int, choices=(1, 10), default=1)
    parser.add_argument("--nets", type=int, default=1, help="the same net so many times")
    parser.add_argument("--passes", type=int, default=8, help="in a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--side", choices=["alone", "eval"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        rates = alone(given) if given.side == "alone" else reading(given)
        print(json.dumps({"rates": rates, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    rates: dict[str, list[float]] = {"alone": [], "eval": []}
    memory = dict.fromkeys(rates, 0.0)
    words = [f"--{name}={getattr(given, name)}" for name in ("data", "model", "views", "nets", "passes")]
    for number in range(given.turns):
        for side in rates:
            found = json.loads(turn([sys.executable, __file__, *words, "--side", side])[0].splitlines()[-1])
            rates[side] += found["rates"]
            memory[side] = max(memory[side], found["memory"])
            print(f"turn {number + 1}: {side} {rates[side][-1]:.1f} images/s", file=sys.stderr, flush=True)
    print(environment("mxnet", "numpy"))
    print(
        f"{given.nets} net(s), views of an image: {given.views}, {given.turns} turns of {given.passes} passes; medians"
    )
    for side, name in (("alone", "the net alone"), ("eval", "eval")):
        median, spread = statistics.median(rates[side]), f"({min(rates[side]):.1f} to {max(rates[side]):.1f})"
        print(f"{name:<14} {median:6.1f} images/s  {spread:<18} {memory[side]:5.0f} MB at the most")
    share = statistics.median(rates["eval"]) / statistics.median(rates["alone"])
    print(f"eval / the net alone: {share:.3f} (wanted: 0.95)")


if __name__ == "__main__":
    main()
