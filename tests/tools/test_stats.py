"""`alexnet-tools stats`: its numbers against plain NumPy over the packed records, and its image."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from helpers.images import class_tree, file_bytes, packed, photo, pixels_by_pillow, records_by_mxnet
from helpers.runner import run
from PIL import Image

from gluon_alexnet.drawing import headless_pyplot
from gluon_alexnet.recordio.dataset import report
from gluon_alexnet.recordio.dataset.manifest import ClassInfo, read_manifest
from gluon_alexnet.recordio.dataset.statistics import read_statistics
from gluon_alexnet.recordio.packing.pack import pack
from gluon_alexnet.recordio.sources.class_folders import class_folder


def stats(*words, code=0):
    return run("stats", *words, code=code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("stats"), images=4)


def test_numbers_are_those_of_the_records(folder):
    pixels = np.array([pixels_by_pillow(jpeg) for _, jpeg in records_by_mxnet(folder, "train")], np.float64)
    pixels = pixels.reshape(-1, 3)
    output = stats("--data", folder)
    assert "train  12 images, 3 of 3 classes, 4 to 4 a class; 0 rejected" in output
    assert "val    6 images, 3 of 3 classes, 2 to 2 a class; 0 rejected" in output
    assert "JPEG of quality 95" in output

    def row(name):
        (line,) = [line for line in output.splitlines() if line.startswith(name)]
        return [float(word) for word in line.split(": ")[1].split(", eigenvalue")[0].split(", ")]

    assert row("mean of R, G, B") == pytest.approx(pixels.mean(axis=0), abs=0.006)
    assert row("standard deviation of R, G, B") == pytest.approx(pixels.std(axis=0), abs=0.006)
    values, vectors = np.linalg.eigh(np.cov(pixels.T, bias=True))
    assert row("standard deviation along the axes") == pytest.approx(np.sqrt(values[::-1]), abs=0.006)
    for number in range(3):
        assert abs(np.dot(row(f"axis {number + 1}"), vectors[:, 2 - number])) == pytest.approx(1, abs=1e-3)


def test_the_figure_shows_the_mean_colour(folder, tmp_path):
    file = tmp_path / "stats.png"
    assert f"figure: {file}" in stats("--data", folder, "--figure", file)
    with Image.open(file) as image:
        assert image.format == "PNG"
        assert min(image.size) > 600
        drawn = np.asarray(image.convert("RGB"))
    middle = read_statistics(folder).mean_image[128, 128]
    assert (np.abs(drawn.astype(float) - middle).max(axis=2) <= 2).sum() > 100


def test_source_sizes_are_told(tmp_path):
    train = class_tree(tmp_path / "train", images=1)  # three small images
    for number, (height, width) in enumerate([(300, 400), (300, 500), (600, 300), (256, 257), (255, 700)]):
        (train / "ant" / f"large{number}.png").write_bytes(file_bytes(photo(number, height, width), "PNG"))
    source = class_folder(train)
    pack({"train": source.images}, [ClassInfo(wnid, wnid) for wnid in source.wnids], tmp_path / "data")
    statistics = read_statistics(tmp_path / "data")
    assert statistics.source_sizes.sum() == 8
    assert "4 (50.0 %) were scaled up to 256" in report.lines(read_manifest(tmp_path / "data"), statistics)[-1]
    assert "half have a shorter side below 256 pixels" in stats("--data", tmp_path / "data")


def test_wrong_use_is_said(folder, tmp_path):
    assert "must end in .png, .svg or .pdf" in stats("--data", folder, "--figure", tmp_path / "stats.gif", code=2)
    assert "no data set here" in stats("--data", tmp_path, code=2)
    assert "stats.png" in stats("--data", folder, "--figure", tmp_path / "nowhere" / "stats.png", code=2)


def made(folder, classes, sides, grey=False):
    """A packed data set of single-coloured images of these (height, width), in turn over the classes."""
    for number, (height, width) in enumerate(sides):
        image = photo(number, height, width)
        if grey:
            image[:] = image[:, :, :1]
        place = folder / "train" / classes[number % len(classes)]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(file_bytes(image, "PNG"))
    source = class_folder(folder / "train")
    pack({"train": source.images}, [ClassInfo(wnid, wnid) for wnid in source.wnids], folder / "data")
    return folder / "data"


def written(data, file):
    with headless_pyplot().rc_context({"svg.fonttype": "none"}):
        stats("--data", data, "--figure", file)
    return [element.text for element in ElementTree.parse(file).iter("{http://www.w3.org/2000/svg}text")]


def test_sources_of_one_size_are_told_in_words_and_not_in_an_empty_box(tmp_path):
    found = written(made(tmp_path, ["a", "b"], [(224, 224)] * 5, grey=True), tmp_path / "s.svg")
    assert "All 5 are 216 to 234 × 216 to 234 pixels" in found
    assert "width, pixels" not in found
    assert "axis 2" not in found  # of grey images there is one axis
    assert "(along 2 and 3 nothing differs)" in found
    assert {"a", "b", "3", "train, 5 images"} <= set(found)  # each bar has its name and its number


def test_the_sizes_have_two_numbers_at_least_on_each_axis(tmp_path):
    found = written(made(tmp_path, ["a"], [(300, 400), (310, 420), (330, 410)]), tmp_path / "s.svg")
    assert "width, pixels" in found
    assert len([text for text in found if text.isdigit() and 200 < int(text) < 600]) >= 4
    assert "scaled up" not in " ".join(found)
