"""Images a second of training the paper's net, beside PyTorch's same net, in one run.

    make bench

Both sides run in turn on the same fixed batch with all cores; each turn is a process of its own. What is
quoted is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from gluon_alexnet import recipe

HERE = Path(__file__).parent


def ours(batch: int, steps: int, contexts: int) -> list[float]:
    """Images/s of each step of our own training step."""
    import time

    import numpy as np

    from gluon_alexnet import backend, schedule, training

    learner = training.Learner(recipe.PAPER, 1000, backend.contexts("cpu", range(contexts)))
    learner.initialize(1000, seed=0)
    rates = schedule.Rates(0.001, 0.001, 0.001, 0.001)
    crops = np.random.default_rng(0).normal(0, 60, (batch, 3, 224, 224)).astype(np.float32)
    labels = np.arange(batch) % 1000
    images_a_second = []
    for step in range(steps + 1):
        began = time.perf_counter()
        learner.step(crops, labels, rates, step)
        backend.mx.nd.waitall()
        images_a_second.append(batch / (time.perf_counter() - began))
    return images_a_second[1:]  # the first step plans its memory


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--contexts", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.contexts:
        print(json.dumps(ours(given.batch, given.steps, given.contexts)))
        return
    numbers = ["--batch", str(given.batch), "--steps", str(given.steps)]
    network = json.dumps(recipe.to_dict(recipe.PAPER)["network"])
    sides = {
        "MXNet, one context": [sys.executable, __file__, *numbers, "--contexts", "1"],
        "MXNet, two columns": [sys.executable, __file__, *numbers, "--contexts", "2"],
        "PyTorch": [given.peer, str(HERE / "peer_torch.py"), *numbers, "--network", network],
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(given.turns):
        for name, command in sides.items():
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rates[name] += json.loads(done.stdout.splitlines()[-1])
            print(f"turn {turn + 1}: {name} {rates[name][-1]:.1f} images/s", file=sys.stderr, flush=True)
    processor = next(x for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name"))
    print(
        f"{datetime.date.today()}, {processor.split(': ')[1]}, Python {platform.python_version()}, batch {given.batch}"
    )
    peer = statistics.median(rates["PyTorch"])
    for name, values in rates.items():
        median = statistics.median(values)
        spread = f"({min(values):.1f} to {max(values):.1f})"
        print(f"{name:<20} {median:6.1f} images/s  {spread}  {median / peer:.2f} × PyTorch")


if __name__ == "__main__":
    main()
