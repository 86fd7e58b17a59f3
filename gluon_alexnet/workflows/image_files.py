"""The images that a user names: files, folders and lists, decoded ahead of whoever computes with them."""

from __future__ import annotations

import os
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, NamedTuple

import numpy as np


class ImageFiles:
    """Iterates over the names of image files: those named, those below named folders, and for `-` those on stdin.

    A folder's entries come in the order of their names, and only those of one folder at a time are held, so that a
    million files cost no memory. Hidden files and those that are not named like images are passed over there, and
    counted in ``ignored``.
    """

    def __init__(self, names: Iterable[str], stdin: BinaryIO | None = None) -> None:
        self._names, self._stdin = names, stdin
        self.ignored = 0

    def __iter__(self) -> Iterator[str]:
        for name in self._names:
            if name == "-":
                for line in self._stdin or sys.stdin.buffer:
                    if line.strip():
                        yield from self._file_or_folder(os.fsdecode(line.rstrip(b"\r\n")))
            else:
                yield from self._file_or_folder(name)

    def _file_or_folder(self, name: str) -> Iterator[str]:
        if os.path.isdir(name):
            yield from self._below(name)
        else:
            yield name

    def _below(self, folder: str) -> Iterator[str]:
        from gluon_alexnet.recordio.sources.class_folders import EXTENSIONS

        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        for name, is_folder in entries:
            path = os.path.join(folder, name)
            if is_folder:
                yield from self._below(path)
            elif not name.startswith(".") and name.lower().endswith(EXTENSIONS) and os.path.isfile(path):
                yield path
            else:
                self.ignored += 1


class LoadedImage(NamedTuple):
    """One file: its pixels, or what is wrong with it."""

    name: str
    pixels: np.ndarray | None  # uint8 (256, 256, 3) RGB
    problem: str | None


def load_images(names: Iterable[str], size: int) -> Iterator[list[LoadedImage]]:
    """The files in their order, ``size`` at a time but the last, decoded by threads while the caller computes."""
    running: deque = deque()  # of (name, future)
    waiting = iter(names)
    batch: list[LoadedImage] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(thread_name_prefix="images") as pool:
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata in images that are fine
        try:
            while True:
                while len(running) < 2 * size and (name := next(waiting, None)) is not None:
                    running.append((name, pool.submit(load_image, name)))
                if not running:
                    break
                batch.append(running.popleft()[1].result())
                if len(batch) == size:
                    yield batch
                    batch = []
            if batch:
                yield batch
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def load_image(name: str) -> LoadedImage:
    """One file, its shorter side scaled to 256 pixels and its centre taken (Sec. 2)."""
    import cv2

    from gluon_alexnet.recordio.dataset.images import ImageError, decode, shorter_side_256
    from gluon_alexnet.recordio.dataset.manifest import UNLABELLED
    from gluon_alexnet.recordio.sources.class_folders import Source

    shown = os.fsencode(name).decode("utf-8", "replace")
    try:
        return LoadedImage(name, shorter_side_256(decode(Source(name, UNLABELLED, name).read(), shown)), None)
    except ImageError as error:
        return LoadedImage(name, None, f"{shown} is no image this program reads: {error}.")
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        return LoadedImage(name, None, f"{shown}: {getattr(error, 'strerror', None) or error}")
    except (MemoryError, cv2.error):
        return LoadedImage(name, None, f"{shown} is too large for this machine's memory, or OpenCV cannot scale it.")
