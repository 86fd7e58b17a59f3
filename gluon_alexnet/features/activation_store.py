"""Activations of some layers over any number of images, a NumPy file for each layer.

    FOLDER/conv5.npy         float32 (images, 256, 13, 13): row i is of the image in line i of keys.txt
    FOLDER/keys.txt          names of the images, one a line, UTF-8
    FOLDER/activations.json  what they are of: net, layers, views

FOLDER gets its name when it is complete; until then it is FOLDER.partial, which the next call continues. Memory does
not depend on the number of images.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import safe_json
from ..atomic_files import sync, write_text
from ..errors import InvalidRequest, OperationFailed
from ..safe_files import read_text
from .npy_file import GrowingNpy

FORMAT = "alexnet-activations"
FORMAT_VERSION = 1
HEADER, KEYS = "activations.json", "keys.txt"
DTYPE = "<f4"
SYNCED_BYTES = 2**28  # of activations, after which the disk must hold what was written
SYNCED_ROWS = 1024


@dataclass(frozen=True)
class Contents:
    """What activations are of; a folder of other contents is not continued."""

    net: str  # digest of the net
    source: str  # the net as the user named it
    layers: dict[str, tuple[int, ...]]  # shape of each for one image, the views' axis first where there are ten
    before_activation: bool
    views: int

    def to_dict(self) -> dict:
        """For FOLDER/activations.json."""
        layers = {name: {"file": f"{name}.npy", "shape": list(shape)} for name, shape in self.layers.items()}
        facts = {"net": self.net, "source": self.source, "before_activation": self.before_activation}
        return {"format": FORMAT, "version": FORMAT_VERSION, **facts, "views": self.views, "layers": layers}


class ActivationWriter:
    """Context manager: begins FOLDER, or goes on with FOLDER.partial.

    ``done`` is how many images FOLDER.partial already has; ``keys()`` are their names. Raises InvalidRequest where
    FOLDER is there, or FOLDER.partial is of another net, other layers or views, or is being written by another
    process.
    """

    def __init__(self, folder: Path, contents: Contents) -> None:
        if folder.exists():
            raise InvalidRequest(f"{folder} is there already; give another folder, or remove it.")
        self._folder, self._draft = folder, folder.with_name(f"{folder.name}.partial")
        self._contents = contents
        self._draft.mkdir(parents=True, exist_ok=True)
        self._check_header()
        with ExitStack() as opened:
            self._files = {
                name: opened.enter_context(closing(GrowingNpy(self._draft / f"{name}.npy", shape, DTYPE)))
                for name, shape in contents.layers.items()
            }
            self._keys = opened.enter_context(open(self._draft / KEYS, "a+b"))
            self.done = self._named()
            for file in self._files.values():
                file.keep(self.done)
            self._opened = opened.pop_all()
        self._waiting: list[bytes] = []
        self._bytes = 0

    def __enter__(self) -> ActivationWriter:
        return self

    def __exit__(self, *failure: object) -> None:
        self._opened.close()

    def keys(self) -> Iterator[bytes]:
        """Names of the images that are done, in order."""
        with open(self._draft / KEYS, "rb") as file:
            for number, line in enumerate(file):
                if number == self.done:
                    return
                yield line.rstrip(b"\n")

    def append(self, keys: list[bytes], activations: dict[str, np.ndarray]) -> None:
        """Add images: their names without line breaks, and of each layer float32 (n, *shape).

        Raises OperationFailed where an activation is not a number or the disk is full; what was written before stays.
        """
        for name, values in activations.items():
            bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
            if bad.any():
                raise OperationFailed(
                    f"{name} of {os.fsdecode(keys[int(np.argmax(bad))])} is not a number: the net has diverged; take "
                    "another checkpoint."
                )
        try:
            for name, values in activations.items():
                self._files[name].append(values)
                self._bytes += values.nbytes
            self._waiting += keys
            if self._bytes >= SYNCED_BYTES or len(self._waiting) >= SYNCED_ROWS:
                self._sync()
        except OSError as error:
            raise OperationFailed(
                f"{self._draft}: {error.strerror}; make room, and the same command goes on after {self.done} images."
            ) from error

    def stop(self) -> int:
        """Keep what there is for the next call; returns how many images that are."""
        self._sync()
        return self.done

    def complete(self) -> Path:
        """Give FOLDER its name. Raises OperationFailed where there is not one image."""
        self._sync()
        if not self.done:
            shutil.rmtree(self._draft)
            raise OperationFailed("There is not one image to compute activations of.")
        for file in self._files.values():
            file.close(self.done)
        text = json.dumps({**self._contents.to_dict(), "images": self.done}, indent=1) + "\n"
        write_text(self._draft / HEADER, text)
        os.rename(self._draft, self._folder)
        sync(self._folder.parent)
        return self._folder

    def _sync(self) -> None:
        """Names follow once the disk has their rows, so that each line of keys.txt has its row."""
        for file in self._files.values():
            file.sync()
        self._keys.write(b"".join(key + b"\n" for key in self._waiting))
        self._keys.flush()
        os.fsync(self._keys.fileno())
        self.done += len(self._waiting)
        self._waiting, self._bytes = [], 0

    def _named(self) -> int:
        """How many images have their name in the file; a line that was cut off is removed."""
        self._keys.seek(0)
        lines = end = 0
        for line in self._keys:
            if line.endswith(b"\n"):
                lines, end = lines + 1, end + len(line)
        self._keys.truncate(end)
        self._keys.seek(0, os.SEEK_END)
        return lines

    def _check_header(self) -> None:
        file, own = self._draft / HEADER, self._contents.to_dict()
        if not file.exists():
            if any(self._draft.iterdir()):
                raise InvalidRequest(f"{self._draft} was not made by this program; give another folder.")
            write_text(file, json.dumps(own, indent=1) + "\n")
            return
        try:
            found = safe_json.parse(read_text(file))
            foreign = found["format"] != FORMAT
        except (ValueError, KeyError, TypeError) as error:
            raise OperationFailed(f"{file} is damaged; remove {self._draft} and begin again.") from error
        if foreign or found["version"] > FORMAT_VERSION:
            raise InvalidRequest(f"{self._draft} is of another program or a newer version; give another folder.")
        for key in ("net", "layers", "before_activation", "views"):
            if found.get(key) != own[key]:
                raise InvalidRequest(
                    f"{self._draft} was begun with another {key.replace('_', ' ')}; go on with what it was begun with, "
                    "remove it, or give another folder."
                )
