"""Where the data set lies that a net was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gluon_alexnet.recordio.dataset.manifest import MANIFEST, DatasetError, read_manifest

from ..errors import InvalidRequest
from ..exporters import symbol
from ..training import run_folder
from ..training.run_folder import choose_checkpoint, newest_run
from .default_paths import DATA_DEFAULT

__all__ = ["check_model", "choose_checkpoint", "data_of", "data_of_run", "newest_run", "recorded_data"]


def data_of(model: Any) -> Path:
    """The data set folder of a model of :func:`gluon_alexnet.workflows.load.load`, or of a path."""
    return data_of_run(Path(getattr(model, "path", model)))


def data_of_run(path: Path) -> Path:
    """The data set folder that a run, or a checkpoint's run, was trained on; of an exported net the default one.

    Raises InvalidRequest where the path is none of them, or its data set is not there.
    """
    if symbol.is_export(path):
        if not (DATA_DEFAULT / MANIFEST).exists():
            raise InvalidRequest(
                f"{path} is an exported net, which does not know its data set, and there is none in {DATA_DEFAULT}; "
                "give `data`."
            )
        return DATA_DEFAULT
    check_model(path)
    run = run_folder.run_of(run_folder.find_checkpoint(path))
    return recorded_data(run, run_folder.read_description(run))


def recorded_data(run: Path, description: run_folder.RunDescription) -> Path:
    """The data set folder that a run's description names. Raises InvalidRequest where it is not there.

    Runs keep it absolute. Older ones kept it as it was typed: such a path is tried from the current folder and from
    each above the run, and the folder with the digest that the run knows goes before others.
    """
    given = Path(description.data)
    tried = [given] if given.is_absolute() else [given, *(folder / given for folder in run.resolve().parents)]
    there = [folder for folder in tried if (folder / MANIFEST).exists()]
    if not there:
        raise InvalidRequest(f"{run} was trained on the data set {given}, which is not there; give `data`.")
    return next((folder for folder in there if _digest(folder) == description.data_digest), there[0])


def check_model(path: Path) -> None:
    """Raise InvalidRequest where a path is neither a folder nor an exported net."""
    if not symbol.is_export(path) and not path.is_dir():
        raise run_folder.no_net(path)


def _digest(folder: Path) -> str | None:
    try:
        return read_manifest(folder).digest
    except (DatasetError, InvalidRequest):
        return None
