"""Compiled loops for packing many images: the same bits as OpenCV's filter and libjpeg's decoder, in less time.

Loading them takes a second, and once after an installation ten, so it is worth it for thousands of images only.
"""

from __future__ import annotations

import logging
import threading

import cv2
import numpy as np

from ..dataset.images import encode, packed_pixels
from ..dataset.loops import Loops, loops, use
from ..dataset.manifest import SIZE

WORTH = 6000  # images from which on loading pays

_LOG = logging.getLogger(__name__)
_lock = threading.Lock()


def load() -> Loops:
    """Compile the loops, or read them from where Numba keeps them; those that are exact on probes do the work then."""
    with _lock:
        if loops() == Loops():
            try:
                use(_checked())
            except ImportError:
                _LOG.info("compiled loops: Numba is not installed")
        return loops()


def _checked() -> Loops:
    from ..dataset import area_filter, jpeg_pixels  # they import Numba, which takes half a second

    steps = jpeg_pixels.tables(encode(np.zeros((SIZE, SIZE, 3), np.uint8), "jpeg"))

    def decoded(image: np.ndarray) -> np.ndarray:
        return jpeg_pixels.decoded(image, steps)

    same_filter = same_pixels = True
    for probe in _probes():
        height, width = SIZE, SIZE * probe.shape[1] // probe.shape[0]
        left = (width - SIZE) // 2
        scaled = cv2.resize(probe, (width, height), interpolation=cv2.INTER_AREA)
        expected = np.ascontiguousarray(scaled[:, left : left + SIZE])
        same_filter &= np.array_equal(area_filter.scaled_centre(probe, height, width), expected)
        same_pixels &= np.array_equal(decoded(expected), packed_pixels(encode(expected, "jpeg"), "jpeg"))
    _LOG.info("compiled loops: area filter exact %s, decoded pixels exact %s", same_filter, same_pixels)
    return Loops(
        area_filter.scaled_centre if same_filter else None, decoded if same_pixels else None, jpeg_pixels.add_sums
    )


def _probes() -> list[np.ndarray]:
    """Images, uint8 (H, W, 3) and larger than 256: noise, black and white in disorder, slow waves of colour."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (300, 401, 3), dtype=np.uint8)
    hard = random.integers(0, 2, (257, 300, 3), dtype=np.uint8) * np.uint8(255)
    y, x = np.mgrid[:643, :700]
    waves = np.stack([128 + 127 * np.sin(x / 90 + y / (40 + 30 * k) + k) for k in range(3)], axis=2)
    return [noise, hard, waves.astype(np.uint8)]
