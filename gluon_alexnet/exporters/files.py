"""Exported nets get their names together, once every file of them has been read back and compared.

OUT-symbol.json, OUT-0000.params   graph and arrays
OUT.onnx                           the same for other programs, where it was asked for
OUT.py, OUT.safetensors            the same for PyTorch, where it was asked for
OUT.json                           what they mean, what was found, and the digests of the others
OUT.md                             the model card: the same in words, for people
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from .. import safe_json
from ..atomic_files import place_of, sha256, sync, written
from ..errors import InvalidRequest, OperationFailed
from ..safe_files import read_text

FORMAT = "alexnet-export"
FORMAT_VERSION = 1
ENDS = {
    "symbol": "-symbol.json",
    "parameters": "-0000.params",
    "onnx": ".onnx",
    "module": ".py",
    "tensors": ".safetensors",
}
DESCRIPTION, CARD = ".json", ".md"
NEEDED = ("symbol", "parameters")  # of every export; the others are written where they are asked for
SPACE_NEEDED = 2**20  # bytes; a disk with fewer is full
OTHERS_WORK = ("onnx", "module", "tensors", "card")  # such names may be files that have nothing to do with an export

# float32 sums in another order differ at most this much, as a share of the largest probability: between two ways to
# run a net in MXNet, and between MXNet and another program.
TOLERANCE = 1e-5
TOLERANCE_OF_OTHERS = 1e-4


def file_of(path: Path, role: str) -> Path:
    """A file of the export OUT; role: one of ENDS, ``description`` or ``card``."""
    return path.with_name(path.name + {**ENDS, "description": DESCRIPTION, "card": CARD}[role])


def check_names(path: Path, overwrite: bool) -> None:
    """Raise InvalidRequest where an export to OUT would replace what it must not.

    That is what no rename may replace (a device, a folder), an export that is there already unless ``overwrite``, and
    always an OUT.onnx, OUT.py, OUT.safetensors or OUT.md that is no file of an earlier export, or was changed since.
    """
    older = _roles(path)
    for role in OTHERS_WORK:
        file = file_of(path, role)
        if file.is_file() and not (role in older and older[role] in (None, sha256(file))):
            raise InvalidRequest(
                f"{file} is there and was not written by an export; move it away, or give another OUT."
            )
    for role in (*NEEDED, "description"):
        file = file_of(path, role)
        if file.is_file() and not overwrite:
            raise InvalidRequest(
                f"{file} is there already; add `overwrite` to replace that net, or give another `out`."
            )
    for role in _ROLES:
        if os.path.lexists(file_of(path, role)):
            place_of(file_of(path, role))


class Publication:
    """Context manager: exports are written beside their place, then ``publish`` names them; else they are removed.

    overwrite: whether an export that is there already is replaced.
    """

    def __init__(self, overwrite: bool = False) -> None:
        self._overwrite = overwrite
        self._drafts: list[tuple[Path, Path]] = []  # (name beside OUT, OUT)
        self._held: list[int] = []  # the folders of the drafts, locked: who finds one that is not may remove it

    def __enter__(self) -> Publication:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        full = [path for draft, path in self._drafts if error is not None and _full(draft.parent)]
        for draft, _ in self._drafts:
            shutil.rmtree(draft.parent, ignore_errors=True)
        for descriptor in self._held:
            os.close(descriptor)
        if full and not isinstance(error, (InvalidRequest, OperationFailed)):
            # Each library that writes a file says it in its own way.
            raise OperationFailed(f"{full[0]}: no space is left on the device; nothing was written.")

    def draft(self, path: Path) -> Path:
        """A name beside OUT under which its files can be written. Raises InvalidRequest as :func:`check_names` does.

        What an export to OUT that was killed left beside it is removed.
        """
        check_names(path, self._overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent)) / path.name
        self._drafts.append((draft, path))
        self._held.append(os.open(draft.parent, os.O_RDONLY))
        fcntl.flock(self._held[-1], fcntl.LOCK_EX)
        return draft

    def verify(
        self,
        draft: Path,
        runners: Mapping[str, Callable[[Path, np.ndarray], np.ndarray]],
        images: np.ndarray,
        expected: np.ndarray,
        tolerance: float = TOLERANCE,
    ) -> dict[str, float]:
        """Largest difference from the expected probabilities of each program that runs the draft, by name.

        runners: (draft, images) → probabilities. images: uint8 (N, size, size, 3), at least one. expected:
        (N, classes). Raises OperationFailed where one is above the tolerance, a share of the largest probability.
        """
        path, allowed = dict(self._drafts)[draft], tolerance * float(expected.max())
        differences = {name: float(np.abs(run(draft, images) - expected).max()) for name, run in runners.items()}
        for name, difference in differences.items():
            if not difference <= allowed:
                raise OperationFailed(
                    f"{path}: {name} gets probabilities that differ from the net's by {difference:.2g} (allowed: "
                    f"{allowed:.1g}); nothing was written."
                )
        return differences

    def describe(self, draft: Path, size: int, description: dict) -> dict:
        """Write OUT.json's draft with the digests of the files that are there; returns what it holds.

        size: height and width of the input. description: what else it holds, among it ``classes``.
        """
        content = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "input": {"name": "data", "shape": ["N", 3, size, size], "values": "RGB grey levels 0 to 255, float32"},
            "output": {"shape": ["N", len(description["classes"])], "values": "softmax probabilities"},
            **description,
            "sha256": {role: sha256(file_of(draft, role)) for role in ENDS if file_of(draft, role).exists()},
        }
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        file_of(draft, "description").write_text(text, encoding="utf-8")
        return content

    def add_card(self, draft: Path, text: str) -> None:
        """Write OUT.md's draft."""
        file_of(draft, "card").write_text(text, encoding="utf-8")

    def drafts(self, draft: Path) -> list[Path]:
        """The files of a draft that there are so far, the description last."""
        return [file for role in (*ENDS, "description") if (file := file_of(draft, role)).exists()]

    def files(self, draft: Path) -> list[Path]:
        """The names that the files of a draft will have."""
        path = dict(self._drafts)[draft]
        return [file_of(path, role) for role in _ROLES if file_of(draft, role).exists()]

    def draft_of(self, path: Path) -> Path:
        """The draft that will be OUT."""
        return next(draft for draft, name in self._drafts if name == path)

    def publish(self) -> None:
        """Give all files their names, the descriptions last. What an older export to OUT had besides goes."""
        for draft, path in self._drafts:
            older = _roles(path)
            for role in _ROLES:
                source, target = file_of(draft, role), file_of(path, role)
                if source.exists():
                    if target.is_symlink():  # what it means is replaced, perhaps on another file system
                        with written(target) as beside:
                            shutil.copyfile(source, beside)
                        continue
                    sync(source)
                    os.replace(source, target)
                elif role in older:
                    target.unlink(missing_ok=True)


def _full(folder: Path) -> bool:
    """Whether less is free than a library keeps in its buffers before it writes."""
    try:
        return shutil.disk_usage(folder).free < SPACE_NEEDED
    except OSError:
        return False


_ROLES = (*ENDS, "card", "description")  # in the order in which they get their names


def _remove_left(path: Path) -> None:
    """Remove the hidden folders of exports to OUT that were killed: nobody holds their locks."""
    ours = re.compile(rf"\.{re.escape(path.name)}(-int8|-bf16)?-[a-z0-9_]{{8}}")  # as tempfile names them
    for folder in path.parent.iterdir():
        if not ours.fullmatch(folder.name) or not folder.is_dir():
            continue
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # an export that is at work
        finally:
            os.close(descriptor)


def _roles(path: Path) -> dict[str, str | None]:
    """The files that OUT.json of an earlier export names, with their digests; a card has none."""
    try:
        content = safe_json.parse(read_text(file_of(path, "description")))
        found = dict(content["sha256"]) if content["format"] == FORMAT else {}
        return {**found, "card": None} if content.get("card") else found
    except (OSError, ValueError, KeyError, TypeError):
        return {}
