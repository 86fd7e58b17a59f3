"""Thousands of damaged images, tars and records: each is used or refused with a reason, without a traceback."""

from __future__ import annotations

import io
import shutil
import tarfile
import time

import numpy as np
import pytest
from helpers.challenge import make_challenge, tar_bytes
from helpers.images import ODD, file_bytes, packed, photo
from helpers.runner import attempt, run

from gluon_alexnet.recordio.dataset.framing import RecordError, frame, pack_image, unframe, unpack_image
from gluon_alexnet.recordio.dataset.images import ImageError, decode, packed_pixels, shorter_side_256
from gluon_alexnet.recordio.dataset.manifest import DatasetError, SourceError, read_manifest
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.recordio.reading.verify import verify
from gluon_alexnet.recordio.sources.class_folders import class_folder
from gluon_alexnet.recordio.sources.tar_index import members

SECONDS = 5  # for one damaged file, on a busy machine


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """`content` with bytes changed, cut out, doubled, zeroed or cut off."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        place = int(random.integers(0, max(1, len(data))))
        length = int(random.integers(1, 40))
        kind = int(random.integers(6))
        if kind <= 1:
            for spot in random.integers(0, max(1, len(data)), length):
                if data:
                    data[spot] = int(random.integers(256))
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = data[place : place + length]
        elif kind == 4:
            data[place : place + length] = bytes(len(data[place : place + length]))
        else:
            del data[place:]
    return bytes(data)


def header_damaged(content: bytes, random: np.random.Generator) -> bytes:
    """One to four bytes among the first 700 changed: where sizes and tables are."""
    data = bytearray(content)
    for place in random.integers(2, min(700, len(data)), int(random.integers(1, 5))):
        data[place] = int(random.integers(256))
    return bytes(data)


IMAGES = {
    "JPEG": file_bytes(photo(1, 60, 70), "JPEG"),
    "progressive": file_bytes(photo(2, 60, 70), "JPEG", progressive=True),
    "PNG": file_bytes(photo(3, 60, 70), "PNG"),
    "EXIF": (ODD / "hopper_orientation_6.jpg").read_bytes(),
}


@pytest.mark.parametrize("name", IMAGES)
def test_damaged_images(name, rng):
    refused = 0
    for number in range(250):
        data = (header_damaged if number % 2 else damaged)(IMAGES[name], rng)
        began = time.monotonic()
        try:
            image = decode(data)
        except ImageError as error:
            refused += 1
            assert "\n" not in str(error) and str(error)
        else:
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
            assert shorter_side_256(image).shape == (256, 256, 3)
        assert time.monotonic() - began < SECONDS, data[:50]
    assert refused > 20
    assert refused < 250 or name == "PNG"  # whose every chunk has a checksum


def test_packing_damaged_images_loses_none_from_the_count(tmp_path, rng):
    for split, count in (("train", 150), ("val", 30)):
        (tmp_path / split / "ant").mkdir(parents=True)
        (tmp_path / split / "ant" / "whole.jpg").write_bytes(IMAGES["JPEG"])
        for number in range(count):
            path = tmp_path / split / "ant" / f"{number}.jpg"
            path.write_bytes(damaged(IMAGES[("JPEG", "progressive", "PNG")[number % 3]], rng))
    run("pack", "--train", tmp_path / "train", "--val", tmp_path / "val", "--data", tmp_path / "out")
    splits = read_manifest(tmp_path / "out").splits
    assert [split.images + split.rejected for split in splits] == [151, 31]
    assert splits[0].rejected > 20
    assert len((tmp_path / "out" / "rejected.tsv").read_text().splitlines()) == 1 + sum(s.rejected for s in splits)
    assert verify(tmp_path / "out") == []


# Tars


def some_tar(format):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for number in range(6):
            entry = tarfile.TarInfo(("long/" * 30 if number == 2 else "") + f"n00000001_{number}.JPEG")
            entry.size = 300 * number
            tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    return buffer.getvalue()


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_damaged_tars(tmp_path, format, rng):
    whole = some_tar(format)
    path = tmp_path / "n00000001.tar"
    refused = 0
    for number in range(300):
        data = bytearray(damaged(whole, rng))
        if number % 2:  # damage within the headers, which lie on blocks of 512
            data = bytearray(whole)
            for _ in range(2):
                data[int(rng.integers(len(whole) // 512)) * 512 + int(rng.integers(512))] = int(rng.integers(256))
        path.write_bytes(data)
        try:
            found = list(members(path))
        except SourceError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
        else:
            assert all(member.size >= 0 and member.offset + member.size <= len(data) for member in found)
            assert len(found) <= len(whole) // 512
    assert 50 < refused < 300


def test_damaged_tars_of_tars(tmp_path, rng):
    whole = tar_bytes({f"n0000000{c}.tar": tar_bytes({f"{i}.JPEG": b"x" * 99 for i in range(3)}) for c in range(3)})
    path = tmp_path / "all.tar"
    refused = 0
    for _ in range(200):
        path.write_bytes(damaged(whole, rng))
        try:
            images = class_folder(path).images
        except SourceError:
            refused += 1
        else:
            assert all(len(source.read()) == source.size for source in images)
    assert 20 < refused < 200


def test_damaged_downloads_end_with_a_sentence(tmp_path, rng):
    made = make_challenge(tmp_path / "downloads", 2010)
    arguments = ["pack", "--ilsvrc", "2010", "--source", str(made.folder), "--data", str(tmp_path / "out")]
    codes = []
    for path in sorted(made.folder.iterdir()):
        whole = path.read_bytes()
        for _ in range(6):
            path.write_bytes(damaged(whole, rng))
            code, _, err = attempt(*arguments, "--overwrite")
            codes.append(code)
            assert code == 0 or err.splitlines()[-1].startswith("Error: ")
        path.write_bytes(whole)
    assert set(codes) <= {0, 1, 2} and codes.count(2) > 10


# Records


def test_damaged_records(rng):
    record = frame(pack_image(2, 5, 1, file_bytes(photo(7, 256, 256), "JPEG")))
    refused = 0
    for number in range(400):
        data = (header_damaged if number % 2 else damaged)(record, rng)
        try:
            packed_pixels(unpack_image(unframe(data))[3], "jpeg")
        except (RecordError, ImageError) as error:
            refused += 1
            assert str(error) and "\n" not in str(error)
    assert refused > 100


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_damaged_shards_are_read_with_names_and_verified(tmp_path, encoding, rng):
    folder = packed(tmp_path, images=4, encoding=encoding)
    shard = read_manifest(folder).split("train").shards[0]
    whole = (folder / shard.name).read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), int(rng.integers(1, 30))):
            data[place] = int(rng.integers(256))
        (folder / shard.name).write_bytes(data)
        problems = verify(folder, workers=2)
        assert problems or bytes(data) == whole
        assert all(problem.file == shard.name and problem.position is not None for problem in problems)
        with Reader(folder, "train", threads=1) as reader:
            for number in range(len(reader)):
                try:
                    reader.read(number)
                except DatasetError as error:
                    assert f"record {number} (" in str(error)
                    assert number in [problem.position for problem in problems]


def test_damaged_files_beside_the_shards(tmp_path, rng):
    folder = packed(tmp_path)
    for name in ("dataset.json", "statistics.npz", "rejected.tsv"):
        whole = (folder / name).read_bytes()
        for _ in range(40):
            (folder / name).write_bytes(damaged(whole, rng))
            attempt("verify", "--data", folder)
        (folder / name).write_bytes(whole)
    shutil.rmtree(folder)
