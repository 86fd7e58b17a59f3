"""The data set folder: the names of its files, its numbers, and `dataset.json`, which describes it (paper Sec. 2)."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Union

from gluon_alexnet import safe_json
from gluon_alexnet.atomic_files import write_bytes
from gluon_alexnet.errors import InvalidRequest, MissingDataset, OperationFailed
from gluon_alexnet.safe_files import read_bytes

SCHEMA_VERSION = 1

SIZE = 256  # pixels, both sides of a packed image (Sec. 2)
ENCODINGS = ("jpeg", "raw")  # raw: the 256x256x3 bytes of RGB
JPEG_QUALITY = 95
FILTERS = {"down": "area", "up": "cubic"}
SMALL = ("scale", "centre")  # what becomes of images whose shorter side is below 256 pixels
# What they are put in the centre of: the mean colour of ILSVRC-2012's training images, from cuda-convnet2's statistics.
# The data set's own is known only when all is packed.
MEAN_COLOUR = (127, 120, 105)  # RGB
IMAGES_PER_SHARD = 2**15  # about 1 GB of JPEG; 15 million images stay below the usual 1,024 open files

SPLITS = ("train", "val", "test")
MANIFEST = "dataset.json"
STATISTICS = "statistics.npz"
REJECTED = "rejected.tsv"
UNLABELLED = -1  # label of an image that has none, as in the test split of ILSVRC-2012

PathLike = Union[str, "os.PathLike[str]"]


class SourceError(InvalidRequest):
    """What the user named cannot be packed or used as asked (exit code 2)."""


class DatasetError(OperationFailed):
    """A data set's files are missing, damaged, foreign or of a newer version, or packing failed (exit code 1)."""


def shard_stem(split: str, shard: int, shards: int) -> str:
    """`train-00000-of-00008`: the shard's `.rec` (records), `.idx` (MXNet's index) and `.keys` (image names)."""
    return f"{split}-{shard:05d}-of-{shards:05d}"


def filters(small: str) -> dict[str, str]:
    """How images were brought to 256 pixels, as the manifest keeps it; small: one of ``SMALL``."""
    if small not in SMALL:
        raise SourceError(f"small images are treated by {' or '.join(SMALL)}, not by {small!r}")
    return FILTERS if small == "scale" else {**FILTERS, "up": f"none, centre of {','.join(map(str, MEAN_COLOUR))}"}


@dataclass(frozen=True)
class ClassInfo:
    """One class; its label is its place in `Manifest.classes`."""

    wnid: str  # the class folder's name, in ImageNet a WordNet id such as n02119789
    name: str  # readable name, or the wnid where none is known
    devkit_id: int | None = None  # the ILSVRC development kit's own number, which counts from 1 in another order


@dataclass(frozen=True)
class Shard:
    """One shard: `name` is the `.rec` file; `.idx` and `.keys` lie beside it."""

    name: str
    images: int
    bytes: int  # size of the .rec file
    sha256: str
    index_sha256: str
    keys_sha256: str

    def file(self, suffix: str) -> str:
        """File name with another suffix: `.rec`, `.idx` or `.keys`."""
        return self.name[: -len(".rec")] + suffix


@dataclass(frozen=True)
class Split:
    """One split: its shards in order, images of each class in label order, and how many images were rejected."""

    name: str
    shards: tuple[Shard, ...]
    class_counts: tuple[int, ...]
    rejected: int
    unlabelled: int = 0  # images whose label is -1: ILSVRC-2012 publishes none for its test images
    also_in_train: int | None = None  # images that train holds, too; None: not counted, as by older programs

    @property
    def images(self) -> int:
        return sum(shard.images for shard in self.shards)


@dataclass(frozen=True)
class Manifest:
    """All that `dataset.json` says."""

    classes: tuple[ClassInfo, ...]
    splits: tuple[Split, ...]
    seed: int
    statistics_sha256: str
    plan_sha256: str = ""  # of the plan it was packed by; the same for the same sources and options
    schema_version: int = SCHEMA_VERSION
    size: int = SIZE
    encoding: str = ENCODINGS[0]
    jpeg_quality: int = JPEG_QUALITY
    filters: dict[str, str] = field(default_factory=lambda: dict(FILTERS))

    def split(self, name: str) -> Split:
        """The split of that name; :class:`SourceError` names the splits that exist."""
        for split in self.splits:
            if split.name == name:
                return split
        raise SourceError(f"the data set has no split {name!r}; it has {', '.join(s.name for s in self.splits)}")

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the content in canonical JSON; through the shards' digests it covers every record."""
        document = asdict(self)
        for split in document["splits"]:
            del split["also_in_train"]  # it follows from the records, and older programs did not count it
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    def files(self) -> list[str]:
        """Names of every file of the data set."""
        shards = [s.file(suffix) for split in self.splits for s in split.shards for suffix in (".rec", ".idx", ".keys")]
        return [*shards, STATISTICS, REJECTED, MANIFEST]


def write_manifest(folder: PathLike, manifest: Manifest) -> None:
    """Write `dataset.json` beside its place, flush it to the disk and rename it."""
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=True) + "\n"
    write_bytes(Path(folder) / MANIFEST, text.encode("ascii"))


def read_manifest(folder: PathLike) -> Manifest:
    """Read and check `dataset.json`.

    Raises :class:`gluon_alexnet.errors.MissingDataset` when it is missing, :class:`SourceError` for one part of a data
    set, :class:`DatasetError` when it is cut, of another program or of a newer version.
    """
    path = Path(folder) / MANIFEST
    try:
        document = safe_json.parse(read_bytes(path).decode("utf-8"))
    except FileNotFoundError as error:
        if path.with_name("part.json").exists():
            raise SourceError(f"{folder}: one part of a data set; merge all parts into one first") from error
        raise MissingDataset(f"{path}: no data set here; name another folder, or pack one", str(folder)) from error
    except NotADirectoryError as error:
        raise MissingDataset(
            f"{folder}: a file, so there is no data set here; name another folder, or pack one", str(folder)
        ) from error
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path}: not readable as JSON, perhaps cut; pack the data set again") from error
    if not isinstance(document, dict) or not isinstance(document.get("schema_version"), int):
        raise DatasetError(f"{path}: not written by alexnet-tools pack; name another folder")
    version = document["schema_version"]
    if version > SCHEMA_VERSION:
        raise DatasetError(
            f"{path}: schema version {version}, and this program knows up to {SCHEMA_VERSION}: "
            "the program is older than the data set; update gluon-alexnet"
        )
    try:
        manifest = _manifest(document)
        _check(manifest)
    except ValueError as error:
        raise DatasetError(f"{path}: {error}; the file is damaged, pack the data set again") from error
    return manifest


def _manifest(document: dict[str, Any]) -> Manifest:
    return Manifest(
        classes=tuple(
            ClassInfo(
                wnid=_get(item, "wnid", str),
                name=_get(item, "name", str),
                devkit_id=None if item.get("devkit_id") is None else _get(item, "devkit_id", int),
            )
            for item in _objects(document, "classes")
        ),
        splits=tuple(
            Split(
                name=_get(item, "name", str),
                shards=tuple(
                    Shard(
                        name=_get(shard, "name", str),
                        images=_get(shard, "images", int),
                        bytes=_get(shard, "bytes", int),
                        sha256=_get(shard, "sha256", str),
                        index_sha256=_get(shard, "index_sha256", str),
                        keys_sha256=_get(shard, "keys_sha256", str),
                    )
                    for shard in _objects(item, "shards")
                ),
                class_counts=_counts(item, "class_counts"),
                rejected=_get(item, "rejected", int),
                unlabelled=_get(item, "unlabelled", int) if "unlabelled" in item else 0,
                also_in_train=(None if item.get("also_in_train") is None else _get(item, "also_in_train", int)),
            )
            for item in _objects(document, "splits")
        ),
        seed=_get(document, "seed", int),
        statistics_sha256=_get(document, "statistics_sha256", str),
        plan_sha256=_get(document, "plan_sha256", str) if "plan_sha256" in document else "",
        schema_version=_get(document, "schema_version", int),
        size=_get(document, "size", int),
        encoding=_get(document, "encoding", str),
        jpeg_quality=_get(document, "jpeg_quality", int),
        filters=_filters(document),
    )


def _check(manifest: Manifest) -> None:
    if manifest.schema_version < 1:
        raise ValueError(f"schema version {manifest.schema_version}")
    if manifest.size != SIZE:
        raise ValueError(f"images of {manifest.size} pixels instead of {SIZE}")
    if manifest.encoding not in ENCODINGS:
        raise ValueError(f"encoding {manifest.encoding!r} instead of {' or '.join(ENCODINGS)}")
    if not manifest.classes or not manifest.splits:
        raise ValueError("no classes or no splits")
    for split in manifest.splits:
        if split.name not in SPLITS:
            raise ValueError(f"split {split.name!r}")
        _check_shards(split)
        labelled = split.images - split.unlabelled
        if len(split.class_counts) != len(manifest.classes) or sum(split.class_counts) != labelled:
            raise ValueError(f"the counts of the classes of {split.name} do not agree with its shards")


def _check_shards(split: Split) -> None:
    for number, shard in enumerate(split.shards):
        # A name from the file is opened later: only ours may lead anywhere.
        if shard.name != shard_stem(split.name, number, len(split.shards)) + ".rec":
            raise ValueError(f"shard {number} of {split.name} is named {shard.name!r}")
        if shard.images < 0 or shard.bytes < 0:
            raise ValueError(f"negative counts in shard {shard.name}")


def _get(item: dict[str, Any], name: str, kind: type) -> Any:
    if name not in item:
        raise ValueError(f"{name} is missing")
    value = item[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} is {type(value).__name__}, expected {kind.__name__}")
    return value


def _objects(item: dict[str, Any], name: str) -> list[dict[str, Any]]:
    values = _get(item, name, list)
    if not all(isinstance(value, dict) for value in values):
        raise ValueError(f"{name} holds something else than objects")
    return values


def _counts(item: dict[str, Any], name: str) -> tuple[int, ...]:
    values = _get(item, name, list)
    if not all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in values):
        raise ValueError(f"{name} holds something else than counts")
    return tuple(values)


def _filters(document: dict[str, Any]) -> dict[str, str]:
    filters = _get(document, "filters", dict)
    return {direction: _get(filters, direction, str) for direction in FILTERS}
