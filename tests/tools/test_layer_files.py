"""`train --cuda-convnet` and `recipes --cuda-convnet`: a net of layer files does what every other net does."""

import json

import numpy as np
import pytest
from helpers import cuda_files as files
from helpers import images
from helpers.nets_2012 import Narrow
from helpers.runner import invoke, run
from starlette.testclient import TestClient

from gluon_alexnet import backend
from gluon_alexnet.serving import app
from gluon_alexnet.training import checkpoint, run_folder
from gluon_alexnet.workflows import layer_files, serve

SIZE = 99


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small data set of 3 classes, the files of a narrow #145, and a run of one epoch on two contexts."""
    folder = tmp_path_factory.mktemp("layer-files")
    images.packed(folder)
    files.write(folder, *Narrow(classes=3, rate=0.001).files())
    train(folder, "run", "--cpus", "0,1", "--epochs", 1)
    return folder


def pair(place):
    return place / "layers-own.cfg", place / "layer-params-own.cfg"


def train(place, name, *words, code=0):
    words = words if "--resume" in words else ("--cuda-convnet", *pair(place), "--input-size", SIZE, *words)
    words = words if "--resume" in words else (*words, "--batch-size", 4, "--data", place / "data")
    return run("train", "--run", place / name, *words, code=code)


def parameters(run):
    return {name: value.asnumpy() for name, value in checkpoint.load_run(run)[2].items()}


def test_two_devices_resumed_on_one_are_the_numbers_of_one(place):
    """Two epochs on one device, and one on two that goes on on one."""
    train(place, "whole", "--cpus", 0, "--epochs", 2)
    train(place, "parts", "--cpus", "0,1", "--epochs", 1)
    train(place, "parts", "--cpus", 0, "--epochs", 2, "--resume")
    whole, parts = (parameters(place / name) for name in ("whole", "parts"))
    first = parameters(place / "run")
    assert set(whole) == set(parts) == set(first) and "conv3a_weight1" in whole
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=0, atol=1e-4 * np.abs(value).max(), err_msg=name)
        assert name == "mean" or (first[name] != value).any(), name


def test_its_report(place, tmp_path):
    run("report", place / "run", "--output", tmp_path / "r.html", "--cpus", 0, "--views", 1)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "the net is that of the layer file layers-own.cfg: 31 layers" in text
    for title in ("How it went", "What it reaches", "What layer 1 looks for", "To do it again"):
        assert f"<h2>{title}</h2>" in text


def test_it_is_served_without_its_inside(place):
    """Its layers have names of their own, which the page does not know: it shows the guesses and the ten views."""
    service = serve.open_service(place / "run", backend.contexts("cpu", [0])[0], place / "data")
    core = serve.build_core(service)
    image = (images.ODD / "hopper_gray.jpg").read_bytes()
    with TestClient(app.build(core, "0")) as client:
        model = client.get("/model").json()
        assert (model["columns"], model["switches"], model["classes"]) == (0, [], 3)
        look = client.post("/look", content=image).json()
        assert len(look["views"]) == 10 and sum(look["probabilities"]) == pytest.approx(1, abs=1e-4)
        assert client.post("/activations", content=image).status_code == 404
    service.gallery.close()


def test_the_run_says_what_it_is(place):
    description = json.loads((place / "run" / "recipe.json").read_text())
    recipe = description["recipe"]
    assert recipe["name"] == "layers-own" and recipe["network"]["source"] == "layers-own.cfg"
    network = run_folder.read_description(place / "run").recipe.network
    assert len(recipe["network"]["layers"]) == len(network.layers) == 31 and network.layer("rnorm1a").minimum == 2
    logged = [json.loads(line) for line in (place / "run" / "log.jsonl").read_text().splitlines()]
    rates = next(line for line in logged if line["event"] == "epoch")["learning_rates"]
    assert rates["conv1a_weight"] == 0.001 and rates["conv1a_bias"] == 0.02


def test_it_is_evaluated_exported_drawn_and_looked_into(place, tmp_path):
    data, net = place / "data", place / "run"
    scores = [invoke("eval", "--model", net, "--data", data, "--json", "--cpus", 0)[0]]
    said = run("export", net, tmp_path / "net", "--data", data, "--onnx", "--cpus", 0)
    assert "onnxruntime" in said
    scores.append(invoke("eval", "--model", tmp_path / "net", "--data", data, "--json", "--cpus", 0)[0])
    assert json.loads(scores[0])["scores"] == json.loads(scores[1])["scores"]
    assert "layer file layers-own.cfg" in (tmp_path / "net.md").read_text()
    assert "12 kernels" in run("plot", "filters", net, "--output", tmp_path / "filters.png")
    image = next((place / "val").rglob("*.JPEG"))
    assert "JPEG: " in run("predict", net, image, "--cpus", 0)


def test_the_rates_of_the_files_are_changed_by_hand(place):
    train(place, "by-hand", "--epochs", 2, "--lr", 0.004, "--lr-steps", 1, "--variant", "no-colour-shift")
    logged = [json.loads(line) for line in (place / "by-hand" / "log.jsonl").read_text().splitlines()]
    epochs = [line["learning_rates"] for line in logged if line["event"] == "epoch"]
    assert [rates["conv3b_weight0"] for rates in epochs] == pytest.approx([0.004, 0.0004])
    assert [rates["conv3b_bias"] for rates in epochs] == pytest.approx([0.02, 0.02])
    for words, sentence in (
        (["--plateau", 3], "a plateau are for recipes"),
        (["--layer-rates", "conv1=0.1"], "Factors of layers and a plateau are for recipes"),
        (["--variant", "one-gpu"], "layers-own is a net of a layer file (layers-own.cfg), not one of the paper's."),
        (["--recipe", "paper"], "Give --recipe or --cuda-convnet, not both."),
        (["--cpus", "0,1,2"], "A net of 2 columns runs on 1 device or on a multiple of 2, not on 3."),
    ):
        assert sentence in train(place, "refused", *words, code=2)
    assert not (place / "refused").exists()


def test_rates_that_fall_within_a_run(place, tmp_path):
    layers, params = Narrow(classes=3, rate=0.001).files()
    files.write(tmp_path, layers, params.replace("epsB", "schedW=exp[100]\nepsB"))
    words = ["--cuda-convnet", *pair(tmp_path), "--input-size", SIZE, "--batch-size", 4, "--data", place / "data"]
    run("train", "--run", tmp_path / "run", *words, "--epochs", 2, "--cpus", 0)
    logged = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    rates = [line["learning_rates"]["conv1a_weight"] for line in logged if line["event"] == "epoch"]
    assert rates == pytest.approx([0.001, 0.0001])  # at the beginning of each epoch


def test_a_timetable_of_one_s_own_is_logged_as_it_happens(place, tmp_path):
    (tmp_path / "diary").write_text("1: 0.002, conv1a 0, conv1a bias 0, colour 0\n")
    said = train(place, "diary", "--epochs", 2, "--timetable", tmp_path / "diary")
    assert "step 3: after 1: weights of conv1a 0\n" in said and "step 3: after 1: colour 0\n" in said
    logged = [json.loads(line) for line in (place / "diary" / "log.jsonl").read_text().splitlines()]
    rates = [line["learning_rates"] for line in logged if line["event"] == "epoch"]
    assert [one["conv1a_weight"] for one in rates] == [0.001, 0] and rates[1]["conv1b_weight"] == 0.002
    assert next(line["change"] for line in logged if line["event"] == "timetable") == "after 1: weights 0.002"
    first = parameters(place / "run")  # of one epoch with the files' own rates
    assert (parameters(place / "diary")["conv1a_weight"] == first["conv1a_weight"]).all()
    (tmp_path / "diary").write_text("1: conv3 0.5\n")
    said = train(place, "refused", "--timetable", tmp_path / "diary", code=2)
    assert "diary, line 1: there is no layer 'conv3'; there are conv1a, rnorm1a" in said


def test_a_net_whose_initial_weights_came_from_another_one(place, tmp_path):
    layers, params = Narrow(classes=3).files()
    layers = layers.replace("[conv1a]", "[conv1a]\ninitWFunc=initw.makew(conv1a)")
    files.write(tmp_path, layers, params)
    words = ["--cuda-convnet", *pair(tmp_path), "--input-size", SIZE, "--batch-size", 4, "--data", place / "data"]
    words += ["--run", tmp_path / "run", "--epochs", 1, "--cpus", 0]
    said = run("train", *words, code=2)
    assert "(conv1a and 0 other layers have initWFunc=), which is not run: name that net with --init-from." in said
    said = run("train", *words, "--init-from", place / "run")
    assert "conv1a, conv2a, conv1b" in said and "the other layers are new" in said
    begun = json.loads((tmp_path / "run" / "recipe.json").read_text())["initialized_from"]["layers"]
    assert begun[0] == "conv1a" and begun[-1] == "out" and len(begun) == 15


def test_recipes_shows_the_layers_of_files(place):
    said = run("recipes", "--cuda-convnet", pair(place)[0], "--input-size", SIZE)
    lines = said.splitlines()
    total = sum(value.size for name, value in parameters(place / "run").items() if name != "mean")
    assert lines[0] == f"layers-own.cfg: 31 layers on 2 devices, {total:,} parameters"
    assert lines[1].split() == ["conv1a", "conv", "6×23×23", "2,184", "gpu", "0", "reads", "data"]
    assert len(lines) == 32
    assert "go together" in run("recipes", "--cuda-convnet", code=2)
    assert "belongs to --cuda-convnet" in run("recipes", "--input-size", 99, code=2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"layers": ("inputs=data", "inputs=dat")}, "[conv1a]: it reads 'dat', and there is no such layer."),
        ({"layers": ("outputs=3", "outputs=7")}, "layers-own.cfg gives 7 outputs (out) and the data set has 3 classes"),
        ({"params": ("[conv2b]", "[conv9b]")}, "no section [conv2b], which layers-own.cfg needs: it belongs to"),
        ({}, "needs 0.0 GiB of memory at least, and 0.0 GiB are free"),
    ],
)
def test_bad_files_are_refused_before_a_run_begins(place, tmp_path, change, sentence, monkeypatch):
    if not change:
        monkeypatch.setattr(layer_files, "_available", lambda: 1_000_000)
    texts = dict(zip(("layers", "params"), Narrow(classes=3).files()))
    for which, (old, new) in change.items():
        assert old in texts[which]
        texts[which] = texts[which].replace(old, new)
    files.write(tmp_path, texts["layers"], texts["params"])
    words = ["--cuda-convnet", *pair(tmp_path), "--input-size", SIZE, "--batch-size", 4, "--data", place / "data"]
    assert sentence in run("train", *words, "--run", tmp_path / "run", "--cpus", 0, code=2)
    assert not (tmp_path / "run").exists()
