"""OpenCV's area filter, compiled by Numba: the same bits, and only the pixels that the centre keeps (paper Sec. 2).

OpenCV adds up one product after the other; here each step is a loop over all pixels of a row, which the compiler
vectorises. It does so best where it knows the bounds; each slice costs a reference count.
"""

from __future__ import annotations

import numpy as np

from .compiled import compiled
from .manifest import SIZE

_GROUP = 3  # source pixels that are weighted in one loop
_LEAST = 1e-3  # OpenCV leaves out what is less of a pixel


def scaled_centre(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The central 256x256 of what cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) gives.

    image: uint8 (H, W, 3), contiguous, H ≥ height ≥ 256 and W ≥ width ≥ 256; the two ratios must not both be whole
    numbers, for which OpenCV has another filter. Returns uint8 (256, 256, 3).
    """
    # A pixel is read and written as a word, whose fourth byte is the next pixel's first: it is computed for nothing.
    rows, columns = image.shape[:2]
    pixels = _words(np.ascontiguousarray(image), rows * columns - 1)
    last = np.zeros(3 * (columns + _GROUP) + 1, np.uint8)
    last[: 3 * columns] = image[-1].reshape(-1)
    out = np.empty((SIZE, SIZE, 3), np.uint8)
    _scale(pixels, _words(last, columns + _GROUP), rows, columns, height, width, out.reshape(-1))
    return out


def _words(memory: np.ndarray, count: int) -> np.ndarray:
    """The words that begin at every third byte, uint32 (count,)."""
    return np.ndarray((count,), np.uint32, memory.data, strides=(3,))


@compiled
def _weights(side: int, scaled: int) -> tuple[np.ndarray, np.ndarray]:
    """First source pixel of each of the central 256, int64 (256,), and the weights from there, float32 (256, n)."""
    scale = 1.0 / (scaled / side)
    first = np.empty(SIZE, np.int64)
    most = (int(scale) + 2 + _GROUP - 1) // _GROUP * _GROUP
    weights = np.zeros((SIZE, most), np.float32)
    for place in range(SIZE):
        begin = ((scaled - SIZE) // 2 + place) * scale
        end = begin + scale
        cell = min(scale, side - begin)
        until = min(int(np.floor(end)), side - 1)
        inner = min(int(np.ceil(begin)), until)
        count = 0
        first[place] = inner
        if inner - begin > _LEAST:
            first[place] = inner - 1
            weights[place, 0] = (inner - begin) / cell
            count = 1
        for _ in range(inner, until):
            weights[place, count] = 1.0 / cell
            count += 1
        if end - until > _LEAST:
            weights[place, count] = min(min(end - until, 1.0), cell) / cell
    return first, weights


@compiled
def _begin(row: np.ndarray, weight: np.float32, sums: np.ndarray) -> None:
    for i in range(len(sums)):
        sums[i] = weight * row[i]


@compiled
def _add(row: np.ndarray, weight: np.float32, sums: np.ndarray) -> None:
    for i in range(len(sums)):
        sums[i] += weight * row[i]


@compiled
def _round(sums: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(sums)):
        out[i] = np.uint8(np.int32(np.rint(sums[i])))


@compiled
def _store(words: np.ndarray, out: np.ndarray) -> None:
    for i in range(SIZE):
        out[3 * i], out[3 * i + 1], out[3 * i + 2] = words[4 * i], words[4 * i + 1], words[4 * i + 2]


@compiled
def _of_bytes(first: np.ndarray, weights: np.ndarray, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """First pixel of each group of weights, uint64 (groups, 256), and the weights (groups, 3, 1024), of each byte."""
    count = weights.shape[1]
    spread = np.empty((count, 4 * SIZE), np.float32)
    firsts = np.empty((count // _GROUP, SIZE), np.uint64)
    for place in range(SIZE):
        for k in range(count):
            for byte in range(4):
                spread[k, 4 * place + byte] = weights[place, k]
        for group in range(count // _GROUP):  # beyond the end all weights are 0
            firsts[group, place] = min(first[place] + group * _GROUP, columns - 1)
    return firsts, spread.reshape(-1, _GROUP, 4 * SIZE)


@compiled
def _filter_row(
    pixels: np.ndarray,
    begin: int,
    firsts: np.ndarray,
    weights: np.ndarray,
    words: np.ndarray,
    colours: np.ndarray,  # the bytes of the words
    row: np.ndarray,
) -> None:
    for group in range(len(firsts)):
        for i in range(SIZE):
            place = np.uint64(begin) + firsts[group, i]
            words[0, i] = pixels[place]
            words[1, i] = pixels[place + np.uint64(1)]
            words[2, i] = pixels[place + np.uint64(2)]
        for i in range(4 * SIZE):
            left = np.float32(colours[0, i]) * weights[group, 0, i]
            middle = np.float32(colours[1, i]) * weights[group, 1, i]
            right = np.float32(colours[2, i]) * weights[group, 2, i]
            row[i] = (row[i] if group else np.float32(0)) + left + middle + right


@compiled
def _scale(
    pixels: np.ndarray, last_row: np.ndarray, rows: int, columns: int, height: int, width: int, out: np.ndarray
) -> None:
    first_row, row_weights = _weights(rows, height)
    first, weights = _weights(columns, width)
    firsts, spread = _of_bytes(first, weights, columns)
    words = np.empty((_GROUP, SIZE), np.uint32)
    colours = words.view(np.uint8)
    row, sums = np.empty(4 * SIZE, np.float32), np.empty(4 * SIZE, np.float32)
    done = np.empty(4 * SIZE, np.uint8)
    filtered = -1
    for y in range(SIZE):
        for k in range(row_weights.shape[1]):
            weight, source = row_weights[y, k], first_row[y] + k
            if k and weight == 0:
                continue
            if source != filtered:
                if source == rows - 1:
                    _filter_row(last_row, 0, firsts, spread, words, colours, row)
                else:
                    _filter_row(pixels, source * columns, firsts, spread, words, colours, row)
                filtered = source
            if k == 0:
                _begin(row, weight, sums)
            else:
                _add(row, weight, sums)
        _round(sums, done)
        _store(done, out[3 * SIZE * y : 3 * SIZE * (y + 1)])
