"""Images a second of training the paper's net, beside PyTorch's same net, in one run.

    python benchmarks/training.py --peer PYTHON --data DATA

PYTHON has torch and opencv-python. DATA is a folder of `alexnet-tools pack` with one shard a split; with it both sides
train once more with their readers attached: ours, and a DataLoader over the same records. A turn is a process for each
side, one after the other, on the same batch and with all cores; what is quoted is the ratio of the medians. The limit
is set by the matrix product's rate, measured in each turn, too.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from report import environment

from gluon_alexnet.model.shapes import parameter_shapes
from gluon_alexnet.recipes import presets, schema

HERE = Path(__file__).parent
WARM = 2  # steps before the clock starts: memory is planned, the readers are ahead by as much as they may
PLACES = {"conv1": 55 * 55, "conv2": 27 * 27, "conv3": 13 * 13, "conv4": 13 * 13, "conv5": 13 * 13}  # of a map
MATRIX, PRODUCTS = 4096, 10  # rows and columns; products taken, of which the fastest counts


def operations() -> float:
    """Floating-point operations an image: 2 a multiplication; backwards as much for weights as for the layer below."""
    shapes = parameter_shapes(presets.PAPER.network, 1000)
    weights = {name.partition("_")[0]: math.prod(shape) for name, shape in shapes.items() if name.endswith("_weight")}
    return 3 * 2 * sum(count * PLACES.get(layer, 1) for layer, count in weights.items())


def ours(batch: int, steps: int, contexts: int, data: Path | None = None) -> list[float]:
    """Images/s of each step of our own training step, on one batch or with the reader attached."""
    import itertools

    import numpy as np
    from reading import ours as crops_of

    from gluon_alexnet import backend
    from gluon_alexnet.data import prefetch
    from gluon_alexnet.training import loop, lr_schedule

    trainer = loop.Trainer(presets.PAPER, 1000, backend.contexts("cpu", range(contexts)))
    trainer.initialize(seed=0)
    rates = lr_schedule.LearningRates(1e-4, 1e-4)
    fixed = np.random.default_rng(0).normal(0, 60, (batch, 3, 224, 224)).astype(np.float32)
    source = crops_of(data, True, backend.threads()) if data else itertools.repeat(fixed)
    images_a_second = []
    with prefetch.prefetched(source) as batches:
        for step in range(WARM + steps):
            began = time.perf_counter()
            crops = next(batches)
            trainer.step(crops, np.arange(len(crops)) % 1000, rates, step)
            backend.mx.nd.waitall()
            images_a_second.append(len(crops) / (time.perf_counter() - began))
    return images_a_second[WARM:]


def matrix_product() -> float:
    """Operations a second of a large single-precision matrix product by MXNet, all threads."""
    from gluon_alexnet.backend import mx

    left, right = (mx.nd.random.normal(shape=(MATRIX, MATRIX)) for _ in range(2))
    seconds = []
    for _ in range(PRODUCTS):
        began = time.perf_counter()
        mx.nd.dot(left, right).wait_to_read()
        seconds.append(time.perf_counter() - began)
    return 2 * MATRIX**3 / min(seconds)


def measure(given) -> dict:
    """Of one side: what was asked for, and the most memory it took (MB)."""
    result = {}
    if given.side == "product":
        result["rates"] = [matrix_product()]
    else:
        data = given.data if given.side == "reading" else None
        result["rates"] = ours(given.batch, given.steps, 2 if given.side == "columns" else 1, data)
    result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return result


def commands(given) -> dict[str, list[str]]:
    """The command of each side, by its name in the table."""
    numbers = ["--batch", str(given.batch), "--steps", str(given.steps)]
    own = [sys.executable, __file__, *numbers, "--side"]
    network = json.dumps(schema.to_dict(presets.PAPER)["network"])
    torch = [given.peer, str(HERE / "peer_torch.py"), *numbers, "--warm", str(WARM), "--network", network]
    sides = {
        "matrix product": [*own, "product"],
        "one context": [*own, "one"],
        "two columns": [*own, "columns"],
        "PyTorch": torch,
    }
    if given.data:
        (records,) = given.data.glob("train-*.rec")
        sides["one context, reading"] = [*own, "reading", "--data", str(given.data)]
        sides["PyTorch, reading"] = [*torch, "--records", str(records.with_suffix(""))]
    return sides


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--data", type=Path, help="packed data set, for the sides with readers")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--side", choices=["product", "one", "columns", "reading"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(measure(given)))
        return
    sides = commands(given)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    memory = dict.fromkeys(sides, 0.0)
    for turn in range(given.turns):
        for name, command in sides.items():
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rates[name] += found["rates"]
            memory[name] = max(memory[name], found["memory"])
            print(f"turn {turn + 1}: {name} {found['rates'][-1]:.4g} a second", file=sys.stderr, flush=True)
    product = statistics.median(rates.pop("matrix product"))
    limit = product / operations()
    print(environment("mxnet", "numpy", "numba"))
    print(f"the paper's net, batch {given.batch}, {given.turns} turns of {given.steps} steps; medians")
    work = f"{operations() / 1e9:.2f} GFLOP an image"
    print(f"matrix product {product / 1e9:.0f} GFLOP/s, {work}: no more than {limit:.1f} images/s")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, median in medians.items():
        spread = f"({min(rates[name]):.1f} to {max(rates[name]):.1f})"
        peer = medians["PyTorch, reading" if name.endswith("reading") else "PyTorch"]
        shares = f"{median / peer:.2f} × PyTorch  {median / limit:4.0%} of the limit"
        print(f"{name:<21} {median:6.1f} images/s  {spread:<15} {shares}  {memory[name]:5.0f} MB at the most")
    print(f"two columns / one context: {medians['two columns'] / medians['one context']:.3f} (wanted: 0.97)")
    if given.data:
        share = medians["one context, reading"] / medians["one context"]
        print(f"reader attached / batch in memory: {share:.3f} (wanted: 0.97)")


if __name__ == "__main__":
    main()
