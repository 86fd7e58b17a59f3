"""Layers with their gradients by the formulas, independent of MXNet: arrays are (N, maps, height, width), in float64.

Each function gives its output and a function from the loss's gradient in the output to that in what it read.
"""

import numpy as np


def convolution(x, weight, stride=1, groups=1):
    """No padding, no bias; the backward function gives (gradient in x, gradient in weight)."""
    size, own = weight.shape[-1], len(weight) // groups
    maps = x.shape[1] // groups
    patches = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    parts = [(slice(g * maps, (g + 1) * maps), slice(g * own, (g + 1) * own)) for g in range(groups)]
    y = np.concatenate(
        [np.einsum("nchwij,mcij->nmhw", patches[:, i], weight[o], optimize=True) for i, o in parts], axis=1
    )

    def backward(upstream):
        in_x, in_weight = np.zeros_like(x), np.zeros_like(weight)
        height, width = upstream.shape[2:]
        for i, o in parts:
            in_weight[o] = np.einsum("nchwij,nmhw->mcij", patches[:, i], upstream[:, o], optimize=True)
            each = np.einsum("nmhw,mcij->ncijhw", upstream[:, o], weight[o], optimize=True)
            for r in range(size):
                for c in range(size):
                    rows, columns = slice(r, r + stride * height, stride), slice(c, c + stride * width, stride)
                    in_x[:, i, rows, columns] += each[:, :, r, c]
        return in_x, in_weight

    return y, backward


def relu(x):
    return np.maximum(x, 0), lambda upstream: upstream * (x > 0)


def max_pooling(x, size=3, stride=2):
    """The gradient goes to the first of several largest values."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    flat = windows.reshape(*windows.shape[:4], -1)
    place = flat.argmax(axis=-1)

    def backward(upstream):
        found = np.zeros_like(x)
        n, m, r, c = np.indices(place.shape)
        np.add.at(found, (n, m, r * stride + place // size, c * stride + place % size), upstream)
        return found

    return flat.max(axis=-1), backward


def response_normalization(x, numbers, columns):
    """b = a / (k + alpha * sum of a^2 over n maps of the same column)^beta (Sec. 3.3), map by map."""
    maps, half = x.shape[1] // columns, numbers.n // 2
    alpha = numbers.alpha / numbers.n if numbers.alpha_divided_by_n else numbers.alpha

    def summed(a):
        total = np.zeros_like(a)
        for i in range(a.shape[1]):
            first = i // maps * maps
            total[:, i] = a[:, max(first, i - half) : min(first + maps, i + half + 1)].sum(axis=1)
        return total

    s = numbers.k + alpha * summed(x**2)

    def backward(upstream):
        mixed = summed(upstream * x * s ** (-numbers.beta - 1))
        return upstream * s**-numbers.beta - 2 * alpha * numbers.beta * x * mixed

    return x * s**-numbers.beta, backward
