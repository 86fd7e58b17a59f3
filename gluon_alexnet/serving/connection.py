"""Uvicorn, with two habits of its own: it hangs up on slow clients, and at the end it finishes what has begun."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import ipaddress
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .interfaces import Limits

TICK = 0.5  # seconds between two looks at a connection
_ACCEPTING = 0.05  # seconds in which connections that the kernel has made are accepted
_ATTACH_FILTER = 26  # SO_ATTACH_FILTER, which Python has no name for
_RETURN = 0x06  # BPF_RET | BPF_K


class PatientProtocol(H11Protocol):
    """Uvicorn's HTTP/1.1, with a clock beside each connection.

    Uvicorn bounds only how long a connection may be idle between two requests. Here a request's head, its body and the
    taking of its answer are bounded, too: see :class:`Limits`.
    """

    limits: ClassVar[Limits]
    _received = 0  # bytes of the present request
    _since = 0.0  # when the present request, or the wait for it, began
    _stuck: float | None = None  # since when there has been something that the client does not take
    _closing = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._since = time.monotonic()
        self.loop.call_later(TICK, self._look)

    def data_received(self, data: bytes) -> None:
        if self._idle and self.timeout_keep_alive_task is not None:  # the first bytes after a finished request
            self._since, self._received = time.monotonic(), 0
        self._received += len(data)
        super().data_received(data)
        self._last_one()

    def on_response_complete(self) -> None:
        self._since, self._received = time.monotonic(), 0
        super().on_response_complete()
        self._last_one()

    def _last_one(self) -> None:
        if self._closing and self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """No more requests after the present one, or after one that is on its way already."""
        self._closing = True
        if not self._idle:
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(self.limits.drain_seconds, self._close_if_idle)

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_if_idle(self) -> None:
        if self._idle and not self.transport.is_closing():
            self.transport.close()

    def _look(self) -> None:
        if self not in self.connections:
            return
        now = time.monotonic()
        if self.transport.get_write_buffer_size() == 0:
            self._stuck = None
        elif self._stuck is None:
            self._stuck = now
        if self._too_slow(now):
            self.transport.abort()
        else:
            self.loop.call_later(TICK, self._look)

    def _too_slow(self, now: float) -> bool:
        if self._stuck is not None and now - self._stuck > self.limits.answer_seconds:
            return True
        if self._idle:
            # Between two requests uvicorn's own timer runs; it stops at the next one's first byte.
            return self.timeout_keep_alive_task is None and now - self._since > self.limits.head_seconds
        allowed = self.limits.body_seconds + self._received / self.limits.body_bytes_a_second
        return self.cycle.more_body and now - self._since > allowed


def protocol(limits: Limits) -> type[PatientProtocol]:
    """The protocol with these limits, as uvicorn takes it: a class, made anew for each connection."""

    class LimitedProtocol(PatientProtocol):
        pass

    LimitedProtocol.limits = limits
    return LimitedProtocol


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to an address; port 0 takes a free one. Raises OSError where it cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """``http://HOST:PORT`` of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether a bound socket can be reached from this machine only."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _let_nobody_in(listener: socket.socket) -> None:
    """Ignore whoever wants to connect; connections that the kernel has made already can still be accepted.

    A socket that is closed at once resets those, and with them requests that were sent whole. A packet filter (Linux,
    socket(7)) that takes no byte of any packet keeps new ones away in the meantime; they are refused a moment later.
    """
    program = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


class Server(uvicorn.Server):
    """A server that ends in order: no longer ready, then no new connections, then what has begun is answered.

    started: called when connections are taken. ending: called when a signal asks the server to end.
    """

    def __init__(
        self,
        app: Callable,
        limits: Limits,
        started: Callable[[], None] = lambda: None,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=protocol(limits),
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=round(limits.finish_seconds),
            h11_max_incomplete_event_size=2**16,
        )
        super().__init__(config)
        self._limits, self._on_started, self._on_ending = limits, started, ending

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until SIGTERM, SIGINT or, where it is not ignored (nohup), SIGHUP; a second SIGINT ends at once."""
        # Uvicorn raises the signal again once all is done, for whoever was there before it: here nobody.
        before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._hang_up)
        try:
            super().run(sockets)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _hang_up(self, *_: Any) -> None:
        """The terminal is gone, and with it those to whom a second SIGINT would be left."""
        self.should_exit = True

    def serve_in_thread(self, sockets: list[socket.socket]) -> None:
        """Serve in a thread that is not the main one, which no signal reaches, until ``should_exit`` is set."""
        super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that no more requests are wanted, take those that come all the same for a moment, then finish."""
        self._on_ending()
        await asyncio.sleep(self._limits.drain_seconds)
        for server in self.servers:
            for listener in server.sockets:
                _let_nobody_in(listener)
        await asyncio.sleep(_ACCEPTING)  # those who were let in before
        await super().shutdown(sockets)
