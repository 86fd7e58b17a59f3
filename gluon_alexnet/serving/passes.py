"""Into which passes a batch is best cut: seconds a view do not fall evenly with the size of a pass.

oneDNN 2, inside MXNet 1.9.1, takes another way for fully-connected layers from 16 views on, which only pays above 30:
at full width, 16 views took 98 ms in one pass and 88 ms in two of 8. So passes are timed when the server starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

SIZES = (1, 4, 8, 12, 15, 16, 24, 32, 64)  # that are timed
TURNS = 2
WORTH = 0.95  # more passes than one are made if they take less than this share of its time


def measure(classify: Callable[[np.ndarray], np.ndarray], size: int, most: int) -> dict[int, float]:
    """Seconds of a pass by its views, up to ``most``. classify: uint8 (M, size, size, 3) → (M, classes)."""
    seconds = {}
    for count in [count for count in SIZES if count < most] + [most]:
        views = np.zeros((count, size, size, 3), np.uint8)
        classify(views)
        turns = []
        for _ in range(TURNS):
            began = time.perf_counter()
            classify(views)
            turns.append(time.perf_counter() - began)
        seconds[count] = min(turns)
    return seconds


def plan(seconds: Mapping[int, float]) -> Callable[[int], Sequence[int]]:
    """A function from a number of views to the sizes of the passes that take the least time, the largest first.

    seconds: of passes by their views, as :func:`measure` gives them. No pass is larger than the largest that was timed;
    between two of them a pass is taken to cost what lies between.
    """
    sizes = sorted(seconds)
    most = sizes[-1]
    costs = np.interp(range(most + 1), [0, *sizes], [0, *(seconds[size] for size in sizes)]).tolist()

    best: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]  # of each number of views: seconds and passes
    for count in range(1, 2 * most + 1):
        ways = ((costs[first] + best[count - first][0], first) for first in range(min(count, most), 0, -1))
        cheapest, first = min(ways, key=lambda way: way[0])
        best.append((cheapest, (first, *best[count - first][1])))

    def parts(count: int) -> Sequence[int]:
        whole = max(0, -(-count // most) - 2)  # of what is far above the largest, those first
        left = count - whole * most
        if left <= most and best[left][0] > WORTH * costs[left]:
            return [most] * whole + [left]
        return [most] * whole + sorted(best[left][1], reverse=True)

    return parts
