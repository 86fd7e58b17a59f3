"""Damaged records and files: named by place and key, and a reason to stop or, if asked, left out and counted."""

from __future__ import annotations

import gc
import hashlib
import os
import resource
import shutil
import threading
import zlib

import cv2
import numpy as np
import pytest
from helpers.images import packed

from gluon_alexnet.recordio.dataset.keys import read_checksums
from gluon_alexnet.recordio.dataset.manifest import DatasetError, read_manifest
from gluon_alexnet.recordio.reading.reader import Reader, epoch_order


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("damage"), images=8, shards=3)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def reader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("reader")]


# Each spoils the fourth record of the second shard; `record` is its bytes, and its length stays.
def _no_magic(record):
    return bytes(4) + record[4:]


def _longer(record):
    return record[:4] + (int.from_bytes(record[4:8], "little") + 400).to_bytes(4, "little") + record[8:]


def _other_label(record):
    return record[:12] + np.float32(3).tobytes() + record[16:]


def _other_id(record):
    return record[:16] + (2).to_bytes(8, "little") + record[24:]


def _no_jpeg(record):
    return record[:32] + bytes(200) + record[232:]


def _cut_jpeg(record):
    return record[:-200] + bytes(200)


def spoil_record(folder, shard, position, spoil):
    path = folder / shard.name
    lines = (folder / shard.file(".idx")).read_text().splitlines()
    begin, end = (int(line.split()[1]) for line in lines[position : position + 2])
    content = path.read_bytes()
    path.write_bytes(content[:begin] + spoil(content[begin:end]) + content[end:])


def _other_size(record):
    begin = record.index(b"\xff\xc0")
    return record[: begin + 5] + (248).to_bytes(2, "big") + record[begin + 7 :]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_no_magic, "the record does not begin with RecordIO's magic word"),
        (_longer, r"the record says \d+ bytes, and \d+ are there"),
        (_other_label, "label 3 is beyond the 3 classes"),
        (_other_id, "the record is number 2 of shard 1"),
        (_no_jpeg, "its checksum differs"),
        (_cut_jpeg, "its checksum differs"),
    ],
)
def test_damaged_record_is_named(copy, spoil, reason):
    shard = read_manifest(copy).split("train").shards[1]
    spoil_record(copy, shard, 3, spoil)
    with Reader(copy, "train", threads=2) as reader:
        place = reader.split.shards[0].images + 3
        key = reader.key(place)
        with pytest.raises(
            DatasetError, match=rf"{shard.name}: record 3 \({key}\): {reason}.*; pack the data set again"
        ):
            list(reader.batches(4))
        assert not reader_threads()
        others = [number for number in range(len(reader)) if number != place]
        assert sum(len(batch.ids) for batch in reader.batches(4, np.array(others))) == 23


def test_damaged_records_are_skipped_counted_and_named(copy):
    shards = read_manifest(copy).split("train").shards
    spoil_record(copy, shards[0], 2, _no_magic)
    spoil_record(copy, shards[2], 5, _cut_jpeg)
    with Reader(copy, "train", threads=2, on_damaged="skip") as reader:
        lost = [2, shards[0].images + shards[1].images + 5]
        order = epoch_order(24, 1, 0)
        whole = list(reader.batches(7, order))
        assert [len(batch.ids) for batch in whole] == [
            7 - sum(number in lost for number in part) for part in np.split(order, [7, 14, 21])[:3]
        ] + [3 - sum(number in lost for number in order[21:])]
        assert np.concatenate([batch.ids for batch in whole]).tolist() == [n for n in order if n not in lost]
        assert sorted(reader.damaged) == lost
        for number, (shard, position) in zip(lost, [(0, 2), (2, 5)]):
            assert f"{shards[shard].name}: record {position} ({reader.key(number)}): " in reader.damaged[number]
        for batch in whole:
            assert (batch.images == [reader.read(number)[0] for number in batch.ids]).all()
            assert batch.labels.tolist() == [reader.read(number)[1] for number in batch.ids]
        assert [len(batch.ids) for batch in reader.batches(1, np.array([0, 2, 3]))] == [1, 0, 1]


def test_index_changed_after_it_was_opened(copy):
    with Reader(copy, "train", on_damaged="skip") as reader:  # all of a shard is more than a damaged record
        shard = reader.split.shards[1]
        (copy / shard.file(".idx")).write_text("0\t0\n")
        with pytest.raises(DatasetError, match=rf"{shard.file('.idx')}: not the file that was packed"):
            list(reader.batches(4))


def test_shard_cut_while_it_is_read(copy):
    with Reader(copy, "train") as reader:
        os.truncate(copy / reader.split.shards[2].name, 1000)
        with pytest.raises(DatasetError, match=r"train-00002-of-00003.rec: record \d .*; pack the data set again"):
            list(reader.batches(4))


@pytest.mark.parametrize("suffix", [".rec", ".idx"])
@pytest.mark.parametrize(
    "spoil", [lambda content: content[:-1], lambda content: b"", lambda content: content + b"7\t8\n"]
)
def test_cut_or_foreign_file_is_noticed_when_opened(copy, suffix, spoil):
    path = copy / f"train-00001-of-00003{suffix}"
    path.write_bytes(spoil(path.read_bytes()))
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(DatasetError, match=rf"{path.name}: .*cut or foreign.*pack the data set again"):
        Reader(copy, "train")
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) <= before
    with Reader(copy, "val") as reader:
        assert len(reader) == 6


@pytest.mark.parametrize("suffix", [".rec", ".idx"])
def test_missing_file_is_noticed_when_opened(copy, suffix):
    (copy / f"train-00001-of-00003{suffix}").unlink()
    with pytest.raises(DatasetError, match=f"train-00001-of-00003{suffix}: No such file.*copy it again"):
        Reader(copy, "train")


def test_more_shards_than_files_may_be_open(copy):
    fewest, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.open(os.devnull, os.O_RDONLY)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe + 2, most))
    try:
        with pytest.raises(DatasetError, match=r"allow more \(`ulimit -n`\) or pack into fewer shards$"):
            Reader(copy, "train")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (fewest, most))
    Reader(copy, "train").close()


def test_index_of_another_data_set(copy, tmp_path):
    other = packed(tmp_path / "other", images=8, shards=3, seed=9)
    shutil.copy(other / "train-00001-of-00003.idx", copy)
    with pytest.raises(DatasetError, match=r"train-00001-of-00003\.idx: not the file that was packed"):
        Reader(copy, "train")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_no_jpeg, "the image cannot be decoded"),
        (_cut_jpeg, "the image cannot be decoded"),
        (_other_size, "the image has 256x248 pixels instead of 256x256"),
    ],
)
def test_record_that_was_packed_like_that(copy, spoil, reason):
    """Its checksum is right, and it still is no image of ours."""
    shard = read_manifest(copy).split("train").shards[1]
    spoil_record(copy, shard, 3, spoil)
    agree(copy, shard)
    with Reader(copy, "train") as reader, pytest.raises(DatasetError, match=f"record 3 .*: {reason}"):
        list(reader.batches(4))


def agree(folder, shard):
    """Write a shard's checksums, as Python's own zlib computes them, and the digest of their file anew."""
    content, keys = (folder / shard.name).read_bytes(), folder / shard.file(".keys")
    begins = [int(line.split()[1]) for line in (folder / shard.file(".idx")).read_text().splitlines()]
    names = [line.split("\t")[0] for line in keys.read_text().splitlines()]
    records = [content[begin:end] for begin, end in zip(begins, [*begins[1:], len(content)])]
    keys.write_text("".join(f"{name}\t{zlib.crc32(record):08x}\n" for name, record in zip(names, records)))
    manifest = folder / "dataset.json"
    digest = hashlib.sha256(keys.read_bytes()).hexdigest()
    manifest.write_text(manifest.read_text().replace(shard.keys_sha256, digest))


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_one_flipped_bit_of_a_pixel_is_noticed(tmp_path, encoding):
    """Most such JPEGs decode, to another image: only the record's own checksum tells."""
    folder = packed(tmp_path, images=8, shards=1, encoding=encoding)
    (shard,) = read_manifest(folder).split("train").shards
    lines = (folder / shard.file(".idx")).read_text().splitlines()
    begins = [*(int(line.split()[1]) for line in lines), shard.bytes]
    content, random = (folder / shard.name).read_bytes(), np.random.default_rng(5)
    decoded = 0
    for number in random.choice(len(lines), 5, replace=False).tolist():
        begin, end = begins[number], begins[number + 1]
        flipped = bytearray(content)
        flipped[int(random.integers((begin + end) // 2, end - 4))] ^= 1 << int(random.integers(8))
        image = bytes(flipped[begin + 32 : end])
        decoded += encoding == "raw" or cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) is not None
        (folder / shard.name).write_bytes(flipped)
        sentence = rf"record {number} \(.*\): its checksum differs"
        with Reader(folder, "train") as reader, pytest.raises(DatasetError, match=sentence):
            list(reader.batches(4))
        with Reader(folder, "train", on_damaged="skip") as reader:
            assert sum(len(batch.ids) for batch in reader.batches(4)) == 23 and list(reader.damaged) == [number]
    assert decoded == 5


def test_checksums_that_are_no_numbers():
    assert read_checksums(b"a\t0000000f\nb b\tffffffff\n").tolist() == [15, 2**32 - 1]
    assert read_checksums(b"").tolist() == []
    for content in (b"a\t0000000g\n", b"00f\n", b"a\t0000000f", b"\n\n"):
        with pytest.raises(ValueError, match="checksum"):
            read_checksums(content)


def test_without_the_checksums_nothing_is_read(copy):
    shard = read_manifest(copy).split("train").shards[0]
    (copy / shard.file(".keys")).write_bytes(b"one\n")
    with Reader(copy, "train", on_damaged="skip") as reader:
        with pytest.raises(DatasetError, match=r"\.keys: not the file that was packed.*copy it again"):
            list(reader.batches(4))
        with pytest.raises(DatasetError, match=r"\.keys: not the file that was packed"):
            reader.key(0)
