"""The application: every address, and what goes around them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import inference_routes, page_routes
from .admission import Admitted
from .core import Core, number_of
from .headers import Headers

MOST_GUESSES = 1000


def build(core: Core, version: str, hosts: Sequence[str] | None = None) -> Starlette:
    """The application. version: this program's. hosts: names by which it may be called, None for any."""

    async def predict(request: Request, place: Admitted) -> Response:
        views = number_of(request, "views", 10, (1, 10))
        top = number_of(request, "top", 5, range(1, MOST_GUESSES + 1))
        probabilities = await core.classify(await core.image(request, place), views)
        guesses = core.guesses(probabilities[0].mean(axis=0), top)
        return JSONResponse({"model": core.service.model.name, "views": views, "guesses": guesses})

    async def metrics(request: Request) -> Response:
        text, kind = core.metrics.text()
        return Response(text, headers={"content-type": kind})

    routes = [
        Route("/predict", core.handler(predict), methods=["POST"]),
        Route("/metrics", metrics),
        *inference_routes.routes(core, version),
        *page_routes.routes(core),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        core.close()

    paths = {route.endpoint: route.path for route in reversed(routes)}
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Headers, core=core, hosts=hosts, paths=paths)],
        exception_handlers={404: _not_found, 405: _wrong_method, 500: _failed},
    )


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "there is nothing at this address"}, 404)


async def _wrong_method(request: Request, error: Exception) -> Response:
    headers = getattr(error, "headers", None)
    return JSONResponse({"error": f"{request.method} is not for this address"}, 405, headers)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed; its log says how"}, 500)
