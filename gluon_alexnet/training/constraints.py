"""Bounds that the 2012 code set on the weights of one output, after each update."""

from __future__ import annotations

from typing import Any

from ..backend import mx
from ..recipes.graph_updates import Update


def constrain(weights: Any, update: Update) -> None:
    """Scale the weights of each output in place, so that they keep to the update's bounds.

    weights: (outputs, …), or of a local layer (places, outputs, inputs).
    """
    if update.ball <= 0 and update.contrast[1] <= 0:
        return
    rows = weights.reshape((-1, weights.shape[-1])) if weights.ndim == 3 else weights.reshape((weights.shape[0], -1))
    count = rows.shape[1]
    if update.contrast[1] > 0:
        low, high = update.contrast
        centred = mx.nd.broadcast_sub(rows, rows.mean(axis=1, keepdims=True))
        spread = centred.square().sum(axis=1, keepdims=True).sqrt() / count
        rows = mx.nd.broadcast_mul(rows, mx.nd.maximum(mx.nd.minimum(spread, high), low) / spread)
    if update.ball > 0:
        length = rows.square().sum(axis=1, keepdims=True).sqrt()
        bound = update.ball * count
        rows = mx.nd.broadcast_mul(rows, bound / mx.nd.maximum(length, bound))
    weights[:] = rows.reshape(weights.shape)
