"""Verifying: a whole data set passes, and every damage is found and named by shard, position and image."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import struct
import zlib

import numpy as np
import pytest
from helpers.images import packed
from helpers.runner import attempt

from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.reading.reader import Reader


@pytest.fixture(scope="module", params=["jpeg", "raw"])
def whole(request, tmp_path_factory):
    return packed(tmp_path_factory.mktemp("whole"), images=8, shards=2, encoding=request.param)


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "data")


def verify(folder):
    """(exit code, lines on stdout, stderr); a traceback fails the test."""
    code, out, err = attempt("verify", "--data", folder)
    return code, out.splitlines(), err


def places(folder, shard):
    """Begins of a shard's records and its end, from the index as text."""
    begins = [int(line.split("\t")[1]) for line in (folder / shard.file(".idx")).read_text().splitlines()]
    return [*begins, shard.bytes]


def key_of(folder, split, number):
    with Reader(folder, split) as reader:
        return reader.key(number)


def change(path, place, value):
    content = bytearray(path.read_bytes())
    content[place : place + len(value)] = value
    path.write_bytes(content)


def rewrite_manifest(folder, edit):
    document = json.loads((folder / "dataset.json").read_text())
    edit(document)
    (folder / "dataset.json").write_text(json.dumps(document))


def test_whole_data_set(folder):
    code, lines, _ = verify(folder)
    assert code == 0
    assert len(lines) == 1
    assert lines[0].startswith(f"{folder}: 30 images are what was packed; ")


def test_every_single_flipped_bit_names_its_record(folder, rng):
    shard = read_manifest(folder).split("train").shards[1]
    path = folder / shard.name
    content = path.read_bytes()
    begins = places(folder, shard)
    for place in rng.integers(0, len(content), 40):
        position = int(np.searchsorted(begins, place, side="right")) - 1
        key = key_of(folder, "train", read_manifest(folder).split("train").shards[0].images + position)
        change(path, place, bytes([content[place] ^ (1 << int(rng.integers(8)))]))
        code, lines, err = verify(folder)
        assert code == 1
        assert len(lines) == 1 and lines[0].startswith(f"{shard.name}: record {position} ({key}): "), lines
        assert "1 problems" in err
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [
        (0, b"junk", "does not begin with RecordIO's magic word"),
        (4, struct.pack("<I", 99), "takes 108 bytes instead of"),
        (12, struct.pack("<f", 3.0), "label 3 is not one of the 3 classes"),
        (12, struct.pack("<f", -1.0), "label -1 is not one of the 3 classes"),
        (12, struct.pack("<f", 0.5), "header is not one of a labelled image"),
        (16, struct.pack("<Q", 5), "it says that it is record 5 of shard 0"),
        (24, struct.pack("<Q", 1), "it says that it is record 2 of shard 1"),
    ],
)
def test_damage_of_a_record_says_what_it_is(folder, offset, value, reason):
    shard = read_manifest(folder).split("train").shards[0]
    change(folder / shard.name, places(folder, shard)[2] + offset, value)
    code, lines, _ = verify(folder)
    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"{shard.name}: record 2 ({key_of(folder, 'train', 2)}): ") and reason in lines[0]


def test_several_damaged_records_are_all_named(folder):
    shards = read_manifest(folder).split("train").shards
    for number, position in ((0, 1), (0, 7), (1, 4)):
        change(folder / shards[number].name, places(folder, shards[number])[position] + 200, b"\xff\xd8\0\0\0")
    code, lines, err = verify(folder)
    assert code == 1
    assert [line.split(" (")[0] for line in lines] == [
        f"{shards[0].name}: record 1",
        f"{shards[0].name}: record 7",
        f"{shards[1].name}: record 4",
    ]
    assert f"Error: {folder}: 3 problems; copy the named files again, or pack the data set again" in err


@pytest.mark.parametrize("suffix", [".rec", ".idx", ".keys"])
@pytest.mark.parametrize("how", ["missing", "cut", "grown", "empty", "folder"])
def test_damaged_files(folder, suffix, how):
    name = read_manifest(folder).split("val").shards[0].file(suffix)
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "missing":
        path.write_bytes({"cut": content[:-7], "grown": content + b"0\t0\n", "empty": b""}[how])
    code, lines, _ = verify(folder)
    assert code == 1
    assert lines and any(line.startswith(name + ":") for line in lines)
    assert all(line.startswith(name.rpartition(".")[0]) for line in lines)


def test_statistics_of_other_images(folder, tmp_path):
    """Replaced with their digest in the manifest: only computing them again tells."""
    other = packed(tmp_path / "other", images=7, seed=3)
    content = (other / "statistics.npz").read_bytes()
    (folder / "statistics.npz").write_bytes(content)
    rewrite_manifest(folder, lambda d: d.update(statistics_sha256=hashlib.sha256(content).hexdigest()))
    code, lines, _ = verify(folder)
    assert code == 1
    assert "statistics.npz: mean_image is not that of the training images" in lines
    assert "statistics.npz: images is not that of the training images" in lines


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_damaged_statistics(folder, damage):
    path = folder / "statistics.npz"
    content = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(content[:1000])
    code, lines, _ = verify(folder)
    assert code == 1
    assert len(lines) == 1 and lines[0].startswith("statistics.npz: ")


def test_wrong_counts_of_the_classes(folder):
    def swap(document):
        document["splits"][0]["class_counts"] = [9, 7, 8]

    rewrite_manifest(folder, swap)
    code, lines, _ = verify(folder)
    assert code == 1
    assert lines == ["train: 8 images of class ant instead of 9", "train: 8 images of class bee instead of 7"]


def test_rejected_list_with_a_line_missing(folder):
    rewrite_manifest(folder, lambda d: d["splits"][1].update(rejected=2))
    assert verify(folder)[:2] == (1, ["rejected.tsv: 0 images of val instead of 2"])
    (folder / "rejected.tsv").unlink()
    assert verify(folder)[1] == ["rejected.tsv: No such file or directory"]


def test_exchanged_records_are_noticed(tmp_path):
    """Both whole and readable, of the same length, in each other's place."""
    folder = packed(tmp_path, encoding="raw")
    shard = read_manifest(folder).split("val").shards[0]
    begins, content = places(folder, shard), (folder / shard.name).read_bytes()
    first, second = content[begins[0] : begins[1]], content[begins[1] : begins[2]]
    assert len(first) == len(second)
    change(folder / shard.name, 0, second + first)
    code, lines, _ = verify(folder)
    assert code == 1
    assert len(lines) == 2
    assert "it says that it is record 1 of shard 0" in lines[0] and "record 0 of shard 0" in lines[1]


def test_checksums_are_those_of_the_records(folder):
    """The second column of the names, computed here from the file and the index as text."""
    for split in read_manifest(folder).splits:
        for shard in split.shards:
            content, begins = (folder / shard.name).read_bytes(), places(folder, shard)
            lines = (folder / shard.file(".keys")).read_text().splitlines()
            assert [int(line.split("\t")[1], 16) for line in lines] == [
                zlib.crc32(content[begin:end]) for begin, end in itertools.pairwise(begins)
            ]


def test_no_data_set(tmp_path):
    code, lines, err = verify(tmp_path)
    assert (code, lines) == (2, [])
    assert "no data set here; name another folder, or pack one" in err


def test_workers_change_nothing(folder):
    change(folder / read_manifest(folder).split("train").shards[0].name, 300, b"\0" * 9)
    results = [attempt("verify", "--data", folder, "--workers", workers)[1] for workers in (1, 4)]
    assert results[0] == results[1] != ""
