"""What all addresses share: the one thread that computes, the threads that decode, the bounds and the counters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Union, cast

import numpy as np
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from .admission import Admission, Admitted, Refused, busy
from .batching import Batcher, Busy
from .interfaces import Limits, Service
from .metrics import Metrics

DECODERS = 4  # threads at most that decode images; each may hold one of 450 MB for a moment

Handler = Callable[[Request, Admitted], Awaitable[Response]]


class ImageReader(NamedTuple):
    """How images are read, which is the data set's business."""

    decode: Callable[[bytes], np.ndarray]  # an image file → uint8 (256, 256, 3); ValueError with the reason
    prepare: Callable[[np.ndarray], np.ndarray]  # pixels, uint8 (H, W, 3) → uint8 (256, 256, 3); the same
    views: Callable[[np.ndarray, int], np.ndarray]  # uint8 (N, 256, 256, 3), 10 or 1 → (N, views, size, size, 3)
    threads: int


class Core:
    """Reads and classifies images for every address, within the service's limits."""

    def __init__(
        self, service: Service, reader: ImageReader, parts: Callable[[int], Sequence[int]] | None = None
    ) -> None:
        self.service = service
        self.ready = True
        self.admission = Admission(service.limits)
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: self.admission.begun)
        self._reading = 0  # requests whose images are being decoded
        self.batcher = Batcher(
            service.model.classify,
            service.limits.batch_views,
            service.limits.waiting_views,
            lambda: self._reading,
            self.metrics.computed,
            parts,
        )
        self._reader = reader
        self._pool = ThreadPoolExecutor(min(reader.threads, DECODERS), thread_name_prefix="decode")

    @property
    def limits(self) -> Limits:
        """Of the service."""
        return self.service.limits

    async def in_pool(self, work: Callable, *arguments: Any) -> Any:
        """The result of work that is not MXNet's, done beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    async def images(self, sources: Union[Sequence[bytes], np.ndarray]) -> np.ndarray:
        """uint8 (N, 256, 256, 3) of image files, or of pixels uint8 (N, H, W, 3). Raises Refused (422)."""
        read = self._reader.prepare if isinstance(sources, np.ndarray) else self._reader.decode
        self._reading += 1
        try:
            found = await asyncio.gather(*[self.in_pool(read, source) for source in sources], return_exceptions=True)
        finally:
            self._reading -= 1
        for number, one in enumerate(found):
            if isinstance(one, (ValueError, MemoryError)):
                which = f"image {number} of the request" if len(found) > 1 else "what was sent"
                reason = one if isinstance(one, ValueError) else "too large for this machine's memory"
                raise Refused(422, f"{which} is no image this program reads: {reason}") from one
            if isinstance(one, BaseException):
                raise one
        images = cast("list[np.ndarray]", found)
        return images[0][None] if len(images) == 1 else np.stack(images)

    async def classify(
        self, images: np.ndarray, views: int, submit: Callable[[np.ndarray], Future] | None = None
    ) -> np.ndarray:
        """Probabilities of each view, float32 (N, views, classes), of uint8 (N, 256, 256, 3). Raises Refused (503).

        submit: what hands uint8 (M, size, size, 3) to the computing thread, where it is not the whole net's batch.
        """
        stack = self._reader.views(images, views)
        flat = stack.reshape(-1, *stack.shape[2:])
        outputs = await self.computed(submit or self.batcher.classify, flat)
        self.metrics.classified(len(images))
        return outputs.reshape(len(images), views, -1)

    def centre(self, images: np.ndarray) -> np.ndarray:
        """The centre views, uint8 (N, size, size, 3), of uint8 (N, 256, 256, 3)."""
        return self._reader.views(images, 1)[:, 0]

    async def computed(self, submit: Callable[..., Future], *arguments: Any) -> Any:
        """The result of what ``submit(*arguments)`` hands to the computing thread. Raises Refused (503)."""
        try:
            return await asyncio.wrap_future(submit(*arguments))
        except Busy as error:
            raise busy(error.seconds) from error

    def guesses(self, probabilities: np.ndarray, count: int) -> list[dict[str, Any]]:
        """The ``count`` most probable classes of float32 (classes,), the best first."""
        best = np.argsort(-probabilities, kind="stable")[:count]
        classes = self.service.model.classes
        return [
            {"label": int(k), "wnid": classes[k]["wnid"], "name": classes[k]["name"], "probability": float(p)}
            for k, p in zip(best, probabilities[best])
        ]

    def handler(self, handle: Handler) -> Callable[[Request], Awaitable[Response]]:
        """A handler of requests with bodies: within the bounds, what is refused answered in a sentence."""

        async def handler(request: Request) -> Response:
            try:
                with await self.admission.enter(request) as place:
                    return await handle(request, place)
            except Refused as refusal:
                return JSONResponse({"error": refusal.reason}, refusal.status, refusal.headers)
            except ClientDisconnect:
                return Response(status_code=499)  # nobody is there to read it

        handler.__name__ = handle.__name__
        return handler

    async def image(self, request: Request, place: Admitted) -> np.ndarray:
        """uint8 (1, 256, 256, 3) of a request whose body is an image file. Raises Refused."""
        images = await self.images([await place.body(request)])
        place.release()
        return images

    def close(self) -> None:
        """Finish what waits."""
        self.batcher.close()
        self._pool.shutdown()


def number_of(request: Request, name: str, default: int, allowed: Union[Sequence[int], range]) -> int:
    """A whole number of the address. Raises Refused (400) where it is not one of those allowed."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) in allowed):
        choice = f"from {allowed[0]} to {allowed[-1]}" if isinstance(allowed, range) else " or ".join(map(str, allowed))
        raise Refused(400, f"{name} must be a whole number, {choice}")
    return int(text)
