"""Probabilities on disk, so that nets are averaged without running them again, as the author did (Sec. 6).

FILE is an uncompressed .npz that ``numpy.load`` opens without pickle; rows are in the order of the data set:

    description       bytes of a JSON object: format, version, data, data_digest, split, classes, views, nets
    keys              the images' names in UTF-8, bytes (N,)
    labels            int64 (N,), places in ``classes``; -1 where the split has none
    probabilities_10  float16 or float32 (N, classes), mean softmax over ten views; probabilities_1: the centre view

``views`` says which of the last two are there. Each of ``nets`` has source, weight, parameters, variants and recipe.
"""

from __future__ import annotations

import json
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from .. import safe_json
from ..atomic_files import place_of, written
from ..errors import InvalidRequest, OperationFailed
from ..safe_arrays import read_array
from ..safe_files import regular

FORMAT = "alexnet-predictions"
FORMAT_VERSION = 1
PRECISIONS = ("float32", "float16")

_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, ValueError, KeyError, TypeError, EOFError, SyntaxError,
            IndexError, AttributeError, NotImplementedError, RuntimeError, RecursionError, MemoryError)  # fmt: skip


@dataclass(frozen=True)
class Net:
    """One of the nets whose probabilities were averaged."""

    source: str  # the run, checkpoint or export
    weight: float
    parameters: int
    variants: tuple[str, ...] = ()
    recipe: str = ""  # its name; empty where it is not known


@dataclass(frozen=True)
class Description:
    """What the probabilities are of. ``classes``: dicts with wnid, name and devkit_id, in label order."""

    data: str  # data set folder as given
    data_digest: str
    split: str
    classes: list[dict]
    views: tuple[int, ...]
    nets: tuple[Net, ...]

    @property
    def weight(self) -> float:
        """What the file counts in a mean unless the user says otherwise: as much as all of its nets."""
        return sum(net.weight for net in self.nets)


class Rows(NamedTuple):
    """N images of a file."""

    keys: list[str]
    labels: np.ndarray  # int64 (N,)
    probabilities: list[np.ndarray]  # float32 (N, classes) for each number of views


class PredictionsWriter:
    """Context manager: rows are added as they come; FILE appears whole when it ends well, and not at all otherwise."""

    def __init__(self, file: Path, description: Description, precision: str = PRECISIONS[0]) -> None:
        self._file, self._description = file, description
        self._type = np.dtype(precision)
        self._keys: list[bytes] = []
        self._labels: list[np.ndarray] = []

    def __enter__(self) -> PredictionsWriter:
        folder = place_of(self._file).parent
        # The number of rows is known at the end, when it has to be written first: rows wait in files without a name.
        self._rows = [tempfile.TemporaryFile(dir=folder) for _ in self._description.views]  # noqa: SIM115
        return self

    def add(self, keys: Sequence[str], labels: np.ndarray, probabilities: Sequence[np.ndarray]) -> None:
        """Add N images: keys, labels (N,), and for each number of views the probabilities (N, classes)."""
        self._keys += [key.encode("utf-8", "surrogateescape") for key in keys]
        self._labels.append(np.asarray(labels, np.int64))
        for file, values in zip(self._rows, probabilities):
            file.write(np.ascontiguousarray(values, self._type).tobytes())

    def __exit__(self, *failure: object) -> None:
        try:
            if failure[0] is None:
                with written(self._file) as draft:
                    self._write(draft)
        finally:
            for file in self._rows:
                file.close()

    def _write(self, draft: Path) -> None:
        document = {"format": FORMAT, "version": FORMAT_VERSION, **asdict(self._description)}
        shape = (len(self._keys), len(self._description.classes))
        with zipfile.ZipFile(draft, "w") as archive:
            for name, array in (
                ("description", np.array(json.dumps(document).encode("ascii"))),
                ("keys", np.array(self._keys, "S") if self._keys else np.empty(0, "S1")),
                ("labels", np.concatenate([np.empty(0, np.int64), *self._labels])),
            ):
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
            for views, rows in zip(self._description.views, self._rows):
                with archive.open(_member(views), "w", force_zip64=True) as member:
                    header = {"descr": self._type.str, "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(member, header)
                    rows.seek(0)
                    shutil.copyfileobj(rows, member, 1 << 20)


class Predictions:
    """A file of probabilities, opened; the rows are read as they are asked for.

    Raises OperationFailed where the file is missing, damaged, of another program or of a newer version.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            with zipfile.ZipFile(regular(file)) as archive:
                document = safe_json.parse(_array(archive, "description").item())
                newer = document["format"] == FORMAT and document["version"] > FORMAT_VERSION
                if document["format"] == FORMAT and not newer:
                    self.description = _description(document)
                    self.keys = [key.decode("utf-8", "surrogateescape") for key in _array(archive, "keys").tolist()]
                    self.labels = _array(archive, "labels").astype(np.int64)
                    self._check()
        except FileNotFoundError as error:
            raise InvalidRequest(f"{file}: no such file of predictions; name another.") from error
        except OSError as error:
            raise OperationFailed(f"{file}: {error.strerror or error}.") from error
        except _DAMAGED as error:
            raise OperationFailed(
                f"{file} is not a whole file of predictions; make it again with `predictions`."
            ) from error
        if newer:
            raise OperationFailed(
                f"{file} has version {document['version']}; this program reads up to {FORMAT_VERSION}: update it."
            )
        if document["format"] != FORMAT:
            raise OperationFailed(f"{file} is not a file of predictions; an evaluation writes them with `predictions`.")

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, count: int) -> Iterator[Rows]:
        """All rows in order, ``count`` at a time.

        Raises OperationFailed where the file is damaged: its checksum tells.
        """
        classes = len(self.description.classes)
        try:
            with ExitStack() as stack:
                archive = stack.enter_context(zipfile.ZipFile(regular(self.file)))
                tables = []
                for views in self.description.views:
                    member = stack.enter_context(archive.open(_member(views)))
                    shape, dtype = _header(member)
                    if shape != (len(self), classes) or dtype.name not in PRECISIONS:
                        raise ValueError("another table")
                    tables.append((member, dtype))
                for begin in range(0, len(self), count):
                    end = min(begin + count, len(self))
                    values = [_table(member, dtype, (end - begin, classes)) for member, dtype in tables]
                    yield Rows(self.keys[begin:end], self.labels[begin:end], values)
                if any(member.read(1) for member, _ in tables):
                    raise ValueError("more rows than keys")
        except OSError as error:
            raise OperationFailed(f"{self.file}: {error.strerror or error}.") from error
        except _DAMAGED as error:
            raise OperationFailed(f"{self.file} is damaged; make it again with `predictions`.") from error

    def _check(self) -> None:
        labels = self.labels
        if labels.shape != (len(self),) or np.any(labels < -1) or np.any(labels >= len(self.description.classes)):
            raise ValueError("labels that are none")
        if not self.description.views or not set(self.description.views) <= {1, 10} or not self.description.nets:
            raise ValueError("no views or no nets")


def compatible(files: Sequence[Predictions]) -> None:
    """Raises InvalidRequest unless the files speak of the same images, classes and views, in the same order."""
    first = files[0]
    for other in files[1:]:
        one, two = first.description, other.description
        if one.split != two.split:
            raise InvalidRequest(
                f"{first.file} is of split {one.split} and {other.file} of {two.split}; average one split."
            )
        if [c["wnid"] for c in one.classes] != [c["wnid"] for c in two.classes]:
            raise InvalidRequest(
                f"{first.file} has {len(one.classes)} classes and {other.file} has {len(two.classes)}, and they are "
                "not the same: such nets cannot be averaged."
            )
        if one.data_digest != two.data_digest:
            raise InvalidRequest(
                f"{first.file} is of the data set {one.data} and {other.file} of another one, {two.data}; run both "
                "nets on the same."
            )
        if first.keys != other.keys or not np.array_equal(first.labels, other.labels):
            raise InvalidRequest(
                f"{first.file} has {len(first)} images and {other.file} has {len(other)}, and they are not the same; "
                "damaged records may have been skipped in one of them."
            )
        if one.views != two.views:
            raise InvalidRequest(f"{first.file} has views {_list(one.views)} and {other.file} has {_list(two.views)}.")


def _description(document: dict[str, Any]) -> Description:
    return Description(
        str(document["data"]),
        str(document["data_digest"]),
        str(document["split"]),
        [
            {
                "wnid": str(c["wnid"]),
                "name": str(c["name"]),
                "devkit_id": None if c["devkit_id"] is None else int(c["devkit_id"]),
            }
            for c in document["classes"]
        ],
        tuple(int(views) for views in document["views"]),
        tuple(
            Net(
                str(n["source"]),
                float(n["weight"]),
                int(n["parameters"]),
                tuple(map(str, n["variants"])),
                str(n.get("recipe", "")),
            )
            for n in document["nets"]
        ),
    )


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        return read_array(member, info.file_size)


def _table(member: IO[bytes], dtype: np.dtype, shape: tuple[int, int]) -> np.ndarray:
    content = member.read(shape[0] * shape[1] * dtype.itemsize)
    table = np.frombuffer(content, dtype).reshape(shape).astype(np.float32)
    if not np.isfinite(table).all():
        raise ValueError("not numbers")
    return table


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(member)
    if version != (1, 0):
        raise ValueError("another version of .npy")
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    return shape, dtype


def _member(views: int) -> str:
    return f"probabilities_{views}.npy"


def _list(views: Iterable[int]) -> str:
    return ",".join(map(str, views))
