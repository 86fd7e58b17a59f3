"""A net behind HTTP: what the server needs is joined here from the net's side and the data set's."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union

import numpy as np

from gluon_alexnet.recordio.dataset.images import decode, shorter_side_256

from .. import backend
from ..data.augmentation import crop_views
from ..errors import InvalidRequest, OperationFailed
from ..exporters import symbol
from ..features import activations
from ..model.classifier import Model, classify_with, count_parameters
from ..serving import app, connection, passes
from ..serving.core import Core, ImageReader
from ..serving.interfaces import Limits, Service
from ..serving.microscope import NetMicroscope
from ..training import checkpoint, run_folder
from ..version import __version__
from .devices import open_device
from .gallery import DataGallery
from .load import open_run
from .run_data import check_model

PathLike = Union[str, "os.PathLike[str]"]
Made = TypeVar("Made")


class LoadedModel:
    """See :class:`gluon_alexnet.serving.interfaces.ServedModel`."""

    def __init__(self, model: Model, name: str, facts: dict[str, str]) -> None:
        self.name = re.sub(r"[^A-Za-z0-9_.-]", "-", name).strip(".") or "model"
        self.classes: list[dict[str, str]] = model.classes
        self.input_size, self.facts = model.size, facts
        self._classify = model.classify

    def classify(self, views: np.ndarray) -> np.ndarray:
        """uint8 (M, input_size, input_size, 3) → float32 (M, classes)."""
        return self._classify(views)


def open_service(
    path: Path, context: Any, data: Path | None = None, features: Path | None = None, limits: Limits | None = None
) -> Service:
    """What ``path``, a run, a checkpoint or an exported net, needs to be served.

    data: a data set whose images can be tried, and found where their fc7 activations have been computed
    (`alexnet-tools similar`). Raises InvalidRequest and OperationFailed as the loading of these does.
    """
    if symbol.is_export(path):
        model, block = _open_export(path, context)
        stores = path.with_name(f"{path.name}-features")
    else:
        check_model(path)
        model, block = _open_run(path, context)
        stores = run_folder.run_of(run_folder.find_checkpoint(path)) / "features"
    gallery = None
    if data:
        gallery = DataGallery(data, _or_none(_fc7, path, block, context), stores, features)
    return Service(model, _or_none(NetMicroscope, block, model.input_size, context), gallery, limits or Limits())


def _open_run(path: Path, context: Any) -> tuple[LoadedModel, Any]:
    classifier, run, state = open_run(path, context)
    folder = run_folder.run_of(run_folder.find_checkpoint(path))
    opened = Model(classify_with(classifier, context), run.recipe.network.input_size, run.classes, str(path))
    return LoadedModel(opened, folder.name, _run_facts(run, state, count_parameters(classifier))), classifier


def _open_export(path: Path, context: Any) -> tuple[LoadedModel, Any]:
    opened = symbol.load_export(path, context)
    block = symbol.load_pair(path, context)
    classified = dataclasses.replace(opened, classify=classify_with(block, context))
    return LoadedModel(classified, path.name, _export_facts(symbol.read_export(path, context))), block


def _fc7(path: Path, block: Any, context: Any) -> activations.Fc7:
    if symbol.is_export(path):
        return activations.of_export(path, context)
    return activations.of_classifier(block, _description(path).recipe.network, context)


def _description(path: Path) -> run_folder.RunDescription:
    return run_folder.read_description(run_folder.run_of(run_folder.find_checkpoint(path)))


def _or_none(make: Callable[..., Made], *arguments: Any) -> Made | None:
    """What some nets have not: an int8 net has no inside that could be shown."""
    try:
        return make(*arguments)
    except InvalidRequest:
        return None


def build_core(service: Service) -> Core:
    """The service with this program's way to read images, once the net has computed for the first time."""
    size = service.model.input_size
    if not np.isfinite(service.model.classify(np.zeros((1, size, size, 3), np.uint8))).all():
        raise OperationFailed(f"{service.model.name} gives what is no number: the net is of no use.")
    parts = passes.plan(passes.measure(service.model.classify, size, service.limits.batch_views))
    reader = ImageReader(
        decode=lambda data: shorter_side_256(decode(data)),
        prepare=shorter_side_256,
        views=lambda images, count: crop_views(images, size, count),
        threads=backend.usable_cores(),
    )
    return Core(service, reader, parts)


def serve(
    model: PathLike,
    data: PathLike | None = None,
    features: PathLike | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    device: Any = None,
    started: Callable[[Service, str], None] = lambda service, address: None,
    ending: Callable[[], None] = lambda: None,
) -> None:
    """Serve a run, a checkpoint or an exported net over HTTP until SIGTERM, SIGHUP or SIGINT.

    What has begun is then answered. data: a data set whose images the page offers and searches. features: the folder of
    its fc7 activations, where it is not that of ``similar``. host, port: where to listen; port 0 takes a free one.
    device: "gpu(0)" or "cpu(0)". started: called with the service and its address when it answers. ending: called when
    the signal has come. Raises InvalidRequest where there is no such net or the address cannot be had, and what opening
    the net and data raises.
    """
    service = open_service(
        Path(model),
        open_device(device, "A server"),
        None if data is None else Path(data),
        None if features is None else Path(features),
    )
    try:
        listener = connection.listen(host, port)
    except OSError as error:
        raise InvalidRequest(f"The server cannot listen on {host}, port {port}: {error.strerror or error}.") from error
    with listener:
        address = connection.address_of(listener)
        core = build_core(service)
        hosts = None
        if connection.is_loopback(listener):
            hosts = ("localhost", "127.0.0.1", "[::1]", host)

        def end() -> None:
            core.ready = False
            ending()

        server = connection.Server(
            app.build(core, __version__, hosts), service.limits, lambda: started(service, address), end
        )
        server.run([listener])


def _run_facts(run: run_folder.RunDescription, state: checkpoint.State, parameters: int) -> dict[str, str]:
    recipe, last = run.recipe, state.epochs[-1] if state.epochs else {}
    named = " ".join([f"recipe {recipe.name}", *(f"variant {name}" for name in recipe.variants)])
    learned = f"has learned for {state.epoch} epochs from {last['images']:,} images" if last else "has just begun"
    sentence = f"This one {learned} of {_classes(run.classes)}"
    if last:
        sentence += (
            f", and is wrong on {last['validation_top1']:.1f} % of {last['validation_images']:,} images it has not "
            "seen (centre view)"
        )
    details = (
        f"{named}; {parameters:,} parameters; {recipe.network.columns} columns; input {recipe.network.input_size} "
        f"pixels; step {state.step:,}."
    )
    return {"sentence": sentence + ".", "details": details}


def _export_facts(description: Mapping) -> dict[str, str]:
    origin, error = description["provenance"], description.get("validation_error") or {}
    sentence = f"This one, an exported net, knows {_classes(description['classes'])}"
    if error.get("top1") is not None:
        sentence += f", and was wrong on {error['top1']:.1f} % of its validation images (centre view)"
    known = {"recipe": "recipe {}", "architecture": "{}", "step": "step {}", "epochs": "{} epochs"}
    details = [words.format(origin[key]) for key, words in known.items() if origin.get(key) is not None]
    details.append(f"input {description['input']['shape'][-1]} pixels.")
    return {"sentence": sentence + ".", "details": "; ".join(details)}


def _classes(classes: Sequence[Mapping[str, str]]) -> str:
    names = [info["name"].split(",")[0] for info in classes]
    if len(names) > 12:
        return f"{len(names):,} classes"
    return f"{len(names)} classes: {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
