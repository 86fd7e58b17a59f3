"""Records and batches: framing against MXNet's own, every picture once, damage named by place and key."""

from __future__ import annotations

import gc
import os
import shutil
import threading

import numpy as np
import pytest
from pictures import mxnet, packed, pixels_by_pillow, records_by_mxnet

from gluon_alexnet.recordio.dataset import DatasetError, read_manifest
from gluon_alexnet.recordio.reader import Reader, epoch_order
from gluon_alexnet.recordio.records import MAGIC, RecordError, frame, pack_image, unframe, unpack_image
from gluon_alexnet.recordio.shards import escape, unescape

# Payloads with the magic word at the begin, in the middle, twice in a row, at the end, and off the multiples of four.
PAYLOADS = [
    b"",
    b"a",
    b"abcd",
    b"abcdefg",
    MAGIC,
    MAGIC + b"abc",
    b"abcd" + MAGIC,
    b"abcd" + MAGIC + MAGIC + b"x",
    b"ab" + MAGIC + b"cd" + MAGIC,
    b"a" + MAGIC * 3,
    MAGIC * 4 + b"yz",
    b"abcd" + MAGIC[:3],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("reader"), images=8, shards=3)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_framing_is_mxnets_both_ways(tmp_path):
    theirs = tmp_path / "theirs.rec"
    writer = mxnet().recordio.MXRecordIO(str(theirs), "w")
    for payload in PAYLOADS:
        writer.write(payload)
    writer.close()
    ours = b"".join(map(frame, PAYLOADS))
    assert ours == theirs.read_bytes()

    reader = mxnet().recordio.MXRecordIO(str(theirs), "r")
    assert [reader.read() for _ in PAYLOADS] == PAYLOADS
    reader.close()
    assert [unframe(frame(payload)) for payload in PAYLOADS] == PAYLOADS


def test_header_is_mxnets():
    mx = mxnet()
    header, image = mx.recordio.unpack(pack_image(7, 2**40 + 1, 3, b"JPEG"))
    assert (header.flag, header.label, header.id, header.id2, image) == (0, 7.0, 2**40 + 1, 3, b"JPEG")
    theirs = mx.recordio.pack(mx.recordio.IRHeader(0, 21840.0, 5, 6), b"PNG")
    assert unpack_image(theirs) == (21840, 5, 6, b"PNG")


@pytest.mark.parametrize(
    "header", [(2, [1.0, 2.0], 0, 0), (0, 0.5, 0, 0), (0, -1.0, 0, 0), (0, float("nan"), 0, 0), (0, float("inf"), 0, 0)]
)
@pytest.mark.filterwarnings("ignore:tostring")  # MXNet 1.9.1 packs label arrays with a deprecated NumPy call
def test_headers_that_are_no_label(header):
    mx = mxnet()
    with pytest.raises(RecordError, match="not one of a labelled image"):
        unpack_image(mx.recordio.pack(mx.recordio.IRHeader(*header), b"JPEG"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cut_or_grown_record_is_believed(payload):
    whole = frame(payload)
    for length in range(len(whole)):
        with pytest.raises(RecordError):
            unframe(whole[:length])
    with pytest.raises(RecordError):
        unframe(whole + bytes(4))
    with pytest.raises(RecordError):
        unframe(whole + whole)


def test_parts_out_of_order():
    first, middle, last = (MAGIC + (kind << 29).to_bytes(4, "little") for kind in (1, 2, 3))
    assert unframe(first + middle + last) == MAGIC * 2
    for record in (last, middle + last, first + first + last, first + frame(b"")):
        with pytest.raises(RecordError, match="out of order"):
            unframe(record)


def test_batches_hold_every_picture_once(folder):
    with Reader(folder, "train", threads=2) as reader:
        batches = list(reader.batches(7))
        assert len(reader) == 24
        assert [len(batch.ids) for batch in batches] == [7, 7, 7, 3]
        assert np.concatenate([batch.ids for batch in batches]).tolist() == list(range(24))
        assert {batch.images.dtype for batch in batches} == {np.dtype(np.uint8)}
        assert {batch.labels.dtype for batch in batches} == {np.dtype(np.int64)}
        images = np.concatenate([batch.images for batch in batches])
        labels = np.concatenate([batch.labels for batch in batches])
        keys = [reader.key(number) for number in range(24)]
    theirs = records_by_mxnet(folder, "train")
    assert labels.tolist() == [int(header.label) for header, _ in theirs]
    assert (images == np.array([pixels_by_pillow(jpeg) for _, jpeg in theirs])).all()
    assert [["ant", "bee", "cat"][label] for label in labels] == [key.split("/")[0] for key in keys]
    assert len(set(keys)) == 24


def test_image_record_iter_reads_our_shards(folder):
    mx = mxnet()
    shard = read_manifest(folder).split("val").shards[0]
    iterator = mx.io.ImageRecordIter(
        path_imgrec=str(folder / shard.name), data_shape=(3, 256, 256), batch_size=1, preprocess_threads=1
    )
    labels = [int(batch.label[0].asscalar()) for batch in iterator]
    assert labels == [int(header.label) for header, _ in records_by_mxnet(folder, "val")][: shard.images]


def test_order_is_the_callers_and_start_resumes_it(folder):
    with Reader(folder, "train", threads=2) as reader:
        order = epoch_order(len(reader), seed=3, epoch=5)
        whole = list(reader.batches(5, order))
        assert np.concatenate([batch.ids for batch in whole]).tolist() == order.tolist()
        resumed = list(reader.batches(5, order, start=10))
        assert len(resumed) == len(whole) - 2
        for ours, before in zip(resumed, whole[2:]):
            assert all((a == b).all() for a, b in zip(ours, before))
        in_sequence = np.concatenate([batch.images for batch in reader.batches(24)])
        assert (np.concatenate([batch.images for batch in whole]) == in_sequence[order]).all()
        assert list(reader.batches(5, order, start=24)) == []


def test_number_of_threads_changes_nothing(folder):
    def content(threads):
        with Reader(folder, "train", threads) as reader:
            return [[field.tobytes() for field in batch] for batch in reader.batches(10, epoch_order(24, 1, 1))]

    assert content(1) == content(4)


def test_epoch_orders_are_permutations_that_hold_for_ever():
    orders = [epoch_order(1000, seed, epoch) for seed, epoch in [(0, 0), (0, 1), (1, 0)]]
    for order in orders:
        assert order.dtype == np.int64
        assert sorted(order) == list(range(1000))
    assert len({order.tobytes() for order in orders}) == 3
    assert epoch_order(8, 2, 3).tolist() == [2, 6, 3, 5, 0, 4, 7, 1]
    assert epoch_order(0, 2, 3).shape == (0,)


def reader_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("reader")]


def test_threads_end_with_the_generator(folder):
    with Reader(folder, "train", threads=2) as reader:
        batches = reader.batches(3)
        next(batches)
        assert reader_threads()
        batches.close()
        assert not reader_threads()
        with pytest.raises(IndexError, match="id 24"):
            list(reader.batches(3, np.arange(25)))
        assert not reader_threads()


def test_files_are_closed(folder):
    before = set(os.listdir("/proc/self/fd"))
    with Reader(folder, "train") as reader:
        next(reader.batches(3)).images.sum()
    reader = Reader(folder, "train")
    del reader
    assert set(os.listdir("/proc/self/fd")) <= before


def test_wrong_arguments(folder):
    with Reader(folder, "val") as reader:
        with pytest.raises(ValueError, match="batch size 0"):
            reader.batches(0)
        with pytest.raises(ValueError, match="start -1"):
            reader.batches(1, start=-1)
    with pytest.raises(DatasetError, match="no split 'test'; it has train, val"):
        Reader(folder, "test")


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


def _other_size(record):
    begin = record.index(b"\xff\xc0")
    return record[: begin + 5] + (248).to_bytes(2, "big") + record[begin + 7 :]


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (_no_magic, "the record does not begin with RecordIO's magic word"),
        (_longer, r"the record says \d+ bytes, and \d+ are there"),
        (_other_label, "label 3 is beyond the 3 classes"),
        (_other_id, "the record is number 2 of shard 1"),
        (_no_jpeg, "the image cannot be decoded"),
        (_cut_jpeg, "the image cannot be decoded"),
        (_other_size, "the image has 256x248 pixels instead of 256x256"),
    ],
)
def test_damaged_record_is_named(copy, spoil, reason):
    shard = read_manifest(copy).split("train").shards[1]
    path = copy / shard.name
    begin, end = (int(line.split()[1]) for line in (copy / shard.file(".idx")).read_text().splitlines()[3:5])
    content = path.read_bytes()
    path.write_bytes(content[:begin] + spoil(content[begin:end]) + content[end:])
    with Reader(copy, "train", threads=2) as reader:
        place = reader.split.shards[0].images + 3
        key = reader.key(place)
        with pytest.raises(DatasetError, match=rf"{shard.name}: record 3 \({key}\): {reason}; pack the data set again"):
            list(reader.batches(4))
        assert not reader_threads()
        others = [number for number in range(len(reader)) if number != place]
        assert sum(len(batch.ids) for batch in reader.batches(4, np.array(others))) == 23


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


def test_index_of_another_data_set(copy, tmp_path):
    other = packed(tmp_path / "other", images=8, shards=3, seed=9)
    shutil.copy(other / "train-00001-of-00003.idx", copy)
    with pytest.raises(DatasetError, match=r"train-00001-of-00003\.idx: not the file that was packed"):
        Reader(copy, "train")


def test_damaged_names_do_not_hide_a_damaged_record(copy):
    shard = read_manifest(copy).split("train").shards[0]
    (copy / shard.file(".keys")).write_bytes(b"one\n")
    with open(copy / shard.name, "r+b") as file:
        file.write(bytes(8))
    with Reader(copy, "train") as reader:
        with pytest.raises(DatasetError, match=f"{shard.name}: record 0: the record does not begin"):
            list(reader.batches(4))
        with pytest.raises(DatasetError, match=r"\.keys: not the file that was packed"):
            reader.key(0)


@pytest.mark.parametrize("text", ["plain", "tab\tand\nlines\r\n", r"back\slash \t \\n", "\udce9 \u2028 狗"])
def test_escapes_come_back_and_stay_on_one_line(text):
    assert unescape(escape(text)) == text
    assert not set("\t\n\r") & set(escape(text))
