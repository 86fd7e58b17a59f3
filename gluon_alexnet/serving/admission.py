"""Which requests are taken on, and their bodies, read within bounds; slow clients are `connection`'s business."""

from __future__ import annotations

import math
from types import TracebackType

from starlette.requests import ClientDisconnect, Request

from .interfaces import Limits

RETRY_LONGEST = 30  # seconds; a client is not asked to wait longer before it tries again


class Refused(Exception):
    """A request that is not answered as asked, and why; ``close``: its connection is of no use any more."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None, close: bool = False) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
        self.headers = {**(headers or {}), **({"connection": "close"} if close else {})}


def busy(seconds: float, close: bool = False) -> Refused:
    """The refusal of a request for which there is no room for so many seconds."""
    wait = min(max(1, math.ceil(seconds)), RETRY_LONGEST)
    return Refused(503, f"the server is busy; try again in {wait} s", {"retry-after": str(wait)}, close)


class Admission:
    """Counts the requests that have begun and the bytes that they hold."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.begun = 0
        self.bytes = 0

    async def enter(self, request: Request) -> Admitted:
        """A place for a request, to be left at its end. Raises Refused (503) where there is none."""
        if self.begun >= self.limits.requests:
            await _discard(request, self.limits)
            raise busy(1, close=True)
        self.begun += 1
        return Admitted(self)


class Admitted:
    """One request's place; a context manager, which gives the place and its bytes back."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._held = 0

    def __enter__(self) -> Admitted:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.release()
        self._admission.begun -= 1

    def release(self) -> None:
        """Give the bytes back: the body has become images of a known size."""
        self._admission.bytes -= self._held
        self._held = 0

    async def body(self, request: Request) -> bytes:
        """The body. Raises Refused: 413 where it is too large, 415 compressed, 503 where bodies hold too much."""
        limits = self._admission.limits
        if request.headers.get("content-encoding", "identity") != "identity":
            await _discard(request, limits)
            raise Refused(415, "compressed bodies are not read; send the file as it is", close=True)
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > limits.body_bytes:
            await _discard(request, limits)
            raise _too_large(limits)
        parts: list[bytes] = []
        more = True
        while more:
            part, more = await _receive(request)
            if self._admission.bytes + len(part) > limits.bytes_held:
                refusal = busy(1, close=True)
            elif self._held + len(part) > limits.body_bytes:
                refusal = _too_large(limits)
            else:
                self._admission.bytes += len(part)
                self._held += len(part)
                parts.append(part)
                continue
            parts.clear()
            self.release()
            await _discard(request, limits, more)
            raise refusal
        return b"".join(parts)


def _too_large(limits: Limits) -> Refused:
    return Refused(413, f"a body may have up to {limits.body_bytes} bytes", close=True)


async def _receive(request: Request) -> tuple[bytes, bool]:
    """(the next part of a body, whether there is more). Raises ClientDisconnect."""
    message = await request.receive()
    if message["type"] != "http.request":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


async def _discard(request: Request, limits: Limits, more: bool = True) -> None:
    """Read on without keeping anything: who is still sending would not see an answer, but a reset connection."""
    left = 2 * limits.body_bytes
    while more and left > 0:
        part, more = await _receive(request)
        left -= len(part)
