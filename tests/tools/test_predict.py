"""Five classes of any image: the same probabilities as eval's, every file counted, memory that stays flat."""

import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from helpers.images import class_tree, file_bytes, photo
from helpers.nets import by_hand, make_run
from helpers.runner import invoke

from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.tools.commands import predict

LETTERS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")
IMAGES = 4


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    """Images, a data set that holds their very pixels, a net, and its probabilities by eval."""
    folder = tmp_path_factory.mktemp("predict")
    class_tree(folder / "images", LETTERS, IMAGES)
    images = folder / "images"
    invoke("pack", "--train", images, "--val", images, "--data", folder / "data", "--encoding", "raw")
    make_run(folder / "run", small_recipe, folder / "data", 5)
    words = ["--model", folder / "run", "--save-predictions", folder / "p.npz", "--cpus", 0]
    invoke("eval", "--data", folder / "data", *words)
    return folder


def net(place, *words, **options):
    return invoke("predict", place / "run", "--cpus", 0, *words, **options)


@pytest.mark.parametrize("views", [10, 1])
def test_the_probabilities_are_those_by_hand_and_those_of_eval(place, views):
    out, err = net(place, place / "images", "--json", "--views", views)
    with np.load(place / "p.npz", allow_pickle=False) as arrays:
        saved = {key.decode(): row for key, row in zip(arrays["keys"], arrays[f"probabilities_{views}"])}
    with Reader(place / "data", "val") as reader:
        (batch,) = reader.batches(100)
        expected = dict(zip(map(reader.key, batch.ids.tolist()), by_hand(place / "run", batch.images, views)))
    for key, row in expected.items():
        np.testing.assert_allclose(saved[key], row, rtol=1e-4, atol=1e-5)
    seen = {}
    for line in map(json.loads, out.splitlines()):
        key = os.path.relpath(line["image"], place / "images")
        seen[key] = line["guesses"]
    assert set(seen) == set(expected)
    for key, guesses in seen.items():
        order = sorted(range(7), key=lambda label: -expected[key][label])[:5]
        assert [guess["wnid"] for guess in guesses] == [LETTERS[label] for label in order]
        found = [guess["probability"] for guess in guesses]
        np.testing.assert_allclose(found, expected[key][order], rtol=1e-4, atol=1e-6)
    assert err.splitlines()[-1].startswith(f"{len(LETTERS) * IMAGES} images in ")
    assert "images/s" in err
    assert len({tuple(guess["wnid"] for guess in guesses) for guesses in seen.values()}) > 1


def test_files_folders_and_names_on_stdin_in_their_order(place, tmp_path):
    folder = tmp_path / "mixed"
    (folder / "deep" / "deeper").mkdir(parents=True)
    made = [photo(seed, 90, 70 + seed) for seed in range(4)]
    names = ["a.png", "deep/b.JPG", "deep/deeper/ü c.webp", "d.bmp"]
    for name, image, kind in zip(names, made, ("PNG", "JPEG", "WEBP", "BMP")):
        (folder / name).write_bytes(file_bytes(image, kind))
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"junk")
    out, err = net(place, folder)
    assert sorted(line.split(": ")[0] for line in out.splitlines()) == sorted(str(folder / name) for name in names)
    assert "4 images in" in err
    assert "2 other files passed over" in err
    by_name = dict(line.split(": ", 1) for line in out.splitlines())
    order = [folder / name for name in names[::-1]]
    out, _ = net(place, *order[:2], "-", stdin="".join(f"{name}\n" for name in order[2:]))
    assert [line.split(": ")[0] for line in out.splitlines()] == [str(name) for name in order]
    for line in out.splitlines():
        name, guesses = line.split(": ", 1)
        one, two = (dict(g.rsplit(" ", 1) for g in text.split(", ")) for text in (guesses, by_name[name]))
        assert one.keys() == two.keys()
        assert all(abs(float(one[word]) - float(two[word])) <= 0.0011 for word in one)


def test_what_is_no_image_is_said_counted_and_skipped(place, tmp_path):
    whole = file_bytes(photo(1, 200, 200), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "junk.png").write_bytes(b"junk")
    (tmp_path / "good.jpg").write_bytes(whole)
    os.mkfifo(tmp_path / "pipe.jpg")
    names = [tmp_path / name for name in ("cut.jpg", "good.jpg", "junk.png", "none.jpg", "pipe.jpg")]
    out, err = net(place, *names, code=1)
    assert [line.split(": ")[0] for line in out.splitlines()] == [str(tmp_path / "good.jpg")]
    for name in ("cut.jpg", "junk.png", "pipe.jpg"):
        assert f"{tmp_path / name} is no image this program reads: " in err
    assert f"{tmp_path / 'none.jpg'}: No such file or directory" in err
    assert "1 images in" in err
    assert "4 of 5 files could not be read as images" in err
    out, _ = net(place, *names, "--json", code=1)
    assert [("error" in json.loads(line)) for line in out.splitlines()] == [True, False, True, True, True]
    (tmp_path / "empty").mkdir()
    assert "not one image in" in net(place, tmp_path / "empty", code=1)[1]


def test_the_figure_shows_the_first_images(place, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "FIGURE_IMAGES", 3)
    files = sorted((place / "images").glob("*/*"))[:4]
    _, err = net(place, *files, "--figure", tmp_path / "f.png")
    assert f"{tmp_path / 'f.png'}: 3 images; the figure shows the first 3" in err
    assert cv2.imread(str(tmp_path / "f.png")) is not None
    assert "is no folder" in net(place, *files, "--figure", tmp_path / "none" / "f.png", code=2)[1]


def test_an_export_predicts_as_its_run(place, tmp_path):
    invoke("export", place / "run", tmp_path / "net", "--data", place / "data")
    files = sorted((place / "images").glob("*/*"))[:3]
    by_export = invoke("predict", tmp_path / "net", "--cpus", 0, "--json", *files)[0]
    by_run = net(place, "--json", *files)[0]
    for one, two in zip(by_export.splitlines(), by_run.splitlines()):
        one, two = json.loads(one), json.loads(two)
        assert [g["wnid"] for g in one["guesses"]] == [g["wnid"] for g in two["guesses"]]
    assert (
        "is neither a run, a checkpoint nor an exported net" in invoke("predict", tmp_path / "x", files[0], code=2)[1]
    )


@pytest.mark.slow
def test_a_folder_of_thousands_takes_no_more_memory_than_one_of_hundreds(place, tmp_path):
    image = sorted((place / "images").glob("*/*"))[0]
    program = (
        "import resource, sys; from click.testing import CliRunner; from gluon_alexnet.tools.main import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
    )

    def peak(count):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}.png").symlink_to(image)
        words = ["predict", str(place / "run"), str(folder), "--views", "1", "--cpus", "0"]
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
        assert len(done.stdout.splitlines()) == count
        return int(done.stderr.splitlines()[-1]) // 1024

    few, many = peak(500), peak(6000)
    print(f"500 images: {few} MB; 6,000: {many} MB")
    assert many < few + 60  # one kept image in ten would be 100 MB more
