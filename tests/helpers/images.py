"""Made images and data sets for the tests, and MXNet's own reader as the other program."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from gluon_alexnet.recordio.dataset.manifest import ClassInfo, read_manifest
from gluon_alexnet.recordio.packing.pack import PackOptions, pack
from gluon_alexnet.recordio.sources.class_folders import class_folder

ODD = Path(__file__).parent.parent / "data" / "odd-images"


def photo(seed: int, height: int = 60, width: int = 80) -> np.ndarray:
    """A smooth image with some noise, uint8 (height, width, 3) RGB."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return np.clip(smooth + random.integers(-8, 9, smooth.shape), 0, 255).astype(np.uint8)


def file_bytes(image: np.ndarray, format: str, **options) -> bytes:
    """An image file in one of Pillow's formats."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format, **options)
    return buffer.getvalue()


def touch(folder: Path, *names: str) -> None:
    """Files below a folder that hold their own names, with the folders that they need."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def class_tree(folder: Path, classes=("ant", "bee", "cat"), images: int = 4, seed: int = 0) -> Path:
    """Write `images` JPEGs of varying shape for each class, and return the folder."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(images):
            key = seed + 1000 * label + number
            image = photo(key, 40 + key % 37, 50 + key % 41)
            (folder / name / f"{name}_{number}.JPEG").write_bytes(file_bytes(image, "JPEG"))
    return folder


def packed(folder: Path, images: int = 4, progress=None, **options) -> Path:
    """Pack made train and val trees below `folder`; returns the data set's folder."""
    train = class_folder(class_tree(folder / "train", images=images))
    val = class_folder(class_tree(folder / "val", images=2, seed=500), train.wnids)
    classes = [ClassInfo(wnid, wnid) for wnid in train.wnids]
    pack({"train": train.images, "val": val.images}, classes, folder / "data", PackOptions(**options), progress)
    return folder / "data"


def contents(folder: Path) -> dict[str, bytes]:
    """Name → bytes of the files in a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def mxnet():
    """MXNet, which the tests use as another reader of what is packed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing MXNet 1.9.1 calls what NumPy and Python have deprecated
        from gluon_alexnet.backend import mx
    return mx


def records_by_mxnet(folder: Path, split: str) -> list[tuple]:
    """(header, JPEG bytes) of each record of a split, read by MXNet's own indexed reader."""
    mx = mxnet()
    found = []
    for shard in read_manifest(folder).split(split).shards:
        records = mx.recordio.MXIndexedRecordIO(str(folder / shard.file(".idx")), str(folder / shard.name), "r")
        found += [mx.recordio.unpack(records.read_idx(key)) for key in records.keys]
        records.close()
    return found


def pixels_by_pillow(jpeg: bytes) -> np.ndarray:
    """uint8 (H, W, 3) RGB."""
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image)


def coloured_classes(folder, classes, counts):
    """Noise with a colour of its own for each class, PNGs in FOLDER/SPLIT/classN; counts: images per class by split."""
    made = np.random.default_rng(0)
    for split, count in counts.items():
        for label in range(classes):
            for index in range(count):
                image = made.integers(0, 128, (90, 110, 3), dtype=np.uint8)
                image[:, :, label % 3] += np.uint8(60 + 60 * (label // 3))
                file = folder / split / f"class{label}" / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(file), image)
    return folder
