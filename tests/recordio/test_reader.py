"""Batches: every image once, the same for any number of threads, rendered and kept as they should be."""

from __future__ import annotations

import os
import shutil
import threading

import numpy as np
import pytest
from helpers.images import mxnet, packed, pixels_by_pillow, records_by_mxnet

from gluon_alexnet.recordio.dataset.images import shorter_side_256
from gluon_alexnet.recordio.dataset.manifest import SourceError, read_manifest
from gluon_alexnet.recordio.reading.buffers import Buffers
from gluon_alexnet.recordio.reading.reader import Reader, epoch_order


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("reader"), images=8, shards=3)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_raw_records_hold_the_pixels(tmp_path):
    folder = packed(tmp_path, images=3, shards=2, encoding="raw")
    theirs = [
        (int(header.label), np.frombuffer(image, np.uint8)) for header, image in records_by_mxnet(folder, "train")
    ]
    with Reader(folder, "train", threads=2) as reader:
        (batch,) = reader.batches(9)
        sources = [(tmp_path / "train" / reader.key(number)).read_bytes() for number in range(9)]
    assert batch.labels.tolist() == [label for label, _ in theirs]
    assert (batch.images.reshape(9, -1) == [pixels for _, pixels in theirs]).all()
    assert (batch.images == [shorter_side_256(pixels_by_pillow(source)) for source in sources]).all()


def test_batches_hold_every_image_once(folder):
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


class Corner:
    """A transform whose values tell which image and which drawn number they came from."""

    shape, dtype = (3, 5), np.dtype(np.float32)

    def draw(self, ids):
        return (1000 * np.asarray(ids)).tolist()

    def render(self, image, drawn, out):
        out[:] = image[:5, 7].T
        out += drawn


@pytest.mark.parametrize("transform", [None, Corner()])
def test_number_of_threads_changes_nothing(folder, transform):
    def content(threads):
        with Reader(folder, "train", threads) as reader:
            batches = reader.batches(10, epoch_order(24, 1, 1), transform=transform)
            return [[field.tobytes() for field in batch] for batch in batches]

    assert content(1) == content(4)


def test_a_rendering_gets_each_image_and_what_was_drawn_for_it(folder):
    with Reader(folder, "train", threads=3) as reader:
        order = epoch_order(24, 5, 0)
        (plain,) = reader.batches(24, order)
        (rendered,) = reader.batches(24, order, transform=Corner())
    expected = plain.images[:, :5, 7].transpose(0, 2, 1) + 1000.0 * order[:, None, None]
    assert rendered.images.dtype == np.float32
    assert (rendered.images == expected).all()
    assert (rendered.labels == plain.labels).all()


def test_what_is_kept_of_a_batch_stays_as_it_is(folder):
    with Reader(folder, "train", threads=2) as reader:
        expected = [batch.images.copy() for batch in reader.batches(3)]
        kept = [batch.images[1:, 5] for _ in range(2) for batch in reader.batches(3)]
    assert all((part == whole[1:, 5]).all() for part, whole in zip(kept, expected * 2))


def test_memory_is_used_again_once_nothing_refers_to_it():
    buffers = Buffers()
    array = buffers.take((4, 5), np.float32)
    array[:] = 7
    place, part = array.ctypes.data, array[2:, 3]
    del array
    other = buffers.take((4, 5), np.float32)
    assert other.ctypes.data != place
    assert (part == 7).all()
    del part
    smaller = buffers.take((3, 5), np.float32)
    assert smaller.ctypes.data == place
    assert smaller.shape == (3, 5)
    del smaller
    larger = buffers.take((400, 5), np.float32)
    larger[:] = 1  # a place that is too small is not used
    assert larger.shape == (400, 5)


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
    with pytest.raises(SourceError, match="no split 'test'; it has train, val"):
        Reader(folder, "test")
    with pytest.raises(ValueError, match="on_damaged is 'ignore', expected stop or skip"):
        Reader(folder, "val", on_damaged="ignore")
