"""What goes around every answer: the headers that keep a browser safe, who may ask, and the counters."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .core import Core

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Headers:
    """ASGI middleware. hosts: names by which the server may be called, None for any. paths: of each endpoint."""

    def __init__(self, app: ASGIApp, core: Core, hosts: Sequence[str] | None, paths: Mapping) -> None:
        self._app, self._core, self._hosts, self._paths = app, core, hosts, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("content-security-policy", POLICY)
                if not self._core.ready:  # the server is ending: this connection has no future
                    headers["connection"] = "close"
            await send(message)

        try:
            if self._known(scope):
                await self._app(scope, receive, sending)
            else:
                reason = "this server is for its own machine only, and answers to the name localhost or 127.0.0.1"
                await JSONResponse({"error": reason}, 421)(scope, receive, sending)
        finally:
            path = self._paths.get(scope.get("endpoint"), "other")
            self._core.metrics.answered(path, status, time.monotonic() - began)

    def _known(self, scope: Scope) -> bool:
        """A page elsewhere whose name was made to point here must not read what is for this machine only."""
        if self._hosts is None:
            return True
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        name = host[: host.rindex("]") + 1] if host.startswith("[") and "]" in host else host.partition(":")[0]
        return name.lower() in self._hosts
