"""The whole job from Python: pack, train, stop, resume, evaluate, export, load, predict; no command is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from helpers.images import class_tree, file_bytes, photo

import gluon_alexnet as ga
from gluon_alexnet.workflows.export import Checks

PUBLIC = {
    *("Evaluation", "Guess", "ImportedNet", "InitFrom", "InvalidRequest", "Model", "OperationFailed", "PackReport"),
    *("Prediction", "TrainingCallback", "TrainingOptions", "TrainingResult", "__version__"),
    *("evaluate", "export", "import_weights", "load", "pack", "report", "serve", "train"),
}

JOB = """
    import io, sys
    import numpy as np
    import gluon_alexnet as ga
    from gluon_alexnet.recipes.presets import RECIPES

    assert not {"mxnet", "numpy.random.mtrand", "cv2", "click"} & (set(sys.modules) - {"numpy.random.mtrand"}), "light"
    folder, images = sys.argv[1], sys.argv[2]


    class After(ga.TrainingCallback):
        def __init__(self, updates):
            self.updates, self.seen, self.epochs = updates, 0, []

        def stop(self):
            self.seen += 1
            return self.seen >= self.updates

        def epoch_done(self, state):
            self.epochs.append(state.epochs[-1]["epoch"])


    packed = ga.pack(train=images, val=images, out=folder + "/data")
    assert packed.packed == {"train": 28, "val": 28}, packed
    words = {"recipe": "narrow", "epochs": 2, "batch_size": 7, "devices": ["cpu(0)", "cpu(1)"], "run": folder + "/run"}
    stopped = ga.train(folder + "/data", callbacks=[After(3)], **words)
    assert not stopped.finished and stopped.position == 21, stopped
    watched = After(10**9)
    done = ga.train(resume=True, run=folder + "/run", devices="cpu(0)", callbacks=[watched])
    assert done.finished and watched.epochs == [1, 2], (done, watched.epochs)
    found = ga.evaluate(done.run, views=(10, 1), device="cpu(0)")
    assert (found.images, [score.views for score in found.scores]) == (28, [10, 1])
    assert done.epochs[-1]["validation_top1"] == found.scores[1].top1, "the error that steers is the one of eval"
    assert done.epochs[-1]["validation_top5"] == found.scores[1].top5
    (written, *_) = ga.export(done.run, folder + "/OUT", device="cpu(0)")
    net, exported = ga.load(done.run, device="cpu(0)"), ga.load(folder + "/OUT", device="cpu(0)")
    both = ga.evaluate([net, exported], folder + "/data", device="cpu(0)")
    assert both.scores[0] == found.scores[0]
    np.testing.assert_allclose(net.probabilities([images]), exported.probabilities([images]), atol=1e-5)
    assert len(exported.predict(images, top=3)) == 28
    assert "click" not in sys.modules
    assert sys.stdout.tell() == 0 if sys.stdout.seekable() else True
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    class_tree(folder / "images", ("ant", "bee", "cat", "dog", "elk", "fox", "gnu"), 4)
    job = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(JOB), str(folder), str(folder / "images")]
    done = subprocess.run(job, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""  # nothing prints
    return folder


def test_the_job_runs_without_click_and_prints_nothing(place):
    assert {"data", "run", "OUT-symbol.json", "OUT-0000.params", "OUT.json", "OUT.md"} <= set(os.listdir(place))


def test_the_api_is_what_is_declared():
    assert set(ga.__all__) == PUBLIC
    assert set(dir(ga)) == PUBLIC
    for name in PUBLIC:
        assert getattr(ga, name) is not None
        assert name == "__version__" or getattr(ga, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'learner'"):
        _ = ga.learner


def test_importing_is_light():
    code = "import sys, gluon_alexnet; print({'mxnet', 'numpy', 'cv2', 'click', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_images_in_every_form_are_the_same_image(place):
    """A PNG of 256×256 is what the net is shown, so that pixels, bytes, PIL's image and the file agree to the bit."""
    from PIL import Image

    net = ga.load(place / "run", device="cpu(0)")
    pixels = photo(3, 256, 256)
    content = file_bytes(pixels, "png")
    (place / "one.png").write_bytes(content)
    forms = [place / "one.png", content, Image.fromarray(pixels), pixels]
    rows = [net.probabilities([form]) for form in forms] + [
        net.probabilities(whole) for whole in (pixels[None], pixels, content, Image.fromarray(pixels))
    ]
    for row in rows:
        assert (row.shape, row.dtype) == ((1, 7), np.float32)
        np.testing.assert_array_equal(row, rows[0])
    (prediction,) = net.predict(place / "one.png", views=1, top=2)
    best = np.argsort(-rows[0][0])[:2]
    assert [guess.wnid for guess in prediction.guesses] == [net.classes[label]["wnid"] for label in best]
    assert [guess.probability for guess in prediction.guesses] == [float(rows[0][0][label]) for label in best]


def test_activations_are_relu_of_what_is_before_it(place):
    net = ga.load(place / "run", device="cpu(0)")
    images = np.stack([photo(seed, 256, 256) for seed in range(3)])
    after = net.activations(images, ["conv5", "fc6"])
    before = net.activations(images, ["conv5", "fc6"], before_activation=True)
    for name in ("conv5", "fc6"):
        assert after[name].shape == (3, *net.layers[name])
        assert (before[name] < 0).any()
        np.testing.assert_allclose(after[name], np.maximum(before[name], 0), atol=1e-6)
    with pytest.raises(ga.InvalidRequest, match="no layer conv9"):
        net.activations(images, ["conv9"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda at: ga.pack(train=at / "none", val=at / "none", out=at / "new"), "none"),
        (lambda at: ga.load(at / "nothing"), "neither a run, a checkpoint nor an exported net"),
        (lambda at: ga.load(at / "run", device=["cpu(0)", "cpu(1)"]), "runs on one device, and 2 are given"),
        (lambda at: ga.load(at / "run", device="tpu(0)"), "'tpu\\(0\\)' is no device"),
        (lambda at: ga.train(at / "data", recipe="papers"), "There is no recipe 'papers'"),
        (lambda at: ga.train(at / "data", recipe="narrow", learning_rat=1), "There is no 'learning_rat'"),
        (lambda at: ga.train(at / "data", recipe="narrow", devices=["cpu(0)", "gpu(0)"]), "GPUs or CPU contexts"),
        (lambda at: ga.evaluate(at / "run", views=(5,)), "10 views or 1, not 5"),
        (lambda at: ga.evaluate([at / "run"], weights=[1, 2]), "2 numbers for 1 models"),
        (lambda at: ga.load(at / "run", device="cpu(0)").predict([np.zeros((4, 4))]), "give uint8"),
        (lambda at: ga.load(at / "run", device="cpu(0)").predict(None), "None is no image"),
        (lambda at: ga.load(at / "run", device="cpu(0)").predict(np.zeros((9, 9, 3), np.uint8), top=-1), "not -1"),
        (lambda at: ga.load(at / "run", device="cpu(0)").predict(np.zeros((9, 9, 3), np.uint8), top=0), "not 0"),
        (lambda at: ga.pack(out=at / "other"), "Say what to pack"),
    ],
)
def test_wrong_use_is_an_invalid_request(place, wrong, said):
    with pytest.raises(ga.InvalidRequest, match=said):
        wrong(place)


DEEP = "[" * 200_000


@pytest.mark.parametrize("name", ["OUT.json", "run/recipe.json", "run/latest/state.json", "data/dataset.json"])
def test_json_nested_beyond_measure_is_a_damaged_file(place, tmp_path, name):
    """Python's parser ends such a text with RecursionError, which is no ValueError."""
    shutil.copytree(place, tmp_path / "copy", symlinks=True)
    (tmp_path / "copy" / name).write_text(DEEP)
    model = tmp_path / "copy" / ("OUT" if name == "OUT.json" else "run")
    with pytest.raises(ga.OperationFailed, match=name.rpartition("/")[2]):
        ga.evaluate(model, tmp_path / "copy" / "data", device="cpu(0)")


def test_a_log_with_lines_that_are_no_events_can_be_reported_and_exported(place, tmp_path):
    shutil.copytree(place, tmp_path / "copy", symlinks=True)
    with open(tmp_path / "copy" / "run" / "log.jsonl", "a") as log:
        log.write(f'{DEEP}\n["\\"event\\": \\"start\\""]\n["event": "start"]\n7\n')
    ga.report(tmp_path / "copy" / "run", tmp_path / "page.html", tmp_path / "copy" / "data", device="cpu(0)")
    ga.export(tmp_path / "copy" / "run", tmp_path / "again", device="cpu(0)", checks=Checks(tmp_path / "copy" / "data"))
    assert (tmp_path / "again.md").is_file()


def test_what_is_no_image_fails_or_is_reported_in_its_place(place):
    net = ga.load(place / "run", device="cpu(0)")
    with pytest.raises(ga.OperationFailed, match="image 1 is no image this program reads"):
        net.predict([b"junk"])
    first, second = net.predictions([b"junk", photo(1, 256, 256)], views=1)
    assert (first.source, first.guesses) == ("image 1", [])
    assert len(second.guesses) == 5
