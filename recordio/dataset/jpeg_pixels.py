"""What a decoder makes of a packed JPEG, computed from the image that was encoded; and the sums over it. By Numba.

Between libjpeg's encoder and decoder only the rounding of the coefficients loses anything; Huffman's code, most of a
decoder's time, does not. So the statistics of the stored images need no second decoding: this goes from the pixels to
the rounded coefficients and back in libjpeg's own integers (its accurate transform, 4:2:0, triangle upsampling).
:mod:`..packing.load_loops` compares with the libraries that are installed, before anything relies on it. The loops are
so written that the compiler vectorises them: over blocks, or over all pixels of a row.
"""

from __future__ import annotations

import io

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from .compiled import compiled
from .manifest import SIZE

_HALF = SIZE // 2
_TWO = np.int32(2)
_SHIFT = np.int32(16)
_ROUND = np.int32(1 << 15)
_CHROMA = np.int32((128 << 16) + (1 << 15) - 1)


def tables(jpeg: bytes) -> np.ndarray:
    """The quantisation tables of a JPEG for brightness and colours, int32 (2, 8, 8)."""
    with JpegImageFile(io.BytesIO(jpeg)) as image:
        found = image.quantization
    return np.array([found[0], found[1]], np.int32).reshape(2, 8, 8)


def decoded(image: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """What the decoder gives of an image that was encoded with these tables: both uint8 (256, 256, 3) RGB."""
    out = np.empty_like(image)
    _decoded(image.reshape(-1), steps, out.reshape(-1))
    return out


@compiled
def add_sums(colours: np.ndarray, image_sums: np.ndarray, products: np.ndarray) -> None:
    """Add an image, uint8 (n · 3,) RGB, to uint16 (n · 3,) sums and int64 (6,) sums of RR, GG, BB, RG, RB, GB."""
    for i in range(len(colours)):
        image_sums[i] += np.uint16(colours[i])
    rows = len(colours) // (3 * SIZE)
    for y in range(rows):
        row = colours[y * 3 * SIZE : (y + 1) * 3 * SIZE]
        rr = gg = bb = rg = rb = gb = np.int32(0)
        for x in range(SIZE):
            r, g, b = np.int32(row[3 * x]), np.int32(row[3 * x + 1]), np.int32(row[3 * x + 2])
            rr += r * r
            gg += g * g
            bb += b * b
            rg += r * g
            rb += r * b
            gb += g * b
        products[0] += rr
        products[1] += gg
        products[2] += bb
        products[3] += rg
        products[4] += rb
        products[5] += gb


@compiled
def _decoded(colours: np.ndarray, steps: np.ndarray, out: np.ndarray) -> None:
    luma = np.empty((SIZE, SIZE), np.int16)
    full = np.empty((2, SIZE, SIZE), np.int16)
    _to_ycc(colours, luma.reshape(-1), full[0].reshape(-1), full[1].reshape(-1))
    chroma = np.empty((2, _HALF, _HALF), np.int16)
    _through_coefficients(luma, steps[0])
    _halve(full, chroma)
    for channel in range(2):
        _through_coefficients(chroma[channel], steps[1])
    sums, wide = np.empty((2, _HALF + 2), np.int16), np.empty((2, SIZE), np.int16)
    for y in range(SIZE):
        near, far = y // 2, min(max(y // 2 + (1 if y % 2 else -1), 0), _HALF - 1)
        _double(chroma, near, far, sums, wide)
        _to_rgb(luma[y], wide, out[3 * SIZE * y : 3 * SIZE * (y + 1)])


@compiled
def _to_ycc(colours: np.ndarray, luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> None:
    for i in range(len(luma)):
        r, g, b = np.int32(colours[3 * i]), np.int32(colours[3 * i + 1]), np.int32(colours[3 * i + 2])
        luma[i] = ((19595 * r + 38470 * g + 7471 * b + _ROUND) >> _SHIFT) - 128
        blue[i] = (-11059 * r - 21709 * g + 32768 * b + _CHROMA) >> _SHIFT
        red[i] = (32768 * r - 27439 * g - 5329 * b + _CHROMA) >> _SHIFT


@compiled
def _halve(full: np.ndarray, out: np.ndarray) -> None:
    for c in range(2):
        for y in range(_HALF):
            for x in range(_HALF // 2):  # libjpeg rounds the means of four down and up in turn
                even = full[c, 2 * y, 4 * x] + full[c, 2 * y, 4 * x + 1]
                even += full[c, 2 * y + 1, 4 * x] + full[c, 2 * y + 1, 4 * x + 1]
                odd = full[c, 2 * y, 4 * x + 2] + full[c, 2 * y, 4 * x + 3]
                odd += full[c, 2 * y + 1, 4 * x + 2] + full[c, 2 * y + 1, 4 * x + 3]
                out[c, y, 2 * x], out[c, y, 2 * x + 1] = ((even + 1) >> 2) - 128, ((odd + 2) >> 2) - 128


@compiled
def _double(chroma: np.ndarray, near: int, far: int, sums: np.ndarray, out: np.ndarray) -> None:
    for c in range(2):
        for x in range(_HALF):
            sums[c, x + 1] = 3 * chroma[c, near, x] + chroma[c, far, x]
        sums[c, 0], sums[c, _HALF + 1] = sums[c, 1], sums[c, _HALF]
        for x in range(_HALF):
            out[c, 2 * x] = (3 * sums[c, x + 1] + sums[c, x] + 8) >> 4
            out[c, 2 * x + 1] = (3 * sums[c, x + 1] + sums[c, x + 2] + 7) >> 4


@compiled
def _to_rgb(luma: np.ndarray, chroma: np.ndarray, out: np.ndarray) -> None:
    for x in range(SIZE):
        y, b, r = np.int32(luma[x]), np.int32(chroma[0, x]) - 128, np.int32(chroma[1, x]) - 128
        out[3 * x] = min(max(y + ((91881 * r + _ROUND) >> _SHIFT), 0), 255)
        out[3 * x + 1] = min(max(y + ((-22554 * b - 46802 * r + _ROUND) >> _SHIFT), 0), 255)
        out[3 * x + 2] = min(max(y + ((116130 * b + _ROUND) >> _SHIFT), 0), 255)


@compiled
def _through_coefficients(plane: np.ndarray, steps: np.ndarray) -> None:
    """int16 (h, w) around 0 → what is left of it when its coefficients are multiples of int32 (8, 8), 0…255."""
    height, width = plane.shape
    step = np.empty((8, width), np.int32)
    for v in range(8):
        for x in range(width):
            step[v, x] = steps[v, x % 8]
    for top in range(0, height, 8):
        block = plane[top : top + 8]
        for y in range(8):
            _forward_row(block[y])
        _forward_columns(block)
        for v in range(8):
            _quantise(block[v], step[v])
        _inverse_columns(block)
        for y in range(8):
            _inverse_row(block[y])


@compiled
def _quantise(row: np.ndarray, step: np.ndarray) -> None:
    for x in range(len(row)):
        size = np.int32(abs(row[x])) + 4 * step[x]
        # Half is added so that no quotient lies at a whole number, where the rounding of floats would show.
        count = np.int32((np.float32(size) + np.float32(0.5)) * (np.float32(0.125) / np.float32(step[x])))
        row[x] = count * step[x] if row[x] >= 0 else -count * step[x]


@compiled
def _odd(t4: int, t5: int, t6: int, t7: int) -> tuple[int, int, int, int]:
    """The odd half of the accurate transform, 13 bits scaled up; the same forward and backward."""
    z1, z2, z3, z4 = t4 + t7, t5 + t6, t4 + t6, t5 + t7
    z5 = (z3 + z4) * 9633
    z1, z2, z3, z4 = z1 * -7373, z2 * -20995, z3 * -16069 + z5, z4 * -3196 + z5
    return t4 * 2446 + z1 + z3, t5 * 16819 + z2 + z4, t6 * 25172 + z2 + z3, t7 * 12299 + z1 + z4


@compiled
def _forward_row(row: np.ndarray) -> None:
    for block in range(len(row) // 8):
        p = 8 * block
        x0, x1, x2, x3 = np.int32(row[p]), np.int32(row[p + 1]), np.int32(row[p + 2]), np.int32(row[p + 3])
        x4, x5, x6, x7 = np.int32(row[p + 4]), np.int32(row[p + 5]), np.int32(row[p + 6]), np.int32(row[p + 7])
        a, b, c, d = x0 + x7, x1 + x6, x2 + x5, x3 + x4
        z = (b - c + a - d) * 4433
        o7, o5, o3, o1 = _odd(x3 - x4, x2 - x5, x1 - x6, x0 - x7)
        row[p], row[p + 4] = (a + d + b + c) << _TWO, (a + d - b - c) << _TWO
        row[p + 2] = (z + (a - d) * 6270 + 1024) >> 11
        row[p + 6] = (z - (b - c) * 15137 + 1024) >> 11
        row[p + 1], row[p + 3] = (o1 + 1024) >> 11, (o3 + 1024) >> 11
        row[p + 5], row[p + 7] = (o5 + 1024) >> 11, (o7 + 1024) >> 11


@compiled
def _forward_columns(block: np.ndarray) -> None:
    r0, r1, r2, r3, r4, r5, r6, r7 = (
        block[0], block[1], block[2], block[3], block[4], block[5], block[6], block[7],
    )  # fmt: skip
    for x in range(block.shape[1]):
        x0, x1, x2, x3 = np.int32(r0[x]), np.int32(r1[x]), np.int32(r2[x]), np.int32(r3[x])
        x4, x5, x6, x7 = np.int32(r4[x]), np.int32(r5[x]), np.int32(r6[x]), np.int32(r7[x])
        a, b, c, d = x0 + x7, x1 + x6, x2 + x5, x3 + x4
        z = (b - c + a - d) * 4433
        o7, o5, o3, o1 = _odd(x3 - x4, x2 - x5, x1 - x6, x0 - x7)
        r0[x], r4[x] = (a + d + b + c + 2) >> 2, (a + d - b - c + 2) >> 2
        r2[x], r6[x] = (z + (a - d) * 6270 + 16384) >> 15, (z - (b - c) * 15137 + 16384) >> 15
        r1[x], r3[x], r5[x], r7[x] = (o1 + 16384) >> 15, (o3 + 16384) >> 15, (o5 + 16384) >> 15, (o7 + 16384) >> 15


@compiled
def _inverse_columns(block: np.ndarray) -> None:
    r0, r1, r2, r3, r4, r5, r6, r7 = (
        block[0], block[1], block[2], block[3], block[4], block[5], block[6], block[7],
    )  # fmt: skip
    for x in range(block.shape[1]):
        x0, x2, x4, x6 = np.int32(r0[x]), np.int32(r2[x]), np.int32(r4[x]), np.int32(r6[x])
        z = (x2 + x6) * 4433
        e2, e3 = z - x6 * 15137, z + x2 * 6270
        e0, e1 = (x0 + x4) * 8192, (x0 - x4) * 8192
        o0, o1, o2, o3 = _odd(np.int32(r7[x]), np.int32(r5[x]), np.int32(r3[x]), np.int32(r1[x]))
        r0[x], r7[x] = (e0 + e3 + o3 + 1024) >> 11, (e0 + e3 - o3 + 1024) >> 11
        r1[x], r6[x] = (e1 + e2 + o2 + 1024) >> 11, (e1 + e2 - o2 + 1024) >> 11
        r2[x], r5[x] = (e1 - e2 + o1 + 1024) >> 11, (e1 - e2 - o1 + 1024) >> 11
        r3[x], r4[x] = (e0 - e3 + o0 + 1024) >> 11, (e0 - e3 - o0 + 1024) >> 11


@compiled
def _sample(scaled: int) -> int:
    return min(max((scaled + (1 << 17) >> 18) + 128, 0), 255)


@compiled
def _inverse_row(row: np.ndarray) -> None:
    for block in range(len(row) // 8):
        p = 8 * block
        x0, x2, x4, x6 = np.int32(row[p]), np.int32(row[p + 2]), np.int32(row[p + 4]), np.int32(row[p + 6])
        z = (x2 + x6) * 4433
        e2, e3 = z - x6 * 15137, z + x2 * 6270
        e0, e1 = (x0 + x4) * 8192, (x0 - x4) * 8192
        o0, o1, o2, o3 = _odd(np.int32(row[p + 7]), np.int32(row[p + 5]), np.int32(row[p + 3]), np.int32(row[p + 1]))
        row[p], row[p + 7] = _sample(e0 + e3 + o3), _sample(e0 + e3 - o3)
        row[p + 1], row[p + 6] = _sample(e1 + e2 + o2), _sample(e1 + e2 - o2)
        row[p + 2], row[p + 5] = _sample(e1 - e2 + o1), _sample(e1 - e2 - o1)
        row[p + 3], row[p + 4] = _sample(e0 - e3 + o0), _sample(e0 - e3 - o0)
