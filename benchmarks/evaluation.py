"""Views a second of the trained net (the paper's, ten views an image), beside PyTorch's same net, in one run.

    python benchmarks/evaluation.py --peer PYTHON

PYTHON has torch. Both sides turn the same number of views in memory into probabilities, with all cores; a turn is a
process for each side, one after the other, and what is quoted is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from report import environment

from gluon_alexnet.recipes import presets, schema

HERE = Path(__file__).parent
WARM = 2


def ours(views: int, steps: int) -> list[float]:
    """Views/s of each step through the net that `alexnet-tools eval` makes of a run, from uint8 to probabilities."""
    import numpy as np

    from gluon_alexnet import backend
    from gluon_alexnet.model.alexnet import initial_parameters
    from gluon_alexnet.model.classifier import build_classifier, classify_with

    network = presets.PAPER.network
    parameters = initial_parameters(network, 1000, 0)
    size = network.input_size
    parameters["mean"] = backend.mx.nd.full((3, size, size), 120)
    context = backend.mx.cpu()
    classify = classify_with(build_classifier(network, parameters, context), context)
    images = np.random.default_rng(0).integers(0, 256, (views, size, size, 3), np.uint8)
    rates = []
    for _ in range(WARM + steps):
        began = time.perf_counter()
        classify(images)
        rates.append(views / (time.perf_counter() - began))
    return rates[WARM:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--views", type=int, default=160, help="views in a batch: ten of each of 16 images")
    parser.add_argument("--steps", type=int, default=8, help="batches in a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--own", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.own:
        rates = ours(given.views, given.steps)
        print(json.dumps({"rates": rates, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    network = json.dumps(schema.to_dict(presets.PAPER)["network"])
    numbers = ["--steps", str(given.steps)]
    batch = ["--batch", str(given.views), "--warm", str(WARM), "--network", network]
    sides = {
        "ours": [sys.executable, __file__, *numbers, "--views", str(given.views), "--own"],
        "PyTorch": [given.peer, str(HERE / "peer_torch.py"), *numbers, *batch, "--evaluate"],
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    memory = dict.fromkeys(sides, 0.0)
    for turn, (name, command) in itertools.product(range(given.turns), sides.items()):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        rates[name] += found["rates"]
        memory[name] = max(memory[name], found["memory"])
        print(f"turn {turn + 1}: {name} {found['rates'][-1]:.0f} views/s", file=sys.stderr, flush=True)
    print(environment("mxnet", "numpy"))
    print(f"the paper's net, {given.views} views a batch, {given.turns} turns of {given.steps} batches; medians")
    for name, values in rates.items():
        spread = f"({min(values):.0f} to {max(values):.0f})"
        print(f"{name:<8} {statistics.median(values):6.0f} views/s  {spread:<14} {memory[name]:5.0f} MB at the most")
    ratio = statistics.median(rates["ours"]) / statistics.median(rates["PyTorch"])
    print(f"ours / PyTorch: {ratio:.2f} (wanted: 2)")


if __name__ == "__main__":
    main()
