"""Layers of cuda-convnet by their formulas, independent of MXNet; arrays are (N, maps, side, side), in float64."""

import numpy as np


def windows(side, size, stride, start, outputs):
    """Where each window of a row begins and ends within the map."""
    begins = [start + stride * place for place in range(outputs)]
    return [(max(begin, 0), min(begin + size, side)) for begin in begins]


def pool(x, size, stride, start, outputs, what):
    spans = windows(x.shape[2], size, stride, start, outputs)
    return np.stack(
        [np.stack([what(x[:, :, a:b, c:d], axis=(2, 3)) for c, d in spans], axis=-1) for a, b in spans], axis=-2
    )


def same_map(x, scale, power, of=None):
    total = pool((x if of is None else of) ** 2, 5, 1, -2, x.shape[2], np.sum)
    return x / (1 + scale / 25 * total) ** power


def padded(x, before, after, value=0.0):
    return np.pad(x, [(0, 0), (0, 0), (before, after), (before, after)], constant_values=value)


def convolution(x, weight, stride, padding, groups=1):
    """1 + ceil((2 padding + side - size) / stride) outputs a side; the last windows overrun."""
    maps, channels, size, _ = weight.shape
    outputs = 1 + int(np.ceil((2 * padding + x.shape[2] - size) / stride))
    x = padded(x, padding, padding + stride)
    found = np.zeros((len(x), maps, outputs, outputs))
    for m in range(maps):
        first = m // (maps // groups) * channels
        for r in range(outputs):
            for c in range(outputs):
                seen = x[:, first : first + channels, r * stride : r * stride + size, c * stride : c * stride + size]
                found[:, m, r, c] = (seen * weight[m]).sum(axis=(1, 2, 3))
    return found


def local(x, weight, size, padding):
    places, maps, _ = weight.shape
    side = int(places**0.5)
    x = padded(x, padding, padding)
    found = np.zeros((len(x), maps, side, side))
    for place in range(places):
        r, c = divmod(place, side)
        seen = x[:, :, r : r + size, c : c + size].reshape(len(x), -1)
        found[:, :, r, c] = seen @ weight[place].T
    return found


def blurred(x, size, std):
    factors = np.exp(-((np.arange(size) - size // 2) ** 2) / (2 * std**2))
    factors /= factors.sum()
    side, x = x.shape[2], padded(x, size // 2, size // 2)
    rows = sum(f * x[:, :, k : k + side, :] for k, f in enumerate(factors))
    return sum(f * rows[:, :, :, k : k + side] for k, f in enumerate(factors))


def cross_map(x, size, scale, power, minimum):
    total = np.stack([(x[:, max(m - size // 2, 0) : m + size // 2 + 1] ** 2).sum(axis=1) for m in range(x.shape[1])], 1)
    return x / (minimum + scale / size * total) ** power


def flat(x):
    return x.reshape(len(x), -1)
