"""`activations`: rows are those of each image alone, in order; what was stopped goes on; no image, no row."""

import cv2
import numpy as np
import pytest
from helpers import images, nets
from helpers.runner import invoke, run

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import crop_views
from gluon_alexnet.features import activation_store
from gluon_alexnet.features.activations import open_layers
from gluon_alexnet.recordio.dataset.images import decode, shorter_side_256
from gluon_alexnet.workflows import activations
from gluon_alexnet.workflows.load import open_graph


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    """A run that was never trained, on a small data set, and a folder of seven images, one file that is none."""
    folder = tmp_path_factory.mktemp("activations")
    data = images.packed(folder)
    nets.make_run(folder / "run", small_recipe, data, seed=1)
    for number in range(7):
        file = folder / "photos" / f"{number % 2}" / f"image {number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(file), images.photo(number, 80 + number, 90))
    (folder / "photos" / "0" / "broken.jpg").write_bytes(b"\xff\xd8 no image")
    (folder / "photos" / "0" / "notes.txt").write_text("no image")
    return folder


def files_of(place):
    """In the order of their names, folder by folder."""
    return sorted((place / "photos").rglob("*.png"), key=lambda file: (file.parent.name, file.name))


def alone(place, file, layer, before=True, views=1):
    """What the layer makes of one image: (views, *shape)."""
    graph = open_graph(place / "run", mx.cpu())
    stack = crop_views(shorter_side_256(decode(file.read_bytes()))[None], graph.size, views)[0]
    return open_layers(graph, [layer], before, mx.cpu()).compute(stack)[layer]


def write(place, out, *words, code=0, names=("photos",)):
    named = [place / name for name in names]
    return invoke("activations", place / "run", *named, "--output", out, "--cpus", 0, *words, code=code)


def test_the_layers_are_listed(place):
    lines = run("activations", place / "run", "--list", "--cpus", 0).splitlines()
    assert lines[2].split() == ["conv1", "8×23×23"]
    assert [line.split()[0] for line in lines][-4:] == ["fc7", "relu7", "fc8", "softmax"]


def test_each_row_is_that_of_its_image(place, tmp_path):
    words = ["--layer", "conv5", "--layer", "fc6", "--before-activation"]
    said, problems = write(place, tmp_path / "out", *words, code=1)
    assert "out/conv5.npy: float32 (7, 12, 5, 5)" in said and "7 images" in said
    assert "broken.jpg is no image this program reads" in problems and "notes.txt" not in problems
    assert "1 files could not be read as images; they have no row" in problems
    keys = (tmp_path / "out" / "keys.txt").read_text().splitlines()
    assert keys == [str(file) for file in files_of(place)]
    for layer in ("conv5", "fc6"):
        rows = np.load(tmp_path / "out" / f"{layer}.npy", mmap_mode="r")
        for row, file in zip(rows, files_of(place)):
            np.testing.assert_allclose(row, alone(place, file, layer)[0], atol=1e-5)
    assert np.ptp(rows, axis=0).max() > 0.01


def test_ten_views_are_an_axis_of_their_own(place, tmp_path):
    file = files_of(place)[3]
    words = ["activations", place / "run", file, "--layer", "fc7", "--views", 10, "--output", tmp_path / "out"]
    run(*words, "--cpus", 0)
    (row,) = np.load(tmp_path / "out" / "fc7.npy")
    assert row.shape == (10, 20)
    np.testing.assert_allclose(row, alone(place, file, "fc7", before=False, views=10), atol=1e-5)


def test_an_export_names_on_stdin_and_a_data_set(place, tmp_path):
    run("export", place / "run", tmp_path / "net", "--cpus", 0)
    names = "".join(f"{file}\n" for file in files_of(place)[:2])
    words = ["activations", tmp_path / "net", "-", "--layer", "pool5", "--output", tmp_path / "a", "--cpus", 0]
    invoke(*words, stdin=names)
    own = alone(place, files_of(place)[1], "pool5")[0]
    np.testing.assert_allclose(np.load(tmp_path / "a" / "pool5.npy")[1], own, atol=1e-5)
    data = ["--data", place / "data", "--split", "train"]
    words = ["activations", tmp_path / "net", *data, "--layer", "fc8", "--output", tmp_path / "b", "--cpus", 0]
    run(*words)
    keys = (tmp_path / "b" / "keys.txt").read_text().splitlines()
    assert len(keys) == 12 == len(np.load(tmp_path / "b" / "fc8.npy"))
    assert sorted(keys)[0].startswith("ant/")


class Interrupted(Exception):
    """Stands for a kill: nothing of the program runs after it."""


@pytest.mark.parametrize("kind", ["files", "data"])
@pytest.mark.parametrize("kill", [KeyboardInterrupt, Interrupted])
def test_what_was_stopped_goes_on_and_is_the_same(place, tmp_path, monkeypatch, kind, kill):
    monkeypatch.setattr(activations, "MOST_IMAGES_PER_PASS", 2)
    monkeypatch.setattr(activation_store, "SYNCED_ROWS", 4)
    source = [place / "photos"] if kind == "files" else ["--data", place / "data", "--split", "train"]
    words = ["activations", place / "run", *source, "--layer", "conv3", "--layer", "fc7", "--cpus", 0, "--output"]
    ends = 1 if kind == "files" else 0
    invoke(*words, tmp_path / "whole", code=ends)
    real, calls = activations._computed, []

    def computed(net, views):
        if len(calls) == 3:
            raise kill
        calls.append(len(views))
        return real(net, views)

    with monkeypatch.context() as broken:
        broken.setattr(activations, "_computed", computed)
        if kill is Interrupted:
            with pytest.raises(Interrupted):
                activations.write_activations(
                    place / "run", _source(place, kind), tmp_path / "a", ["conv3", "fc7"], mx.cpu()
                )
        else:
            _, said = invoke(*words, tmp_path / "a", code=130)
            assert "Stopped after 6 images; the same command goes on." in said or "Stopped after 5 images" in said
    assert not (tmp_path / "a").exists()
    said, _ = invoke(*words, tmp_path / "a", code=ends)
    assert "of them done before" in said
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "a" / file.name).read_bytes() == file.read_bytes(), file.name


def _source(place, kind):
    from gluon_alexnet.recordio.reading.reader import Reader
    from gluon_alexnet.workflows.image_files import ImageFiles

    if kind == "data":
        return activations.DatasetImages(Reader(place / "data", "train"))
    return activations.FileImages(ImageFiles([str(place / "photos")]))


def begun(place, tmp_path, monkeypatch):
    """A folder with the first four images."""
    monkeypatch.setattr(activations, "MOST_IMAGES_PER_PASS", 2)
    real, calls = activations._computed, []

    def computed(net, views):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(0)
        return real(net, views)

    with monkeypatch.context() as broken:
        broken.setattr(activations, "_computed", computed)
        write(place, tmp_path / "a", "--layer", "fc7", code=130)


def test_other_images_do_not_go_on(place, tmp_path, monkeypatch):
    begun(place, tmp_path, monkeypatch)
    for names, sentence in (
        (["photos/1", "photos/0"], "This was begun with other images: "),
        (["photos/0/image 0.png"], "This was begun with more images: "),
    ):
        _, said = write(place, tmp_path / "a", "--layer", "fc7", names=names, code=2)
        assert sentence in said
    _, said = write(place, tmp_path / "a", "--layer", "fc7", "--data", place / "data", names=[], code=2)
    assert "This was begun with another data set: record 0 was " in said
    _, said = write(place, tmp_path / "a", "--layer", "fc6", code=2)
    assert "a.partial was begun with another layers" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["photos", "--layer", "conv9", "--output", "o"], "There is no layer conv9; this net has mean, padding, conv1"),
        (["photos", "--output", "o"], "Name a layer with --layer; --list prints"),
        (["photos", "--layer", "fc6"], "Name the folder to make with --output"),
        (["--layer", "fc6", "--output", "o"], "Give IMAGES, or a packed data set with --data"),
        (["photos", "--data", "data", "--layer", "fc6", "--output", "o"], "Give IMAGES, or a packed data set"),
        (["photos", "--layer", "fc6", "--output", "photos"], "photos is there already"),
    ],
)
def test_wrong_use(place, monkeypatch, words, sentence):
    monkeypatch.chdir(place)
    assert sentence in run("activations", "run", *words, "--cpus", 0, code=2)
    assert not (place / "o").exists() and not (place / "o.partial").exists()


def test_no_model_and_no_image(place, tmp_path):
    words = ["--layer", "fc6", "--output", tmp_path / "o", "--cpus", 0]
    assert "neither a run, a checkpoint nor an exported net" in run(
        "activations", tmp_path / "none", "x.jpg", *words, code=2
    )
    said = run("activations", place / "run", place / "photos" / "0" / "broken.jpg", *words, code=1)
    assert "There is not one image to compute activations of" in said
    assert list(tmp_path.iterdir()) == []
