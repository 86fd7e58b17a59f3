"""Permutations that depend on nothing but their key: not on NumPy's version, the machine or the number of threads."""

from __future__ import annotations

import numpy as np


def shuffled(count: int, seed: int, stream: int) -> np.ndarray:
    """A permutation of 0…count-1, int64 (count,), for each pair of `seed` and `stream`, both in 0…2⁶⁴-1."""
    # NumPy promises to keep a bit generator's raw numbers; it makes no such promise for `permutation`.
    numbers = np.random.Philox(key=np.array([seed, stream], np.uint64)).random_raw(count)
    return np.argsort(np.asarray(numbers, np.uint64).reshape(count), kind="stable")
