"""Gradients of two bits: what a worker sends of each is minus a threshold, nothing, or the threshold.

The rule is that of MXNet's own 2bit compression. A worker adds its gradient to what it has not sent yet, the residual;
where that has reached the threshold, the threshold is sent and taken off. What is sent travels our way: MXNet's store
would send the losses and counts in two bits, too, would keep the residuals where nobody can save them, and its servers
answer in float32. Here several of these numbers share one float32, as the digits of a whole number, which the servers
add without a carry: the sums come back as small as they went.
"""

from __future__ import annotations

from typing import Any

_LARGEST = 2**22  # of a packed number: a float32 holds it, and its quotients are told apart with bits to spare


class TwoBit:
    """The rule for gradients of one threshold and a number of workers; arrays are MXNet's float32, on any device."""

    def __init__(self, threshold: float, workers: int) -> None:
        self.threshold, self._workers = threshold, workers
        self._base = 2 * workers + 1  # a sum of digits 0, 1, 2 is from 0 to 2 * workers
        self.digits = 1
        while self._base ** (self.digits + 1) <= _LARGEST:
            self.digits += 1

    def packed_size(self, size: int) -> int:
        """Numbers that so many gradients are packed into."""
        return -(-size // self.digits)

    def pack(self, gradient: Any, residual: Any) -> Any:
        """What is sent of a gradient, (packed_size,); the residual becomes what is left of both."""
        from ..backend import mx

        residual += gradient
        sent = (residual >= self.threshold) - (residual <= -self.threshold)
        residual -= sent * self.threshold
        digits = sent.reshape((-1,)) + 1
        rest = self.packed_size(digits.size) * self.digits - digits.size
        if rest:
            digits = mx.nd.concat(digits, mx.nd.ones((rest,), ctx=digits.context), dim=0)
        planes = digits.reshape((self.digits, -1))
        packed = planes[0].copy()
        for place in range(1, self.digits):
            packed *= self._base
            packed += planes[place]
        return packed

    def unpack(self, packed: Any, gradient: Any) -> None:
        """Make the gradient what all workers have sent of it together, from the sum of what they packed."""
        from ..backend import mx

        planes = []
        for _ in range(self.digits):
            quotient = mx.nd.floor((packed + 0.5) / self._base)
            planes.append(packed - quotient * self._base)
            packed = quotient
        digits = mx.nd.concat(*planes[::-1], dim=0)[: gradient.size]
        gradient[:] = ((digits - self._workers) * self.threshold).reshape(gradient.shape)
