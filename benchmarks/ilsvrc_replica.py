"""An ILSVRC-2012 of the official size and layout whose images say in their pixels which they are; and how to read that.

An image is a 7×7 board of black and white fields of 8×8 pixels, so that every field is a DCT block and survives JPEG,
resizing and JPEG again: 1 bit for the split, 21 for the place in its class (or in the validation set), 15 for the
class, and 12 that check these.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

FIELDS, FIELD = 7, 8  # fields a side, pixels a side of one
BITS = {"split": 1, "place": 21, "class": 15, "check": 12}
MAGIC = 0xCED7230A  # of a RecordIO record
KIT = "ILSVRC2012_devkit_t12"


class Identity(NamedTuple):
    """Which image of ILSVRC-2012 it is."""

    split: int  # 0 train, 1 val
    class_id: int  # the development kit's number, 1 to 1000
    place: int  # in its class, or in the validation set: the number in its file name


def check(split: int, class_id: int, place: int) -> int:
    """12 bits that show whether the others were read rightly."""
    return zlib.crc32(struct.pack("<III", split, class_id, place)) & 0xFFF


def draw(identity: Identity) -> bytes:
    """The image of an identity, as JPEG."""
    split, class_id, place = identity
    value = split | place << 1 | class_id << 22 | check(*identity) << 37
    bits = np.array([value >> bit & 1 for bit in range(FIELDS * FIELDS)], np.uint8).reshape(FIELDS, FIELDS)
    return cv2.imencode(".jpg", np.kron(bits * 191 + 32, np.ones((FIELD, FIELD), np.uint8)))[1].tobytes()


def read(jpeg: bytes) -> Identity | None:
    """The identity in an image of the board, of any size; None where it cannot be read."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_4)
    if image is None:
        return None
    centres = ((np.arange(FIELDS) + 0.5) * image.shape[0] / FIELDS).astype(int)
    bits = (image[np.ix_(centres, centres)] > 127).ravel()
    value = sum(1 << bit for bit in np.flatnonzero(bits).tolist())
    found = Identity(value & 1, value >> 22 & 0x7FFF, value >> 1 & 0x1FFFFF)
    return found if value >> 37 == check(*found) else None


class Kit(NamedTuple):
    """What the development kit says of the thousand classes and the validation images."""

    wnids: dict[int, str]  # by the kit's number
    train_images: dict[int, int]
    val_ids: list[int]  # of each validation image, in order


def kit(folder: Path) -> Kit:
    """The official development kit in a folder: data/meta.mat and the ground truth."""
    import scipy.io

    synsets = scipy.io.loadmat(folder / "data" / "meta.mat", squeeze_me=True)["synsets"]
    low = [synset for synset in synsets if int(synset["ILSVRC2012_ID"]) <= 1000]
    truth = (folder / "data" / "ILSVRC2012_validation_ground_truth.txt").read_text().split()
    return Kit(
        {int(one["ILSVRC2012_ID"]): str(one["WNID"]) for one in low},
        {int(one["ILSVRC2012_ID"]): int(one["num_train_images"]) for one in low},
        [int(number) for number in truth],
    )


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def make(devkit: Path, folder: Path, share: int = 1) -> dict[str, int]:
    """Write the three official files into a folder, one ``share``-th of the images of each class; images by split."""
    folder.mkdir(parents=True)
    with tarfile.open(folder / f"{KIT}.tar.gz", "w:gz") as tar:
        tar.add(devkit, KIT)
    official = kit(devkit)
    images = {"train": 0, "val": 0}
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for class_id, wnid in official.wnids.items():
            inside = io.BytesIO()
            with tarfile.open(fileobj=inside, mode="w") as inner:
                count = -(-official.train_images[class_id] // share)
                for place in range(1, count + 1):
                    _add(inner, f"{wnid}_{place}.JPEG", draw(Identity(0, class_id, place)))
            images["train"] += count
            _add(outer, f"{wnid}.tar", inside.getvalue())
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as tar:
        for place, class_id in enumerate(official.val_ids, 1):
            if place % share == 0:
                _add(tar, f"ILSVRC2012_val_{place:08}.JPEG", draw(Identity(1, class_id, place)))
                images["val"] += 1
    return images


def records(shard: Path) -> Iterator[tuple[int, bytes]]:
    """(label, JPEG) of each record of a RecordIO file, read by its published layout and nothing of ours."""
    with open(shard, "rb") as stream:
        while header := stream.read(8):
            magic, length = struct.unpack("<II", header)
            if magic != MAGIC or length >> 29:
                raise ValueError(f"{shard}: no whole record before byte {stream.tell()}")
            body = stream.read(length)
            stream.read(-length % 4)
            flag, label = struct.unpack("<If", body[:8])
            if flag:
                raise ValueError(f"{shard}: {flag} labels where one is expected")
            yield int(label), body[24:]


def audit(shard: Path, labels: dict[int, int], split: int) -> tuple[list[tuple[int, int]], int, int]:
    """What a shard holds: (class, place) of each image, how many are unreadable, how many have a wrong label.

    labels: the right label of each of the kit's classes.
    """
    found, unreadable, wrong = [], 0, 0
    for label, jpeg in records(shard):
        identity = read(jpeg)
        if identity is None or identity.split != split:
            unreadable += 1
            continue
        wrong += labels[identity.class_id] != label
        found.append((identity.class_id, identity.place))
    return found, unreadable, wrong
