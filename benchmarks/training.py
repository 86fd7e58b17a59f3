"""Images a second of training the paper's net, beside PyTorch's and JAX's same net, in one run.

    python benchmarks/training.py --torch PYTHON --jax PYTHON --data DATA

PYTHON are environments of their own that have torch (and, for --data, opencv-python) and jax; `make bench` makes both.
DATA is a folder of `alexnet-tools pack` with one shard a split; with it both sides train once more with their readers
attached: ours, and a DataLoader over the same records. A turn is a process for each side, one after the other, on the
same batch and with all cores; what is quoted is the ratio of the medians. The limit is the processor's multiply-add
rate, measured in each turn by a kernel of independent multiply-adds; MXNet's matrix product is a peer. With --keep the
turns of several calls are counted together.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import sys
import time
from pathlib import Path

from report import environment
from sides import chosen, missing, spread, take_turns, values, versions

from gluon_alexnet.model.shapes import parameter_shapes
from gluon_alexnet.recipes import presets, serialization

HERE = Path(__file__).parent
WARM = 5  # steps before the clock starts: memory is planned, and our first four touch pages of it that are new
PLACES = {"conv1": 55 * 55, "conv2": 27 * 27, "conv3": 13 * 13, "conv4": 13 * 13, "conv5": 13 * 13}  # of a map
MATRIX, PRODUCTS = 4096, 10  # rows and columns; products taken, of which the fastest counts
PEERS = {
    "torch": "PyTorch",
    "torch-compile": "torch.compile",
    "torch-compile-kept": "torch.compile, kept",
    "jax": "JAX jit",
}
# The fastest of channels_last or not and PyTorch's own normalisation or the composed, tried in turns.
EAGER = ["--own-lrn"]
COMPILED: list[str] = []
KERNELS = ("multiply-adds", "matrix product")  # sides that train nothing


def products() -> dict[str, float]:
    """Multiplications an image in each layer's forward pass."""
    shapes = parameter_shapes(presets.PAPER.network, 1000)
    weights = {name.partition("_")[0]: math.prod(shape) for name, shape in shapes.items() if name.endswith("_weight")}
    return {layer: count * PLACES.get(layer, 1) for layer, count in weights.items()}


def operations(training: bool = True) -> float:
    """Floating-point operations an image: 2 a multiplication; backwards as much for weights as for the layer below.

    Nothing is derived by the image itself, so layer 1 costs two passes, the others three.
    """
    each = products()
    return 2 * sum(count * ((2 if layer == "conv1" else 3) if training else 1) for layer, count in each.items())


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
    """Of one side of our own: what was asked for, and the most memory it took (MB)."""
    if given.side == "peak":
        from peak import multiply_add_peak

        rate = multiply_add_peak()
        return {"missing": "no C compiler here"} if rate is None else {"rates": [rate]}
    if given.side == "product":
        return {"rates": [matrix_product()]}
    data = given.data if given.side == "reading" else None
    rates = ours(given.batch, given.steps, 2 if given.side == "columns" else 1, data)
    return {"rates": rates, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def commands(given, peers: list[str]) -> dict[str, list[str]]:
    """The command of each side, by its name in the table."""
    numbers = ["--batch", str(given.batch), "--steps", str(given.steps)]
    own = [sys.executable, __file__, *numbers, "--side"]
    network = ["--warm", str(WARM), "--network", json.dumps(serialization.to_dict(presets.PAPER)["network"])]
    torch = [given.torch, str(HERE / "peer_torch.py"), *numbers, *network]
    peer = {
        "torch": [*torch, *EAGER],
        "torch-compile": [*torch, "--compile", *COMPILED],
        "torch-compile-kept": [*torch, "--compile", *COMPILED, "--keep-memory"],
        "jax": [given.jax, str(HERE / "peer_jax.py"), *numbers, *network],
    }
    sides = {
        "multiply-adds": [*own, "peak"],
        "matrix product": [*own, "product"],
        "one context": [*own, "one"],
        "two columns": [*own, "columns"],
        **{PEERS[name]: peer[name] for name in peers},
    }
    if given.data:
        (records,) = given.data.glob("train-*.rec")
        sides["one context, reading"] = [*own, "reading", "--data", str(given.data)]
        if "torch" in peers:
            sides["PyTorch, reading"] = [*peer["torch"], "--records", str(records.with_suffix(""))]
    return sides


def table(found: dict, batch: int) -> None:
    """Print what was measured: shares of the peak, and of the best peer."""
    rates = {name: values(printed) for name, printed in found.items() if values(printed)}
    peak, product = (statistics.median(rates[name]) if name in rates else None for name in KERNELS)
    work = operations()
    print(f"the paper's net, batch {batch}; medians of all steps, and their range; {work / 1e9:.2f} GFLOP an image")
    if peak:
        print(f"multiply-adds in registers {peak / 1e9:.0f} GFLOP/s: no more than {peak / work:.1f} images/s")
    print(f"MXNet's matrix product {product / 1e9:.0f} GFLOP/s" + (f", {product / peak:.0%} of it" if peak else ""))
    ratio = {name: statistics.median(rates[name]) for name in rates if name not in KERNELS}
    best = max((ratio[name] for name in PEERS.values() if name in ratio), default=None)
    for name, printed in found.items():
        if name in KERNELS:
            continue
        if missing(printed):
            print(f"{name:<21} {missing(printed)}")
            continue
        share = f"{ratio[name] * work / peak:4.0%} of the peak  " if peak else ""
        against = f"{ratio[name] / best:.2f} × the best peer  " if best else ""
        memory = max(one["memory"] for one in printed)
        print(f"{name:<21} {spread(rates[name])} images/s  {against}{share}{memory:5.0f} MB at the most")
    print(versions(found))
    print(f"two columns / one context: {ratio['two columns'] / ratio['one context']:.3f} (wanted: 0.97)")
    if "one context, reading" in ratio:
        share = ratio["one context, reading"] / ratio["one context"]
        print(f"reader attached / batch in memory: {share:.3f} (wanted: 0.98)")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--jax", default=sys.executable, help="a Python that has JAX")
    parser.add_argument("--peers", default=",".join(PEERS), help="which of them, separated by commas (all)")
    parser.add_argument("--data", type=Path, help="packed data set, for the sides with readers")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3, help="steps in a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="file of the turns so far, which are counted, too")
    parser.add_argument("--side", choices=["peak", "product", "one", "columns", "reading"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(measure(given)))
        return
    found = take_turns(commands(given, chosen(given.peers, list(PEERS))), given.turns, given.keep)
    print(environment("mxnet", "numpy", "numba"))
    table(found, given.batch)


if __name__ == "__main__":
    main()
