"""How a deployed net is timed, the same for every program; needs NumPy alone."""

import time
from pathlib import Path

import numpy as np

LATENCIES = 40  # single views a turn


def timed(run, images, steps: int, warm: int, work: Path) -> dict:
    """Views/s of each step on all images at once, milliseconds of single views, and how far the outputs are from ours.

    run: images → probabilities (N, classes) as an array; those of our float32 net are in `work`/expected.npy.
    """
    rates, latencies = [], []
    for _ in range(warm + steps):
        began = time.perf_counter()
        found = np.array(run(images))
        rates.append(len(images) / (time.perf_counter() - began))
    for place in range(5 + LATENCIES):
        one = images[place % len(images)][None]
        began = time.perf_counter()
        run(one)
        latencies.append(1e3 * (time.perf_counter() - began))
    expected = np.load(work / "expected.npy")
    return {
        "rates": rates[warm:],
        "latencies": latencies[5:],
        "difference": float(np.abs(found - expected).max()),
        "same_first": float((found.argmax(1) == expected.argmax(1)).mean()),
    }
