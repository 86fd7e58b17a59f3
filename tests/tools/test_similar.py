"""`alexnet-tools similar` on made images: what it finds, keeps, draws and refuses."""

import dataclasses
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from helpers.images import photo
from helpers.runner import run

from gluon_alexnet import drawing
from gluon_alexnet.features import config
from gluon_alexnet.plots import similar as plots

CLASSES, IMAGES = 4, 17  # classes, and training images of each
NARROW = ["--recipe", "narrow", "--batch-size", "16", "--epochs", "1"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images, a data set of them, and a run of one epoch on two contexts."""
    folder = tmp_path_factory.mktemp("similar")
    for split, count in (("train", IMAGES), ("val", 2)):
        for label in range(CLASSES):
            for index in range(count):
                file = folder / "images" / split / f"class{label}" / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                # every image of a class has the same smooth ground and its own brightness
                image = cv2.resize(photo(label), (90, 110)) // 2 + np.uint8(5 * index + (split == "val"))
                assert cv2.imwrite(str(file), image)
    images = folder / "images"
    run("pack", "--train", images / "train", "--val", images / "val", "--data", folder / "data")
    run("train", "--data", folder / "data", "--run", folder / "run", "--cpus", "0,1", *NARROW)
    return folder


def similar(place, tmp_path, *words, **options):
    return run("similar", *words, "--data", place / "data", "--output", tmp_path / "s.png", **options)


def lines(output):
    """(distance, class, key) of each line of a neighbour."""
    found = re.findall(r"^ +(?:distance )?([\d.]+)(?: bits)?  (\S+) +(\S+)$", output, re.MULTILINE)
    return [(float(distance), name, key) for distance, name, key in found]


def test_a_training_image_is_nearest_to_itself_and_the_vectors_are_kept(place, tmp_path, monkeypatch):
    image = place / "images" / "train" / "class2" / "5.png"
    output = similar(place, tmp_path, place / "run", image)
    found = lines(output)
    assert len(found) == 6
    assert found[0][1:] == ("class2", "class2/5.png")
    assert found[0][0] < found[1][0] / 5  # not 0: the pack holds the image as a JPEG
    assert [distance for distance, _, _ in found] == sorted(distance for distance, _, _ in found)
    assert f"the 6 nearest of {CLASSES * IMAGES} (train of {place / 'data'})" in output
    assert len(list((place / "run" / "features").glob("train-*"))) == 1  # other tests may have searched val
    drawn = cv2.imread(str(tmp_path / "s.png"))
    assert drawn is not None and drawn.shape[1] > 800
    monkeypatch.setattr("gluon_alexnet.features.store.write", None)  # nothing is computed a second time
    assert lines(similar(place, tmp_path, place / "run", image)) == found


def test_an_export_finds_what_the_run_finds(place, tmp_path):
    out = tmp_path / "net"
    run("export", place / "run", out)
    images = [place / "images" / "val" / f"class{label}" / "0.png" for label in range(2)]
    words = [*images, "--count", 3]
    ours, theirs = (lines(similar(place, tmp_path, net, *words)) for net in (place / "run", out))
    assert [key for _, _, key in ours] == [key for _, _, key in theirs]
    np.testing.assert_allclose([d for d, _, _ in ours], [d for d, _, _ in theirs], atol=1e-3)
    assert len(ours) == 6
    assert [path.name[:6] for path in (tmp_path / "net-features").iterdir()] == ["train-"]


def test_another_split_and_image_formats(place, tmp_path):
    image = cv2.imread(str(place / "images" / "val" / "class1" / "1.png"))
    for name in ("a.jpg", "b.webp", "c.bmp", "d.tiff"):
        assert cv2.imwrite(str(tmp_path / name), image)
    words = [tmp_path / name for name in ("a.jpg", "b.webp", "c.bmp", "d.tiff")]
    found = lines(similar(place, tmp_path, place / "run", *words, "--split", "val", "--count", 1))
    assert [key for _, _, key in found] == ["class1/1.png"] * 4


def test_a_folder_stands_for_the_images_below_it(place, tmp_path):
    folder = place / "images" / "val" / "class1"
    words = ["--split", "val", "--count", 1]
    found = lines(similar(place, tmp_path, place / "run", folder, *words))
    assert [key for _, _, key in found] == ["class1/0.png", "class1/1.png"]
    assert found == lines(similar(place, tmp_path, place / "run", folder / "0.png", folder / "1.png", *words))
    (tmp_path / "empty").mkdir()
    assert "not one image in" in similar(place, tmp_path, place / "run", tmp_path / "empty", code=1)


def test_codes_are_made_once_and_say_what_they_keep(place, tmp_path, monkeypatch):
    few = dataclasses.replace(config.AUTO_ENCODER, hidden=16, updates=5)
    monkeypatch.setattr(config, "AUTO_ENCODER", few)
    images = [place / "images" / "val" / f"class{label}" / "0.png" for label in range(2)]
    words = [place / "run", *images, "--codes", 16, "--features", tmp_path / "f"]
    output = similar(place, tmp_path, *words)
    assert re.search(r"Codes of 16 bits keep of the true 6 nearest \d+ % among the first 6 and \d+ % among", output)
    assert "over 6 images of the split that the auto-encoder did not learn from" in output
    assert output.count("by code of 16 bits") == 2
    assert len(lines(output)) == 2 * (6 + 6)
    for block in output.split("by code of 16 bits, ")[1:]:
        nearest = {key for _, _, key in lines(output.split(block)[0])[-6:]}
        coded = {key for _, _, key in lines(block)[:6]}
        assert int(block[0]) == len(nearest & coded)
    monkeypatch.setattr("gluon_alexnet.features.binary_codes.learn", None)
    assert lines(similar(place, tmp_path, *words)) == lines(output)


def test_bad_input_is_said_in_a_sentence(place, tmp_path):
    image = place / "images" / "val" / "class1" / "1.png"
    junk = tmp_path / "junk.jpg"
    junk.write_bytes(b"junk")
    net = place / "run"
    assert "junk.jpg is no image this program reads" in similar(place, tmp_path, net, junk, code=1)
    assert "none.jpg: No such file" in similar(place, tmp_path, net, tmp_path / "none.jpg", code=1)
    assert "is neither a run, a checkpoint nor an exported net" in similar(place, tmp_path, "x", image, code=2)
    assert "is neither a run nor a checkpoint" in similar(place, tmp_path, tmp_path, image, code=2)
    assert "12 bits does not fill bytes" in similar(place, tmp_path, net, image, "--codes", 12, code=2)
    assert "no split 'test'" in similar(place, tmp_path, net, image, "--split", "test", code=2)
    assert "More than 40 images" in similar(place, tmp_path, net, *[image] * 41, code=2)
    assert "has 8 images: too few for a --count of 9" in similar(
        place, tmp_path, net, image, "--split", "val", "--count", 9, code=2
    )
    assert "needs 64 images or more" in similar(
        place, tmp_path, net, image, "--split", "val", "--codes", 8, "--features", tmp_path / "v", code=2
    )
    assert "no data set here" in run("similar", net, image, "--data", tmp_path, code=2)
    assert not (tmp_path / "s.png").exists()


def test_vectors_of_another_net_or_data_set_are_refused(place, tmp_path):
    image = place / "images" / "val" / "class1" / "1.png"
    (tmp_path / "f").mkdir()  # an empty folder is as good as none
    similar(place, tmp_path, place / "run", image, "--features", tmp_path / "f")
    run("train", "--data", place / "data", "--run", tmp_path / "other", "--cpus", 0, *NARROW, "--seed", 1)
    words = [image, "--features", tmp_path / "f"]
    assert "activations of another net" in similar(place, tmp_path, tmp_path / "other", *words, code=2)
    assert "activations of another split" in similar(place, tmp_path, place / "run", *words, "--split", "val", code=2)
    images = place / "images"
    run("pack", "--train", images / "val", "--val", images / "val", "--data", tmp_path / "data")
    said = run("similar", place / "run", *words, "--data", tmp_path / "data", code=2)
    assert "activations of another data set" in said
    file = tmp_path / "f" / "vectors.npy"
    file.write_bytes(file.read_bytes()[:-1])
    assert "is damaged" in similar(place, tmp_path, place / "run", *words, code=1)


def test_ctrl_c_is_said_and_the_same_command_goes_on(place, tmp_path, monkeypatch):
    from gluon_alexnet.features import activations, store

    image = place / "images" / "val" / "class1" / "1.png"
    words = [place / "run", image, "--features", tmp_path / "f"]
    expected = lines(similar(place, tmp_path, place / "run", image))
    whole, asked = activations.Fc7.of_images, []

    def interrupted(self, images):
        if len(images) < 64:
            raise KeyboardInterrupt
        return whole(self, images)

    monkeypatch.setattr(store, "SYNCED", 64)
    monkeypatch.setattr(activations.Fc7, "of_images", interrupted)
    output = similar(place, tmp_path, *words, code=130)
    assert "Stopped after 64 of 68 images; the same command goes on." in output
    monkeypatch.setattr(
        activations.Fc7, "of_images", lambda self, images: asked.append(len(images)) or whole(self, images)
    )
    assert lines(similar(place, tmp_path, *words)) == expected
    assert asked == [4, 1]  # the rest of the data set, and the image asked for


@pytest.mark.slow
def test_killed_at_any_moment_the_vectors_are_the_same(place, tmp_path):
    image = place / "images" / "val" / "class1" / "1.png"
    program = "import sys; from gluon_alexnet.features import store; from gluon_alexnet.workflows import similar\n"
    program += (
        "from gluon_alexnet.tools import main as m\nstore.SYNCED = similar.IMAGES_PER_PASS = 4\nm.main(sys.argv[1:])"
    )
    words = ["similar", place / "run", image, "--data", place / "data", "--output", tmp_path / "s.png", "--features"]
    command = [sys.executable, "-W", "ignore", "-c", program, *map(str, words)]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    kills, sizes = 0, set()
    while not (tmp_path / "killed").exists():
        process = subprocess.Popen([*command, str(tmp_path / "killed")], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        file = tmp_path / "killed.partial" / "vectors.npy"
        before = file.stat().st_size if file.exists() else 0
        while process.poll() is None and (not file.exists() or file.stat().st_size <= before + 4096 * kills):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        if file.exists():
            sizes.add(file.stat().st_size)
    assert kills > 3, sizes
    for name in ("features.json", "vectors.npy"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_rows_are_drawn_with_what_belongs_beneath(tmp_path):
    colours = [(200, 10, 30), (10, 200, 30), (30, 10, 200)]
    solid = [np.full((64, 64, 3), colour, np.uint8) for colour in colours]
    found = [plots.Neighbour(solid[1], "a name, and another", "distance 1.00")]
    coded = [plots.Neighbour(solid[2], None, "3 bits", framed=True)]
    rows = [plots.Similar(solid[0], "query", found), plots.Similar(None, "by code", coded)]
    plots.draw_similar(rows, tmp_path / "s.png")
    drawn = cv2.cvtColor(cv2.imread(str(tmp_path / "s.png")), cv2.COLOR_BGR2RGB)
    height, width = drawn.shape[:2]
    centres = {}
    for name, colour in zip(("query", "found", "coded"), colours):
        y, x = np.nonzero((drawn == colour).all(axis=2))
        assert len(y) > 2000, name
        centres[name] = (y.mean() / height, x.mean() / width)
    assert centres["query"][0] == pytest.approx(centres["found"][0], abs=0.02)
    assert centres["query"][1] < 0.5 < centres["found"][1]
    assert centres["coded"][0] > centres["found"][0] + 0.3
    assert centres["coded"][1] == pytest.approx(centres["found"][1], abs=0.02)
    frame = tuple(bytes.fromhex(plots.FRAME[1:]))  # around the second row's only
    y, _ = np.nonzero((drawn == frame).all(axis=2))
    assert len(y) > 100 and y.min() / height > 0.45


def test_names_are_whole_in_as_many_lines_as_they_take():
    assert (
        drawing.class_in_lines("soft-coated wheaten terrier, another name", plots.CAPTION)
        == "soft-coated wheaten\nterrier"
    )
    assert drawing.class_in_lines("a" * 45, plots.CAPTION).replace("\n", "") == "a" * 45
    assert drawing.class_in_lines("", plots.CAPTION) == ""
