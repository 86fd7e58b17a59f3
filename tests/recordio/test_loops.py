"""The compiled loops of a large pack against OpenCV, libjpeg-turbo and NumPy: the same bits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from helpers.images import file_bytes, photo
from helpers.runner import run

from gluon_alexnet.recordio.dataset import area_filter, images, jpeg_pixels
from gluon_alexnet.recordio.dataset.loops import Loops, loops, use
from gluon_alexnet.recordio.dataset.statistics import Sums
from gluon_alexnet.recordio.packing import shard_worker
from gluon_alexnet.recordio.packing.load_loops import load


@pytest.fixture
def loaded():
    """The loops, in place for one test."""
    found = load()
    yield found
    use(Loops())


def test_all_loops_are_exact_on_this_machine(loaded):
    assert None not in loaded


def test_the_area_filter_has_the_bits_of_opencv(rng):
    for number in range(60):
        height, width = rng.integers(257, (520, 1100, 2600)[number % 3], 2)
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        scale = 256 / min(height, width)
        tall, wide = (max(256, int(side * scale + 0.5)) for side in (height, width))
        if height % tall == 0 and width % wide == 0:
            continue
        top, left = (tall - 256) // 2, (wide - 256) // 2
        expected = cv2.resize(image, (wide, tall), interpolation=cv2.INTER_AREA)[top : top + 256, left : left + 256]
        assert np.array_equal(area_filter.scaled_centre(image, tall, wide), expected), (height, width)


@pytest.mark.parametrize("size", [(257, 257), (257, 4000), (512, 767), (512, 512), (300, 256), (100, 90), (5000, 258)])
def test_an_image_is_scaled_to_the_same_with_loops_and_without(size, loaded, rng):
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    with_loops = images.shorter_side_256(image)
    turned = images.shorter_side_256(image[::-1, ::2])  # memory that is not in one piece
    use(Loops())
    assert np.array_equal(with_loops, images.shorter_side_256(image))
    assert np.array_equal(turned, images.shorter_side_256(image[::-1, ::2]))


def _hard_images(rng):
    yield from np.zeros((1, 256, 256, 3), np.uint8)
    yield from np.full((1, 256, 256, 3), 255, np.uint8)
    for _ in range(5):
        yield rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        yield rng.integers(0, 2, (256, 256, 3), dtype=np.uint8) * np.uint8(255)
        small = rng.integers(0, 256, [*rng.integers(2, 40, 2).tolist(), 3], dtype=np.uint8)
        yield cv2.resize(small, (256, 256), interpolation=cv2.INTER_CUBIC)


def test_the_pixels_are_those_of_libjpeg_turbo(loaded, rng):
    for image in _hard_images(rng):
        recorded = images.packed_pixels(images.encode(image, "jpeg"), "jpeg")
        assert np.array_equal(loaded.decoded(image), recorded)


def test_tables_are_those_of_the_standard(rng):
    found = jpeg_pixels.tables(images.encode(np.zeros((256, 256, 3), np.uint8), "jpeg"))
    # The first row of the standard's tables K.1 and K.2 is 16 11 10 16 … and 17 18 24 47 …; quality 95 takes a tenth.
    assert found[:, 0, :4].tolist() == [[2, 1, 1, 2], [2, 2, 2, 5]]


def test_sums_are_those_of_numpy(loaded, rng):
    sums, pixels = Sums(), rng.integers(0, 256, (4, 256, 256, 3), dtype=np.uint8)
    for image in pixels:
        sums.add(image, (256, 256))
    sums.flush()
    flat = pixels.reshape(-1, 3).astype(np.int64)
    assert np.array_equal(sums.image, pixels.sum(axis=0, dtype=np.int64))
    assert np.array_equal(sums.products, flat.T @ flat)


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_a_pack_with_loops_has_the_same_bytes(encoding, tmp_path, monkeypatch):
    for split, count in (("train", 12), ("val", 2)):
        (tmp_path / split / "ant").mkdir(parents=True)
        for number in range(count):
            jpeg = file_bytes(photo(number, 290 + number, 460 - 20 * number), "JPEG")
            (tmp_path / split / "ant" / f"{number}.jpg").write_bytes(jpeg)
    words = ["pack", "--train", tmp_path / "train", "--val", tmp_path / "val", "--encoding", encoding]
    run(*words, "--data", tmp_path / "without")
    monkeypatch.setattr(shard_worker, "WORTH", 1)
    try:
        run(*words, "--data", tmp_path / "with")
        assert None not in loops()
        run(*words, "--data", tmp_path / "with", "--overwrite")
    finally:
        use(Loops())
    for path in (tmp_path / "without").iterdir():
        assert path.read_bytes() == (tmp_path / "with" / path.name).read_bytes(), path.name


def test_where_the_bits_differ_the_library_does_the_work(monkeypatch):
    monkeypatch.setattr(jpeg_pixels, "decoded", lambda image, steps: image)
    monkeypatch.setattr(area_filter, "scaled_centre", lambda image, height, width: image[:256, :256])
    try:
        found = load()
    finally:
        use(Loops())
    assert found.scaled_centre is None and found.decoded is None
