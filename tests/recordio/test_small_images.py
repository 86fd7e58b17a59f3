"""`pack --small centre`: images below 256 pixels lie unscaled in the middle of the mean colour, larger ones as ever."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.runner import attempt

from gluon_alexnet.recordio.dataset.images import decode, shorter_side_256
from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.packing import shard_worker
from gluon_alexnet.recordio.reading.reader import Reader

ODD = Path(__file__).parents[1] / "data" / "odd-images"
MEAN = [127, 120, 105]  # cuda-convnet2's means of ILSVRC-2012's colours, 127.30, 119.72 and 104.91
# (height, width) and where the image's rows and columns come to lie in the 256
SIZES = {
    (100, 100): ((78, 178), (78, 178)),
    (101, 255): ((77, 178), (0, 255)),
    (1, 1): ((127, 128), (127, 128)),
    (200, 300): ((28, 228), (0, 256)),  # the long side is cut as ever
    (999, 3): ((0, 256), (126, 129)),
    (255, 257): ((0, 255), (0, 256)),
    (128, 128): ((64, 192), (64, 192)),  # Pillow's hopper
    (225, 300): ((15, 240), (0, 256)),  # and its JPEG with a junk header
}
LARGE = [(256, 256), (256, 400), (300, 257), (700, 512)]


def run(*arguments):
    code, _, err = attempt(*arguments)
    return code, err


def placed(image, rows, columns):
    """The image's centre within the mean colour, pixel by pixel."""
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    whole = np.empty((256, 256, 3), np.uint8)
    for row in range(256):
        for column in range(256):
            inside = rows[0] <= row < rows[1] and columns[0] <= column < columns[1]
            whole[row, column] = image[top + row - rows[0], left + column - columns[0]] if inside else MEAN
    return whole


@pytest.mark.parametrize("size", SIZES)
def test_a_small_image_is_not_scaled(rng, size):
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    np.testing.assert_array_equal(shorter_side_256(image, "centre"), placed(image, *SIZES[size]))


@pytest.mark.parametrize("size", LARGE)
def test_a_large_image_is_as_ever(rng, size):
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    np.testing.assert_array_equal(shorter_side_256(image, "centre"), shorter_side_256(image))


@pytest.fixture
def sources(tmp_path, rng):
    """Two classes of PNGs, small and large, and Pillow's odd images of 128 by 128 pixels."""
    images = {}
    for name in ("ant", "bee"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "val" / name).mkdir(parents=True)
    for number, (height, width) in enumerate([*SIZES, *LARGE]):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        images[f"{height}x{width}"] = image
        for split in ("train", "val"):
            cv2.imwrite(str(tmp_path / split / ("ant", "bee")[number % 2] / f"{height}x{width}.png"), image[..., ::-1])
    for odd in sorted(ODD.glob("*.jpg")):
        if odd.name.startswith(("hopper", "jpeg_ff00", "pil_sample")):
            data = odd.read_bytes()
            images[odd.stem] = decode(data, odd.name)
            for split in ("train", "val"):
                (tmp_path / split / "bee" / odd.name).write_bytes(data)
    return images, ("--train", tmp_path / "train", "--val", tmp_path / "val", "--encoding", "raw", "--shards", 2)


def records(folder):
    """Pixels of each training image by its file's name."""
    reader = Reader(folder, "train")
    found = {}
    for batch in reader.batches(64):
        for image, record in zip(batch.images, batch.ids):
            found[Path(reader.key(int(record))).stem] = image.copy()
    return found


def test_pack_keeps_how_in_the_manifest_and_a_pack_that_was_killed_goes_on(sources, tmp_path, monkeypatch):
    images, options = sources
    out, plain = tmp_path / "out", tmp_path / "plain"
    assert run("pack", *options, "--data", plain)[0] == 0
    written = shard_worker.write_receipt

    def killed(path, packed):
        written(path, packed)
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(shard_worker, "write_receipt", killed)
        assert run("pack", *options, "--small", "centre", "--data", out)[0] == 1
    code, sentence = run("pack", *options, "--resume", "--data", out)  # scaled up, the rest would be another data set
    assert code == 2 and "other images or options" in sentence
    assert run("pack", *options, "--small", "centre", "--resume", "--data", out)[0] == 0
    assert read_manifest(plain).filters == {"down": "area", "up": "cubic"}
    assert read_manifest(out).filters == {"down": "area", "up": "none, centre of 127,120,105"}
    assert read_manifest(plain).digest != read_manifest(out).digest
    centred, scaled = records(out), records(plain)
    assert set(centred) == set(images) == set(scaled)
    for name, image in images.items():
        if min(image.shape[:2]) < 256:
            rows, columns = SIZES[image.shape[:2]]
            np.testing.assert_array_equal(centred[name], placed(image, rows, columns), err_msg=name)
            assert (centred[name] != scaled[name]).any() or image.size == 3
        else:
            np.testing.assert_array_equal(centred[name], scaled[name], err_msg=name)
    assert run("verify", "--data", out)[0] == 0


def test_parts_that_treat_small_images_otherwise_are_not_merged(sources, tmp_path):
    _, options = sources
    for number, small in ((1, "centre"), (2, "scale")):
        words = ("--small", small, "--part", f"{number}/2", "--data", tmp_path / f"part{number}")
        assert run("pack", *options, *words)[0] == 0
    code, sentence = run("merge", tmp_path / "part1", tmp_path / "part2", "--data", tmp_path / "merged")
    assert code == 2 and "with other options" in sentence


def test_a_data_set_of_before_keeps_its_digest(sources, tmp_path):
    """The manifest of a pack that scales has no new field, so runs find their data set again."""
    _, options = sources
    assert run("pack", *options, "--data", tmp_path / "out")[0] == 0
    document = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert "small" not in document and document["filters"] == {"down": "area", "up": "cubic"}
    assert run("pack", *options, "--small", "shrink", "--data", tmp_path / "other")[0] == 2
