"""A run on disk: its description, and checkpoints that hold all of its state.

    RUN/recipe.json              every number, the classes, versions, the data set's digest
    RUN/log.jsonl                one JSON object a line
    RUN/checkpoints/step-…/      parameters.params, momentum.params, state.json; residual-….params of each worker
    RUN/latest, RUN/best         symbolic links to checkpoints
    RUN/rate.json                a learning rate that `alexnet-tools lr` asks for, until it is taken

Arrays have the names and shapes of the fused net, whatever contexts the run used. A checkpoint appears
under its name only when it is complete; nothing is pickled.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import safe_json
from ..atomic_files import sha256, sync, write_text
from ..errors import InvalidRequest, OperationFailed
from ..model.shapes import parameter_shapes
from ..recipes import schema as recipes
from ..recipes.timetable import LAYERS, Change, RateRequest
from ..safe_files import read_text
from .lr_schedule import ManualRate, Moment

_LOG = logging.getLogger(__name__)
FORMAT_VERSION = recipes.FORMAT_VERSION
KEPT = 2  # newest checkpoints kept beside the best one
RECENT_UPDATES = 100  # what the recent loss is a running mean over


@dataclass
class State:
    """Where a run stands. Between epochs ``position`` is 0."""

    seed: int
    step: int = 0  # updates done
    position: int = 0  # images of the present epoch already gone through
    skipped: int = 0  # those of them that were damaged and left out
    loss_sum: float = 0.0  # of those images
    seconds: float = 0.0  # spent on them
    recent_loss: float = 0.0  # mean loss of the last hundred updates or so
    manual_rate: ManualRate | None = None  # a rate set while the run went on
    changes: list[Change] = field(default_factory=list)  # of single layers' rates, made while the run went on
    epochs: list[dict] = field(default_factory=list)  # what log.jsonl says of each finished epoch
    log_bytes: int = 0  # length of log.jsonl when this was saved

    def count(self, loss: float, images: int) -> None:
        """One more update, on so many images."""
        self.step += 1
        self.position += images
        self.loss_sum += loss * images
        self.recent_loss += (loss - self.recent_loss) / min(self.step, RECENT_UPDATES)

    @property
    def moment(self) -> Moment:
        """What the learning rates depend on."""
        return Moment(self.errors, self.position, self.manual_rate, self.changes)

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.epochs)

    @property
    def errors(self) -> list[float]:
        """Validation error of each finished epoch, top-1 per cent."""
        return [epoch["validation_top1"] for epoch in self.epochs]


@dataclass(frozen=True)
class RunDescription:
    """What a run is: written once at its start. ``classes``: dicts with wnid and name, in label order."""

    recipe: recipes.Recipe
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
        "recipe": recipes.to_dict(description.recipe),
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
    content = _read_json(file)
    try:
        return RunDescription(
            recipe=recipes.from_dict(content["recipe"], version=content["version"]),
            classes=[{"wnid": str(c["wnid"]), "name": str(c["name"])} for c in content["classes"]],
            data=str(content["data"]),
            data_digest=str(content["data_digest"]),
            versions=dict(content["versions"]),
            initialized_from=content["initialized_from"] if content["version"] > 1 else None,
            seed=None if content.get("seed") is None else int(content["seed"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OperationFailed(f"{file} is not the description of a run ({error}); start a new run.") from error


def save(run: Path, state: State, parameters: dict, momentum: dict, best: bool, residuals: Sequence[dict] = ()) -> Path:
    """Write a checkpoint and point RUN/latest, and RUN/best if it is the best, to it.

    parameters, momentum: name → NDArray, in the fused net's form; residuals: such arrays of each worker. Older
    checkpoints but the newest ``KEPT`` and the best are removed afterwards. Raises OperationFailed where the disk is
    full; the checkpoints already there stay.
    """
    folder = run / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".step-*"):  # of a process that was killed: a run has one that writes
        shutil.rmtree(left, ignore_errors=True)
    # A step may be saved again (after its validation, say), and what there is of it stays till then.
    saves = [number for step, number in map(_order, folder.glob("step-*")) if step == state.step]
    again = f"-{max(saves) + 1}" if saves else ""
    target = folder / f"step-{state.step:08d}{again}"
    draft = folder / f".step-{secrets.token_hex(8)}"
    draft.mkdir()  # not mkdtemp, which gives it to this user alone whatever the umask says
    try:
        digests = {}
        kept = {f"residual-{rank}.params": arrays for rank, arrays in enumerate(residuals)}
        for name, arrays in {"parameters.params": parameters, "momentum.params": momentum, **kept}.items():
            _save_arrays(draft / name, arrays)
            digests[name] = sha256(draft / name)
        content = {"version": FORMAT_VERSION, "state": dataclasses.asdict(state), "sha256": digests}
        write_text(draft / "state.json", json.dumps(content, indent=1) + "\n")
        os.rename(draft, target)
        sync(folder)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise OperationFailed(
            f"The checkpoint of step {state.step} cannot be written to {folder}: {error.strerror}."
        ) from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _point(run / "latest", target)
    if best:
        _point(run / "best", target)
    _remove_old(run, folder)
    _LOG.info("saved %s%s", target, ", the best so far" if best else "")
    return target


def load(checkpoint: Path) -> tuple[State, dict, dict]:
    """(state, parameters, momentum) of a checkpoint folder; arrays on cpu(0).

    Raises OperationFailed where a file is missing, cut or of a newer version.
    """
    state, digests = _read_state(checkpoint)
    parameters, momentum = (_load_arrays(checkpoint / f"{name}.params", digests) for name in ("parameters", "momentum"))
    return state, parameters, momentum


def load_residuals(checkpoint: Path, rank: int, workers: int) -> list[dict]:
    """What compression kept back in each worker (of this rank alone, the others empty, where there were so many).

    Raises OperationFailed as :func:`load` does. Empty where nothing was compressed.
    """
    _, digests = _read_state(checkpoint)
    count = sum(name.startswith("residual-") for name in digests)
    wanted = {rank} if count == workers else set(range(count))
    return [
        _load_arrays(checkpoint / f"residual-{one}.params", digests) if one in wanted else {} for one in range(count)
    ]


def load_run(path: Path) -> tuple[RunDescription, State, dict, dict]:
    """(description, state, parameters, momentum) of a run's latest checkpoint, or of a checkpoint folder.

    Raises InvalidRequest where the path is neither, and OperationFailed as :func:`load` does or where the arrays are
    not those of the net that the run describes.
    """
    folder = find_checkpoint(path)
    description = read_description(run_of(folder))
    state, parameters, momentum = load(folder)
    _check_shapes(folder, description, parameters, momentum)
    _LOG.info("loaded %s: recipe %s, step %d", folder, description.recipe.name, state.step)
    return description, state, parameters, momentum


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
    content = _read_json(file)
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


def read_state(checkpoint: Path) -> State:
    """The state alone of a checkpoint folder. Raises OperationFailed where it is missing, cut or of a newer version."""
    return _read_state(checkpoint)[0]


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


def choose(path: Path, which: str) -> tuple[Path, str, bool]:
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


def _read_state(checkpoint: Path) -> tuple[State, dict]:
    content = _read_json(checkpoint / "state.json")
    try:
        if content["version"] < 3:
            content["state"] = _renamed(content["state"], {"by_hand": "manual_rate"})
            names = {"rate": "learning_rate", "rates": "learning_rates"}
            content["state"]["epochs"] = [_renamed(epoch, names) for epoch in content["state"]["epochs"]]
        manual_rate = content["state"].pop("manual_rate", None)
        changes = [Change(**{**one, "layers": tuple(one["layers"])}) for one in content["state"].pop("changes", [])]
        manual = None if manual_rate is None else ManualRate(**manual_rate)
        state = State(**content["state"], manual_rate=manual, changes=changes)
        return state, dict(content["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise OperationFailed(f"{checkpoint / 'state.json'} is not the state of a run ({error}).") from error


def _renamed(content: dict, names: dict[str, str]) -> dict:
    return {names.get(name, name): value for name, value in content.items()}


def _check_shapes(checkpoint: Path, description: RunDescription, parameters: dict, momentum: dict) -> None:
    network = description.recipe.network
    expected = parameter_shapes(network, len(description.classes))
    found = {name: array.shape for name, array in parameters.items() if name != "mean"}
    if found == expected and all(expected.get(name) == array.shape for name, array in momentum.items()):
        return
    odd = next((name for name in {**expected, **found} if found.get(name) != expected.get(name)), "momentum")
    raise OperationFailed(
        f"{checkpoint} is of another net than {run_of(checkpoint) / 'recipe.json'} describes ({odd} differs); "
        "use the run's own checkpoint."
    )


def _load_arrays(file: Path, digests: dict) -> dict:
    from ..backend import mx

    if not file.exists():
        raise OperationFailed(f"{file} is missing; use another checkpoint of the run.")
    if digests.get(file.name) != sha256(file):
        raise OperationFailed(
            f"{file} is damaged: its content is not what was saved; use another checkpoint of the run."
        )
    return mx.nd.load(str(file)) or {}  # before the first update there is no momentum, and MXNet gives an empty list


def _save_arrays(file: Path, arrays: dict) -> None:
    from ..backend import mx

    try:
        mx.nd.save(str(file), arrays)
        sync(file)
        found = mx.nd.load(str(file))  # what MXNet could not flush when it closed the file, it does not tell
    except mx.base.MXNetError:
        found = None
    if found is None or set(found) != set(arrays):
        raise OSError(28, "the file could not be written whole (no space left on the device?)", str(file))


def _read_json(file: Path) -> dict:
    try:
        content = safe_json.parse(read_text(file))
        version = content["version"]
        newer = version > FORMAT_VERSION
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OperationFailed(f"{file} is missing, cut or not a file of this program.") from error
    if newer:
        raise OperationFailed(f"{file} has version {version}; this program reads up to {FORMAT_VERSION}: update it.")
    return content


def _point(link: Path, target: Path) -> None:
    draft = link.with_name(f".{link.name}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(os.path.relpath(target, link.parent))
    os.replace(draft, link)


def _order(checkpoint: Path) -> tuple[int, int]:
    """(step, how often it had been saved) from a checkpoint's name, step-00000128 or step-00000128-2."""
    _, step, *again = checkpoint.name.split("-")
    return int(step), int(again[0]) if again else 1


def _remove_old(run: Path, folder: Path) -> None:
    best = (run / "best").resolve()
    for checkpoint in sorted(folder.glob("step-*"), key=_order)[:-KEPT]:
        if checkpoint.resolve() != best:
            shutil.rmtree(checkpoint, ignore_errors=True)
