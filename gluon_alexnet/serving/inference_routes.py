"""The Open Inference Protocol's addresses, as KServe's and Triton's clients call them."""

from __future__ import annotations

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import inference_protocol as protocol
from .admission import Admitted, Refused
from .core import Core

SERVER_NAME = "alexnet-tools"
NAMED = 80  # characters of a wrong name that are repeated in the answer


def routes(core: Core, version: str) -> list[Route]:
    """Health, metadata and inference. version: this program's."""
    return [*_of_the_server(core, version), *_of_the_model(core)]


def _of_the_server(core: Core, version: str) -> list[Route]:
    async def server(request: Request) -> Response:
        return JSONResponse({"name": SERVER_NAME, "version": version, "extensions": list(protocol.EXTENSIONS)})

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        return JSONResponse({"ready": core.ready}, 200 if core.ready else 503)

    return [
        Route("/v2", server),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", ready),
    ]


def _of_the_model(core: Core) -> list[Route]:
    model = core.service.model

    async def metadata(request: Request) -> Response:
        return _unknown(request) or JSONResponse(protocol.model_metadata(model.name, len(model.classes)))

    async def model_ready(request: Request) -> Response:
        body = {"name": model.name, "ready": core.ready}
        return _unknown(request) or JSONResponse(body, 200 if core.ready else 503)

    async def infer(request: Request, place: Admitted) -> Response:
        body = await place.body(request)
        unknown = _unknown(request)
        if unknown:
            return unknown
        length = request.headers.get(protocol.LENGTH_HEADER)
        try:
            wanted = await core.in_pool(protocol.read_request, body, length, core.limits.images)
        except protocol.ProtocolError as error:
            raise Refused(400, str(error)) from error
        del body
        images = await core.images(wanted.images)
        place.release()
        probabilities = (await core.classify(images, wanted.views)).mean(axis=1, dtype=np.float32)
        content, headers = protocol.write_response(wanted, model.name, probabilities, model.classes)
        return Response(content, headers=headers)

    def _unknown(request: Request) -> JSONResponse | None:
        name, number = request.path_params["name"], request.path_params.get("version", protocol.VERSION)
        if (name, number) == (model.name, protocol.VERSION):
            return None
        asked = f"{name[:NAMED]!r}, version {number[:NAMED]!r}"
        reason = f"there is no model {asked}; here is {model.name!r}, version {protocol.VERSION!r}"
        return JSONResponse({"error": reason}, 404)

    found = []
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Route(path, metadata),
            Route(f"{path}/ready", model_ready),
            Route(f"{path}/infer", core.handler(infer), methods=["POST"]),
        ]
    return found
