"""Images that a split shares with train: a net has seen them, so they are no test (paper Sec. 2, 6)."""

from __future__ import annotations

import hashlib

import numpy as np

from .framing import Bytes

_DIGEST_BYTES = 8  # between two halves of 15 million images one false find has a chance of 1 in 300,000


def image_digest(image: Bytes) -> int:
    """A number of 64 bits that tells a packed image from others; the same image file is packed to the same bytes."""
    return int.from_bytes(hashlib.blake2b(image, digest_size=_DIGEST_BYTES).digest(), "little")


def find_duplicates(digests: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places in `digests`, uint64 (n,), of images that are in train, and of one such image in `train`, uint64 (m,).

    Both are int64 (shared images,).
    """
    if not len(train):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    order = np.argsort(train, kind="stable")
    found = order[np.minimum(np.searchsorted(train, digests, sorter=order), len(train) - 1)]
    places = np.flatnonzero(train[found] == digests)
    return places, found[places]
