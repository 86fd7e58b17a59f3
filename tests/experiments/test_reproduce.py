"""The paper's small experiments: layers against their formulas, trainings that go on as if never stopped, tables."""

import contextlib
import fcntl
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from helpers.runner import run

from gluon_alexnet.backend import mx
from gluon_alexnet.evaluation.metrics import Score
from gluon_alexnet.experiments import cifar as experiments
from gluon_alexnet.experiments import config as cifar_recipe
from gluon_alexnet.experiments import models as cifar_nets
from gluon_alexnet.experiments import tables as experiment_tables
from gluon_alexnet.experiments import trials
from gluon_alexnet.model.alexnet import set_parameters
from gluon_alexnet.recordio.sources import cifar10

BATCH = 40  # images in each of the made batches


def locally_connected(x, weight, bias, size):
    """Each place's own kernels over its neighbourhood, with zeros around the input: float64, place by place."""
    images, maps_below, height, width = x.shape
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2])
    out = np.empty((images, weight.shape[1], height, width))
    for y in range(height):
        for z in range(width):
            window = padded[:, :, y : y + size, z : z + size]
            kernels = weight[y * width + z].reshape(-1, maps_below, size, size)
            out[:, :, y, z] = np.einsum("ncij,kcij->nk", window, kernels) + bias[y * width + z, :, 0]
    return out


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize(("size", "height", "width"), [(3, 5, 4), (5, 3, 6)])
def test_locally_connected_is_the_formula_and_so_is_its_gradient(rng, hybridize, size, height, width):
    layer = cifar_nets.LocallyConnected(cifar_recipe.Convolution(4, size, 0.1), 3, height, width)
    layer.initialize()
    if hybridize:
        layer.hybridize(static_alloc=True)
    x = rng.normal(size=(2, 3, height, width)).astype(np.float32)
    weight = rng.normal(size=layer.weight.shape).astype(np.float32)
    bias = rng.normal(size=layer.bias.shape).astype(np.float32)
    layer.weight.set_data(mx.nd.array(weight))
    layer.bias.set_data(mx.nd.array(bias))
    upstream = rng.normal(size=(2, 4, height, width)).astype(np.float32)
    data = mx.nd.array(x)
    data.attach_grad()
    with mx.autograd.record():
        out = layer(data)
        total = (out * mx.nd.array(upstream)).sum()
    total.backward()
    np.testing.assert_allclose(out.asnumpy(), locally_connected(x, weight, bias, size), rtol=1e-4, atol=1e-4)

    # The sum is linear in each of the three, so a step of any size gives the exact slope.
    def slope(array, place):
        moved = [np.array(a, np.float64) for a in (x, weight, bias)]
        moved[array][place] += 1
        before, after = locally_connected(x, weight, bias, size), locally_connected(*moved, size)
        return (upstream * (after - before)).sum()

    gradients = data.grad, layer.weight.grad(), layer.bias.grad()
    for array, gradient in enumerate(gradients):
        found = gradient.asnumpy()
        for _ in range(12):
            place = tuple(int(rng.integers(n)) for n in found.shape)
            assert found[place] == pytest.approx(slope(array, place), rel=1e-3, abs=1e-3)


def convolved(x, weight, bias):
    """A convolution with zeros around, float64."""
    size = weight.shape[2]
    padded = np.pad(x, [(0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))
    return np.einsum("ncyxij,kcij->nkyx", windows, weight) + bias[:, None, None]


def pooled(x, function):
    """Windows of 3, stride 2; the last may overrun the map and then holds what there is of it."""
    side = -(-(x.shape[2] - 3) // 2) + 1
    rows = [
        [function(x[:, :, 2 * y : 2 * y + 3, 2 * z : 2 * z + 3], axis=(2, 3)) for z in range(side)] for y in range(side)
    ]
    return np.array(rows).transpose(2, 3, 0, 1)


def normalized(x, numbers):
    """b = a / (k + alpha/n sum a^2)^beta over n neighbouring maps."""
    squares = np.pad(x**2, [(0, 0), (numbers.n // 2,) * 2, (0, 0), (0, 0)])
    total = sum(squares[:, shift : shift + x.shape[1]] for shift in range(numbers.n))
    return x / (numbers.k + numbers.alpha / numbers.n * total) ** numbers.beta


def given(net, rng):
    """The net with weights of a size that makes its outputs differ; name → float64 array."""
    net.initialize()
    values = {}
    for name, parameter in net.collect_params().items():
        inputs = np.prod(parameter.shape[1:]) if name.endswith("weight") else 25
        values[name] = rng.normal(0, 1.5 / np.sqrt(inputs), parameter.shape).astype(np.float32)
    set_parameters(net, {name: mx.nd.array(value) for name, value in values.items()})
    return {name: value.astype(np.float64) for name, value in values.items()}


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_four_layer_net_is_what_its_description_says(rng, activation, hybridize):
    net = cifar_nets.FourLayerNet(cifar_recipe.FourLayers(activation=activation))
    values = given(net, rng)
    if hybridize:
        net.hybridize(static_alloc=True)
    x = rng.normal(size=(2, 3, 32, 32)).astype(np.float32)
    function = np.tanh if activation == "tanh" else lambda a: np.maximum(a, 0)
    a = function(pooled(convolved(x, values["conv1_weight"], values["conv1_bias"]), np.max))
    a = pooled(function(convolved(a, values["conv2_weight"], values["conv2_bias"])), np.mean)
    a = pooled(function(convolved(a, values["conv3_weight"], values["conv3_bias"])), np.mean)
    assert a.shape == (2, 64, 4, 4)
    expected = a.reshape(2, -1) @ values["output_weight"].T + values["output_bias"]
    np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("numbers", [None, cifar_recipe.CIFAR_NORMALIZATION], ids=["without", "with"])
def test_the_local_net_is_what_its_description_says(rng, numbers, fast):
    net = cifar_nets.LocalNet(cifar_recipe.LocalLayers(normalization=numbers), fast)
    values = given(net, rng)
    net.hybridize(static_alloc=True)
    x = 40 * rng.normal(size=(2, 3, 24, 24)).astype(np.float32)
    a = x
    for name in ("conv1", "conv2"):
        a = np.maximum(convolved(a, values[f"{name}_weight"], values[f"{name}_bias"]), 0)
        a = pooled(a if numbers is None else normalized(a, numbers), np.max)
    assert a.shape == (2, 64, 6, 6)
    for name in ("local3", "local4"):
        a = np.maximum(locally_connected(a, values[f"{name}_weight"], values[f"{name}_bias"], 3), 0)
    expected = a.reshape(2, -1) @ values["output_weight"].T + values["output_bias"]
    np.testing.assert_allclose(net(mx.nd.array(x)).asnumpy(), expected, rtol=2e-3, atol=2e-2)


class OneWeight(mx.gluon.HybridBlock):
    """Logits of two classes from one weight and one bias."""

    def __init__(self):
        super().__init__(prefix="")
        self.weight = self.params.get("layer_weight", shape=(2, 3), init=mx.init.Normal(1))
        self.bias = self.params.get("layer_bias", shape=(2,), init=mx.init.Normal(1))

    def hybrid_forward(self, F, x, weight, bias):
        return F.FullyConnected(x, weight, bias, num_hidden=2)


def test_an_update_is_the_rule_of_the_2012_code(rng):
    descent = cifar_recipe.Descent(momentum=0.9, rate=0.1, bias_factor=2.0)
    net = OneWeight()
    trainer = trials.SmallTrainer(net, descent, mx.cpu(), {"layer": 0.3})
    trainer.initialize(1)
    w, b = net.weight.data().asnumpy().astype(np.float64), net.bias.data().asnumpy().astype(np.float64)
    vw, vb = np.zeros_like(w), np.zeros_like(b)
    for rate in (0.1, 0.1, 0.01):
        x, y = rng.normal(size=(4, 3, 1, 1)).astype(np.float32), np.array([0, 1, 1, 0])
        logits = x.reshape(4, 3) @ w.T + b
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        wrong = trainer.step(x, y, rate)
        assert wrong == (logits.argmax(axis=1) != y).sum()
        slope = (p - np.eye(2)[y]) / 4
        vw = 0.9 * vw - rate * 0.3 * w - rate * slope.T @ x.reshape(4, 3)
        vb = 0.9 * vb - 2 * rate * slope.sum(axis=0)  # twice the rate, no decay
        w, b = w + vw, b + vb
        np.testing.assert_allclose(net.weight.data().asnumpy(), w, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(net.bias.data().asnumpy(), b, rtol=1e-4, atol=1e-5)


def test_batches_go_through_each_image_once_an_epoch_and_begin_anywhere():
    whole = [batch for _, batch in zip(range(12), trials.batches_from(0, 10, 4, 7))]
    assert [(epoch, len(indices)) for epoch, indices in whole] == [(e, n) for e in range(4) for n in (4, 4, 2)]
    orders = [np.concatenate([indices for e, indices in whole if e == epoch]).tolist() for epoch in range(4)]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    for step in (1, 3, 5, 11):
        epoch, indices = next(trials.batches_from(step, 10, 4, 7))
        assert epoch == whole[step][0]
        assert indices.tolist() == whole[step][1].tolist()


def test_the_error_of_a_window_weighs_images_and_not_batches():
    trial = trials.Trial(wrong=[3, 2, 1, 0], sizes=[4, 4, 2, 4])
    assert trial.error(2) == pytest.approx(100 * 1 / 6)
    assert trial.error(2, step=3) == pytest.approx(100 * 3 / 6)
    assert trial.error(100) == pytest.approx(100 * 6 / 14)
    assert trial.below(17, 2)
    assert not trial.below(16, 2)
    assert not trial.below(99, 5)  # not a full window yet


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.001), (79, 0.001), (80, 0.0001), (89, 0.0001), (90, 0.00001), (99, 0.00001)]
)
def test_the_rate_drops_near_the_end(step, rate):
    descent = cifar_recipe.Descent(rate=0.001, drops=(0.8, 0.9))
    assert experiments.dropped_rate(descent, step, 100) == pytest.approx(rate)


def trial_of(steps, seconds=60.0, diverged=False):
    return trials.Trial([1] * steps, [4] * steps, seconds, diverged)


def test_the_best_rate_is_kept_and_slower_ones_are_given_up(monkeypatch):
    needed = {("relu", 0.1): 50, ("relu", 0.2): 30, ("relu", 0.3): 80, ("tanh", 1.0): 999, ("tanh", 2.0): 90}
    asked = []

    def trained(place, numbers, data, activation, rate, seed, limit, rival=None):
        asked.append((activation, rate, seed, limit))
        steps = min(needed[activation, rate] + seed, limit)
        trial = trial_of(steps)
        monkeypatch.setattr(trials.Trial, "below", lambda self, *_: self.reached, raising=False)
        trial.reached = needed[activation, rate] + seed <= limit
        return trial

    monkeypatch.setattr(experiments, "figure_one_trial", trained)
    numbers = replace(cifar_recipe.FIGURE_ONE, relu_rates=(0.1, 0.2, 0.3), tanh_rates=(1.0, 2.0), epochs=25, seeds=3)
    data = SimpleNamespace(train=np.zeros(4 * 128))  # four updates an epoch: at most 100
    found = experiments.figure_one(None, numbers, data)
    assert found["relu"].tried == {0.1: 50, 0.2: 30, 0.3: None}
    assert found["relu"].best_rate == 0.2
    assert found["relu"].updates == [30, 31, 32]
    assert found["tanh"].tried == {1.0: None, 2.0: 90}
    assert found["tanh"].updates == [90, 91, 92]
    assert [limit for activation, *_, limit in asked if activation == "relu"] == [100, 50, 30, 100, 100]
    table = experiment_tables.figure_one(found, numbers, 512)
    assert "ReLU is 2.94 times sooner there than tanh (2.88 to 3.00 by seed)" in table  # 91 / 31; 92 / 32, 90 / 30
    assert "0.3: given up" in table
    found["tanh"].updates[1] = None
    assert "No ratio" in experiment_tables.figure_one(found, numbers, 512)


def test_the_table_of_normalization_says_the_difference_and_its_spread():
    def result(*wrong):
        return experiments.NormalizedResult([trial_of(5)] * len(wrong), [[Score(1, 200, w, 0)] for w in wrong])

    results = {"without": result(60, 64, 56), "with": result(50, 58, 54)}
    table = experiment_tables.normalization_test(results, cifar_recipe.NORMALIZATION_TEST, 1000)
    assert "30.00, 32.00, 28.00" in table
    # differences 5, 3, 1: their mean 3, their deviation 2
    assert "LRN takes away 3.00 points (centre view; by seed 5.00, 3.00, 1.00; deviation 2.00); the paper: 2" in table
    assert "each of 200 test images counted once" in table


def test_ablations_are_told_beside_the_paper_s_differences():
    rows = [
        experiment_tables.Ablation("full", {10: 40.0, 1: 42.0}, {10: 18.0, 1: 19.0}, 90),
        experiment_tables.Ablation("no-lrn", {10: 41.5, 1: 43.0}, {10: 19.0, 1: 20.0}, 90),
        experiment_tables.Ablation("tanh", {10: 39.0, 1: 43.0}, {10: 17.5, 1: 20.0}, 90),
    ]
    full, no_lrn, tanh = experiment_tables.ablations(rows, 50000, "d").splitlines()[-3:]
    assert "+1.50 / +1.00  +1.4 top-1, +1.2 top-5 (Sec. 3.3)" in no_lrn
    assert "-1.00 / -0.50  no number" in tanh
    assert "+" not in full


# The commands, on made images that can be told apart by their colour.


@pytest.fixture
def source(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(cifar10, "IMAGES_PER_BATCH", BATCH)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]:
        labels = rng.integers(0, 10, BATCH)
        pixels = rng.integers(0, 100, (BATCH, 3, 1024)) + 15 * labels[:, None, None] * np.array([1, 0, 0])[:, None]
        records = np.concatenate([labels[:, None], pixels.reshape(BATCH, -1)], axis=1).astype(np.uint8)
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij"))
    return folder


LIMITS = ["--images", 96, "--seeds", 2, "--cpus", 0]


@pytest.fixture
def short(monkeypatch):
    """Batches of 32; four updates are a full window, and any training error is low enough."""
    descent = replace(cifar_recipe.Descent(), batch_size=32)
    monkeypatch.setattr(
        cifar_recipe, "FIGURE_ONE", replace(cifar_recipe.FIGURE_ONE, descent=descent, window=4, target=100.0)
    )
    monkeypatch.setattr(cifar_recipe, "NORMALIZATION_TEST", replace(cifar_recipe.NORMALIZATION_TEST, descent=descent))


def test_a_trial_that_is_interrupted_ends_bit_by_bit_as_one_that_is_not(source, tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "SAVE_EVERY", 3)
    found = cifar10.read_cifar(source)
    data = trials.Data(
        found.train, found.train_labels, found.test, found.test_labels
    )  # 200: an update of 72 each epoch
    numbers = replace(cifar_recipe.FIGURE_ONE, target=0.0, window=2)

    def trained(out, stop):
        report = lambda *_: contextlib.nullcontext(lambda *_: None)  # noqa: E731
        place = trials.TrialContext(out, mx.cpu(), stop, report)
        return experiments.figure_one_trial(place, numbers, data, "relu", 0.002, 1, 7)

    whole = trained(tmp_path / "a", lambda: False)
    asked = iter([False] * 4 + [True])  # one update after the save of the third
    with pytest.raises(trials.Interrupted):
        trained(tmp_path / "b", lambda: next(asked))
    resumed = trained(tmp_path / "b", lambda: False)
    assert whole.step == 7
    assert (whole.wrong, whole.sizes) == (resumed.wrong, resumed.sizes)
    assert whole.sizes == [128, 72, 128, 72, 128, 72, 128]
    for name in ("parameters.params", "momentum.params"):
        files = [tmp_path / x / "relu-rate-0.002-seed-1" / "latest" / name for x in "ab"]
        assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(("rival", "steps"), [([0] * 8, 4), ([128] * 8, 6), (None, 6)], ids=["behind", "ahead", "none"])
def test_a_rate_that_is_behind_half_way_is_given_up(source, tmp_path, rival, steps):
    found = cifar10.read_cifar(source)
    data = trials.Data(found.train, found.train_labels, found.test, found.test_labels)
    numbers = replace(cifar_recipe.FIGURE_ONE, target=0.0, window=2)
    report = lambda *_: contextlib.nullcontext(lambda *_: None)  # noqa: E731
    place = trials.TrialContext(tmp_path / "out", mx.cpu(), lambda: False, report)
    best = trials.Trial(rival, [128] * 8) if rival else None
    assert experiments.figure_one_trial(place, numbers, data, "tanh", 0.002, 0, 6, best).step == steps


def test_figure_1_counts_draws_and_goes_on(source, short, tmp_path):
    out = tmp_path / "out"
    words = ["reproduce", "figure-1", "--source", source, "--out", out, *LIMITS, "--epochs", 3]
    words += ["--relu-rates", "0.002", "--tanh-rates", "0.005"]
    table = run(*words)
    assert "on 96 training images of CIFAR-10" in table
    assert [line.split() for line in table.splitlines() if line.startswith(("ReLU  ", "tanh  "))] == [
        ["ReLU", "0.002:", "4", "0.002", "4,", "4", "4", "0"],  # at the rate; the best; both seeds; mean, deviation
        ["tanh", "0.005:", "4", "0.005", "4,", "4", "4", "0"],
    ]
    assert "ReLU is 1.00 times sooner" in table
    assert (out / "figure-1.txt").read_text().strip() in table
    assert (out / "figure-1.png").read_bytes().startswith(b"\x89PNG")
    began = (out / "relu-rate-0.002-seed-0" / "latest").resolve().stat().st_mtime_ns
    again = run(*words)
    assert again.splitlines()[1:] == table.splitlines()[1:]  # all but the day and the machine
    assert (out / "relu-rate-0.002-seed-0" / "latest").resolve().stat().st_mtime_ns == began
    words[words.index(96)] = 64
    assert "holds results of other settings or data" in run(*words, code=2)


def test_figure_1_says_that_the_target_was_not_reached(source, short, tmp_path):
    words = ["reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *LIMITS, "--epochs", 1]
    table = run(*words, "--relu-rates", "0.002,0.001", "--tanh-rates", "0.005")  # three updates, less than a window
    assert "0.002: given up, 0.001: given up" in table
    assert "No ratio: not every training reached the target" in table
    assert (tmp_path / "out" / "figure-1.png").exists()


def test_a_rate_at_which_the_loss_is_no_number_is_given_up(source, short, tmp_path):
    words = ["reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *LIMITS]
    table = run(*words, "--relu-rates", "1e9,0.002", "--tanh-rates", "0.005")
    assert "1e+09: given up, 0.002: 4" in table


def test_lrn_measures_every_test_image(source, short, tmp_path):
    out = tmp_path / "out"
    words = ["reproduce", "lrn", "--source", source, "--out", out, "--images", 64, "--seeds", 2, "--cpus", 0]
    table = run(*words, "--epochs", 1, "--views", "1")
    assert f"each of {BATCH} test images counted once" in table
    assert [line.split()[:4] for line in table.splitlines() if " LRN " in line and " view " in line][:2] == [
        ["without", "LRN", "centre", "view"],
        ["with", "LRN", "centre", "view"],
    ]
    assert (out / "lrn.png").read_bytes().startswith(b"\x89PNG")
    folders = sorted(p.name for p in out.glob("*-seed-*"))
    assert folders == [f"{word}-lrn-seed-{seed}" for word in ("with", "without") for seed in (0, 1)]


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on(source, tmp_path):
    code = (
        f"from gluon_alexnet.recordio.sources import cifar10; cifar10.IMAGES_PER_BATCH = {BATCH}\n"
        "from gluon_alexnet.experiments import trials; trials.SAVE_EVERY = 1\n"
        "from gluon_alexnet.tools.main import main; main()"
    )
    words = ["reproduce", "lrn", "--source", source, "--images", 128, "--seeds", 1, "--cpus", 0, "--views", "1"]
    program = [sys.executable, "-c", code, *map(str, words), "--epochs", "8", "--out"]
    process = subprocess.Popen(
        [*program, str(tmp_path / "a")], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "a" / "without-lrn-seed-0" / "latest").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGINT
    assert f"what was done is in {tmp_path / 'a'}, and the same command goes on from there" in said
    assert not (tmp_path / "a" / "lrn.txt").exists()
    tables = [run(*words, "--epochs", 8, "--out", tmp_path / name).splitlines()[1:] for name in "ab"]
    assert tables[0][:-1] == tables[1][:-1]  # the last line says how long it took


def test_ablations_train_what_is_not_trained_yet_and_measure_as_eval_does(tmp_path, rng):
    for split in ("train", "val"):
        for label in range(4):
            for index in range(2):
                file = tmp_path / "images" / split / f"class{label}" / f"{index}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), rng.integers(0, 60 * (label + 1), (64, 64, 3), dtype=np.uint8))
    images, data, out = tmp_path / "images", tmp_path / "data", tmp_path / "out"
    run("pack", "--train", images / "train", "--val", images / "val", "--data", data)
    words = ["reproduce", "ablations", "--data", data, "--recipe", "narrow", "--batch-size", 8, "--out", out]
    words += ["--epochs", 1, "--cpus", "0,1"]
    table = run(*words, "--variant", "no-lrn")
    assert "on 8 validation images" in table
    row = next(line for line in table.splitlines() if line.startswith("no-lrn"))
    assert "+1.4 top-1, +1.2 top-5 (Sec. 3.3)" in row
    measured = {}
    for name in ("full", "no-lrn"):
        model = ["--model", out / name, "--data", data, "--cpus", 0, "--json"]
        measured[name] = json.loads(run("eval", *model))["scores"][0]
    for name in measured:
        line = next(line for line in table.splitlines() if line.startswith(name))
        assert f"{measured[name]['top1_error']:.2f} / {measured[name]['top5_error']:.2f}" in line
    difference = measured["no-lrn"]["top1_error"] - measured["full"]["top1_error"]
    assert f"{difference:+.2f} / " in row
    assert (out / "ablations.png").read_bytes().startswith(b"\x89PNG")
    before = (out / "full" / "log.jsonl").read_bytes()
    assert run(*words, "--variant", "one-gpu").count("one-gpu") >= 1  # on the first of the two devices
    assert (out / "full" / "log.jsonl").read_bytes() == before
    words[words.index("--epochs") + 1] = 2
    assert "is a run of another recipe or data set" in run(*words, code=2)
    assert "There is no variant 'other'" in run(*words, "--out", tmp_path / "new", "--variant", "other", code=2)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--images", 127], "a batch 128"),
        (["--images", 201], "has 200 training images"),
        (["--seeds", 0], "0 is not in the range"),
        (["--cpus", "0,1"], "run on 1 device, not on 2"),
        (["--relu-rates", "0.1,-1"], "is not a list of different rates above 0"),
        (["--tanh-rates", "nan"], "is not a list of different rates above 0"),
        (["--tanh-rates", "0.1,0.1"], "is not a list of different rates above 0"),
    ],
)
def test_wrong_use_is_said_and_leaves_nothing(source, tmp_path, words, sentence):
    assert sentence in run("reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *words, code=2)
    assert not (tmp_path / "out").exists()


def test_what_is_no_cifar_10_is_said(source, tmp_path):
    (source / "test_batch.bin").write_bytes(b"cut")
    said = run("reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", code=2)
    assert "test_batch.bin: 3 bytes where" in said
    said = run("reproduce", "lrn", "--source", tmp_path / "none.tar.gz", "--out", tmp_path / "out", code=2)
    assert "none.tar.gz: no such file" in said
    assert not (tmp_path / "out").exists()


def test_a_folder_in_which_another_process_works_is_left_alone(source, short, tmp_path):
    words = ["reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *LIMITS, "--epochs", 1]
    words += ["--relu-rates", "0.002", "--tanh-rates", "0.005"]
    run(*words)
    with open(tmp_path / "out" / "settings.json", "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "is being worked in by another process" in run(*words, code=2)


def test_a_folder_with_other_files_is_left_alone(source, short, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    said = run("reproduce", "figure-1", "--source", source, "--out", tmp_path / "out", *LIMITS, code=2)
    assert "is not empty" in said
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]
