"""A run's folder: its description, which of its checkpoints a path means, and a learning rate that is asked for.

    RUN/recipe.json              every number, the classes, versions, the data set's digest
    RUN/log.jsonl                one JSON object a line (run_log.py)
    RUN/checkpoints/step-…/      all of a run's state (checkpoint.py)
    RUN/latest, RUN/best         symbolic links to checkpoints
    RUN/rate.json                a learning rate that `alexnet-tools lr` asks for, until it is taken

Each file carries the version of its format, and none is read that is of a newer one.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from .. import safe_json
from ..atomic_files import write_text
from ..errors import InvalidRequest, OperationFailed
from ..recipes import serialization
from ..recipes.schema import Recipe
from ..recipes.serialization import FORMAT_VERSION
from ..recipes.timetable import LAYERS, RateRequest
from ..safe_files import read_text


@dataclass(frozen=True)
class RunDescription:
    """What a run is: written once at its start. ``classes``: dicts with wnid and name, in label order."""

    recipe: Recipe
    classes: list[dict]
    data: str  # data set folder, absolute; in older runs as it was typed
    data_digest: str
    versions: dict
    initialized_from: dict | None = None  # the net it was made of, and what was taken from it
    seed: int | None = None  # of its first parameters, order, crops and dropout; None: as by older programs


def write_description(run: Path, description: RunDescription) -> None:
    """RUN/recipe.json, whole or not at all."""
    content = {
        "version": FORMAT_VERSION,
        "recipe": serialization.to_dict(description.recipe),
        "classes": description.classes,
        "data": description.data,
        "data_digest": description.data_digest,
        "versions": description.versions,
        "initialized_from": description.initialized_from,
        "seed": description.seed,
    }
    write_text(run / "recipe.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read_description(run: Path) -> RunDescription:
    """RUN/recipe.json. Raises InvalidRequest if RUN is no run, OperationFailed if the file is damaged or too new."""
    file = run / "recipe.json"
    if not file.exists():
        raise InvalidRequest(f"{run} is not a run: it has no recipe.json; a training makes runs.")
    content = read_json(file)
    try:
        return RunDescription(
            recipe=serialization.from_dict(content["recipe"], version=content["version"]),
            classes=[{"wnid": str(c["wnid"]), "name": str(c["name"])} for c in content["classes"]],
            data=str(content["data"]),
            data_digest=str(content["data_digest"]),
            versions=dict(content["versions"]),
            initialized_from=content["initialized_from"] if content["version"] > 1 else None,
            seed=None if content.get("seed") is None else int(content["seed"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OperationFailed(f"{file} is not the description of a run ({error}); start a new run.") from error


def find_checkpoint(path: Path) -> Path:
    """The checkpoint folder that a path means: a run's latest one, or the folder itself."""
    if (path / "state.json").exists():
        return path.resolve()
    if not (path / "recipe.json").exists():
        raise InvalidRequest(f"{path} is neither a run nor a checkpoint: it has no recipe.json and no state.json.")
    if not (path / "latest").exists():
        raise OperationFailed(f"{path} has no checkpoint yet; train it for at least an epoch.")
    return (path / "latest").resolve()


def no_net(path: Path) -> InvalidRequest:
    """The sentence for a path that is neither a run, a checkpoint nor an exported net."""
    return InvalidRequest(
        f"{path} is neither a run, a checkpoint nor an exported net (no such folder, and {path}.json is not there)."
    )


def choose_checkpoint(path: Path, which: str) -> tuple[Path, str, bool]:
    """What is meant by the "latest" or the "best" checkpoint of ``path``.

    Returns it, a sentence that says which it is, and whether another could have been meant. The best one has the least
    validation error. A checkpoint or an exported net is itself, and nothing is said of it. Raises InvalidRequest where
    there is no best one to choose.
    """
    if not (path / "recipe.json").exists():
        if which == "best":
            raise InvalidRequest(f"{path} is not a run, so there are no checkpoints to choose from.")
        return path, "", False
    latest, best = (link.resolve() if link.exists() else None for link in (path / "latest", path / "best"))
    if which == "best":
        if best is None:
            raise InvalidRequest(f"{path} has no best checkpoint: no epoch of it is finished.")
        return path / "best", f"{path}: {best.name}, the checkpoint with the least validation error.", True
    if latest is None:
        return path, "", False  # whoever opens it says so
    if best in (None, latest):
        return path, f"{path}: {latest.name}, its latest checkpoint{' and the best' if best else ''}.", False
    other = best.name if best else ""
    return path, f"{path}: {latest.name}, its latest checkpoint; `checkpoint` best takes {other}.", True


def run_of(checkpoint: Path) -> Path:
    """The run folder of a checkpoint folder."""
    return checkpoint.parent.parent


def newest_run(runs: Path) -> Path:
    """The run below ``runs`` that saved last. Raises InvalidRequest where there is none."""
    found = [link.parent for link in runs.glob("*/latest") if (link.parent / "recipe.json").exists()]
    if not found:
        raise InvalidRequest(f"There is no run with a checkpoint in {runs}; train one.")
    return max(found, key=lambda run: (run / "latest").lstat().st_mtime_ns)


def has_checkpoint(run: Path) -> bool:
    """Whether a run was saved at least once; one that was killed before begins with its seed again."""
    return (run / "latest").exists()


def ask_rate(run: Path, request: RateRequest) -> Path:
    """Ask the process that trains this run for a learning rate; returns the file that is gone once it is taken."""
    file = run / "rate.json"
    content = dataclasses.asdict(request)
    write_text(file, json.dumps({"version": FORMAT_VERSION, "learning_rate": content.pop("rate"), **content}) + "\n")
    return file


def asked_rate(run: Path) -> RateRequest | None:
    """The request of :func:`ask_rate`, or None. Raises OperationFailed where the file is damaged."""
    file = run / "rate.json"
    if not file.exists():
        return None
    content = read_json(file)
    rate, by = content.get("learning_rate"), content.get("by")
    layers, biases = content.get("layers", []), content.get("biases", False)
    named = isinstance(layers, list) and all(layer in LAYERS for layer in layers) and isinstance(biases, bool)
    least = 0 if layers or biases else 1e-300  # the rate that all others follow is not 0
    if not isinstance(rate, float) or not least <= rate < float("inf") or not isinstance(by, str) or not named:
        raise OperationFailed(f"{file} asks for no learning rate.")
    return RateRequest(rate, by, tuple(layers), biases)


def rate_taken(run: Path) -> None:
    """Remove what :func:`ask_rate` wrote."""
    (run / "rate.json").unlink(missing_ok=True)


def read_json(file: Path) -> dict:
    """A JSON file of a run. Raises OperationFailed where it is missing, damaged or of a newer version."""
    try:
        content = safe_json.parse(read_text(file))
        version = content["version"]
        newer = version > FORMAT_VERSION
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperationFailed(f"{file} is missing, cut or not a file of this program.") from error
    if newer:
        raise OperationFailed(f"{file} has version {version}; this program reads up to {FORMAT_VERSION}: update it.")
    return content
