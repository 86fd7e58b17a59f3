"""Checkpoints: all of a run's state, in a folder of the run.

    RUN/checkpoints/step-…/      parameters.params, momentum.params, state.json; residual-….params of each worker
    RUN/latest, RUN/best         symbolic links to the newest one, and to that with the least validation error

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

from ..atomic_files import sha256, sync, write_text
from ..errors import OperationFailed
from ..model.shapes import parameter_shapes
from ..recipes.serialization import FORMAT_VERSION
from ..recipes.timetable import Change
from . import run_folder
from .lr_schedule import ManualRate, Moment

_LOG = logging.getLogger(__name__)
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


def load_run(path: Path) -> tuple[run_folder.RunDescription, State, dict, dict]:
    """(description, state, parameters, momentum) of a run's latest checkpoint, or of a checkpoint folder.

    Raises InvalidRequest where the path is neither, and OperationFailed as :func:`load` does or where the arrays are
    not those of the net that the run describes.
    """
    folder = run_folder.find_checkpoint(path)
    description = run_folder.read_description(run_folder.run_of(folder))
    state, parameters, momentum = load(folder)
    _check_shapes(folder, description, parameters, momentum)
    _LOG.info("loaded %s: recipe %s, step %d", folder, description.recipe.name, state.step)
    return description, state, parameters, momentum


def read_state(checkpoint: Path) -> State:
    """The state alone of a checkpoint folder. Raises OperationFailed where it is missing, cut or of a newer version."""
    return _read_state(checkpoint)[0]


def _read_state(checkpoint: Path) -> tuple[State, dict]:
    content = run_folder.read_json(checkpoint / "state.json")
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


def _check_shapes(checkpoint: Path, description: run_folder.RunDescription, parameters: dict, momentum: dict) -> None:
    network = description.recipe.network
    expected = parameter_shapes(network, len(description.classes))
    found = {name: array.shape for name, array in parameters.items() if name != "mean"}
    if found == expected and all(expected.get(name) == array.shape for name, array in momentum.items()):
        return
    odd = next((name for name in {**expected, **found} if found.get(name) != expected.get(name)), "momentum")
    raise OperationFailed(
        f"{checkpoint} is of another net than {run_folder.run_of(checkpoint) / 'recipe.json'} describes "
        f"({odd} differs); use the run's own checkpoint."
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
