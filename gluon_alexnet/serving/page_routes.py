"""The page's addresses: the page itself, and what it asks for about the image that it shows."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future
from typing import Any

import cv2
import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import page
from .admission import Admitted, Refused
from .core import Core, number_of
from .interfaces import GalleryImage, Microscope, column_switch

MOST_NEIGHBOURS = 12
GUESSES = 5
Answer = Callable[[Request], Awaitable[Response]]
ABSENT = "this server was started without what this needs; the page says what that is"


def routes(core: Core) -> list[Route]:
    """The page, and what it shows: the net, its kernels, ten views, activations, near images."""
    return [*_of_the_net(core), *_of_an_image(core)]


def _of_the_net(core: Core) -> list[Route]:
    """What needs no image: the page itself, what it says of the net, and the kernels of layer 1."""
    html, policy = page.assemble()

    async def index(request: Request) -> Response:
        return Response(html, media_type="text/html", headers={"content-security-policy": policy})

    async def model(request: Request) -> Response:
        return JSONResponse(description(core))

    async def kernels(request: Request) -> Response:
        microscope = _present(core.service.microscope)
        return JSONResponse(_kernels(await core.computed(core.batcher.run, microscope.kernels), microscope.columns))

    return [
        Route("/", index),
        Route("/model", model),
        Route("/kernels", _answering(kernels)),
    ]


def _of_an_image(core: Core) -> list[Route]:
    """What the net makes of an image that is sent, images that are near to it, and the data set's own to try."""
    service = core.service

    async def look(request: Request, place: Admitted) -> Response:
        without = _without(request, service.microscope)
        images = await core.image(request, place)
        probabilities = (await core.classify(images, 10, _submit(core, without)))[0]
        mean = probabilities.mean(axis=0)
        answer = {
            "without": sorted(without),
            "guesses": core.guesses(mean, GUESSES),
            "probabilities": [round(float(p), 6) for p in mean],
            "views": [core.guesses(view, 1)[0] for view in probabilities],
        }
        if not without:
            answer["image"] = await core.in_pool(_encoded, images[0], ".png")
        return JSONResponse(answer)

    async def activations(request: Request, place: Admitted) -> Response:
        microscope = _present(service.microscope)
        without = _without(request, microscope)
        view = core.centre(await core.image(request, place))[0]
        found = await core.computed(core.batcher.run, lambda: microscope.activations(view, without))
        return JSONResponse(await core.in_pool(_layers, found, microscope.reads_all))

    async def similar(request: Request, place: Admitted) -> Response:
        gallery = service.gallery
        if gallery is None or not gallery.searchable:
            raise Refused(404, ABSENT)
        count = number_of(request, "count", 6, range(1, MOST_NEIGHBOURS + 1))
        image = (await core.image(request, place))[0]
        activations = await core.computed(core.batcher.run, lambda: gallery.describe(image))
        found = await core.in_pool(gallery.nearest, activations, count)
        return JSONResponse({"images": await core.in_pool(_neighbours, found)})

    async def example(request: Request) -> Response:
        gallery, number = service.gallery, request.path_params["number"]
        if gallery is None or number >= gallery.examples:
            return JSONResponse({"error": "there is no such image"}, 404)
        found = await core.in_pool(gallery.example, number)
        data = await core.in_pool(_file, found.image, ".png")
        return Response(data, media_type="image/png", headers={"cache-control": "private, max-age=3600"})

    return [
        Route("/look", core.handler(look), methods=["POST"]),
        Route("/activations", core.handler(activations), methods=["POST"]),
        Route("/similar", core.handler(similar), methods=["POST"]),
        Route("/examples/{number:int}", example),
    ]


def description(core: Core) -> dict[str, Any]:
    """What the page says of the net, and which of its parts it can show."""
    service = core.service
    model, microscope, gallery = service.model, service.microscope, service.gallery
    return {
        "name": model.name,
        "classes": len(model.classes),
        "input_size": model.input_size,
        "facts": dict(model.facts),
        "columns": microscope.columns if microscope else 0,
        "switches": list(microscope.switches) if microscope else [],
        "examples": gallery.examples if gallery else 0,
        "searchable": gallery.searchable if gallery else 0,
        "body_bytes": core.limits.body_bytes,
    }


def _present(microscope: Microscope | None) -> Microscope:
    if microscope is None:
        raise Refused(404, ABSENT)
    return microscope


def _answering(handle: Answer) -> Answer:
    async def handler(request: Request) -> Response:
        try:
            return await handle(request)
        except Refused as refusal:
            return JSONResponse({"error": refusal.reason}, refusal.status, refusal.headers)

    return handler


def _without(request: Request, microscope: Microscope | None) -> frozenset[str]:
    """The parts of the net to be left out. Raises Refused (400, 404)."""
    wanted = frozenset(filter(None, request.query_params.get("without", "").split(",")))
    if not wanted:
        return wanted
    switches = _present(microscope).switches
    if not wanted <= set(switches):
        raise Refused(400, f"without may name {', '.join(switches) or 'nothing'}")
    columns = [column_switch(column) for column in range(1, _present(microscope).columns + 1)]
    if wanted.issuperset(columns):
        raise Refused(400, "without any column there is no net")
    return wanted


def _submit(core: Core, without: frozenset[str]) -> Callable[[np.ndarray], Future] | None:
    """How views get to the net: together with everybody's, or to a net that lacks a part."""
    if not without:
        return None
    microscope = _present(core.service.microscope)
    return lambda views: core.batcher.run(lambda: microscope.classify(views, without))


def _kernels(weights: np.ndarray, columns: int) -> dict[str, Any]:
    """As in Fig. 3: each kernel with its own scale, grey for 0."""
    scale = np.abs(weights).max(axis=(1, 2, 3), keepdims=True)
    shades = 127.5 + 127.5 * weights / np.where(scale > 0, scale, 1)
    values = np.round(shades).astype(np.uint8).transpose(0, 2, 3, 1)
    count, height, width, _ = values.shape
    return {"columns": columns, "kernels": count, "height": height, "width": width, "values": _text(values)}


def _layers(activations: dict[str, np.ndarray], reads_all: frozenset[str]) -> dict[str, Any]:
    """Each layer's maps as bytes: the square root of an activation's share of the layer's largest, 0 to 255."""
    layers = []
    for name, maps in activations.items():
        sizes = np.abs(maps)
        largest = float(sizes.max())
        shades = np.round(255 * np.sqrt(sizes / (largest or 1))).astype(np.uint8)
        count, height, width = maps.shape
        active = float(np.count_nonzero(maps) / maps.size)
        layers.append(
            {
                "name": name,
                "maps": count,
                "height": height,
                "width": width,
                "largest": largest,
                "active": active,
                "reads_both": name in reads_all,
                "values": _text(shades),
            }
        )
    return {"layers": layers}


def _neighbours(found: Sequence[GalleryImage]) -> list[dict[str, Any]]:
    return [{"label": one.label, "distance": one.distance, "image": _encoded(one.image, ".jpg")} for one in found]


def _encoded(image: np.ndarray, kind: str) -> str:
    mime = {".png": "image/png", ".jpg": "image/jpeg"}[kind]
    return f"data:{mime};base64,{base64.b64encode(_file(image, kind)).decode()}"


def _file(image: np.ndarray, kind: str) -> bytes:
    done, data = cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise RuntimeError("OpenCV could not encode an image")
    return data.tobytes()


def _text(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()
