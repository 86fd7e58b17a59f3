"""Trials: the update, the batches and the rates of a training on CIFAR-10, and the tables of what they came to."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.evaluation.metrics import Score
from gluon_alexnet.experiments import cifar as experiments
from gluon_alexnet.experiments import config as cifar_recipe
from gluon_alexnet.experiments import tables as experiment_tables
from gluon_alexnet.experiments import trials


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


def trial_of(steps, reached=True):
    """So many updates on batches of four, of which one image is wrong each time, or two."""
    return trials.Trial([1 if reached else 2] * steps, [4] * steps, 60.0)


def test_the_best_rate_is_kept_and_slower_ones_are_given_up(monkeypatch):
    needed = {("relu", 0.1): 50, ("relu", 0.2): 30, ("relu", 0.3): 80, ("tanh", 1.0): 999, ("tanh", 2.0): 90}
    asked = []

    def trained(place, numbers, data, activation, rate, seed, limit, rival=None):
        asked.append((activation, rate, seed, limit))
        steps = needed[activation, rate] + seed
        return trial_of(min(steps, limit), steps <= limit)

    monkeypatch.setattr(experiments, "figure_one_trial", trained)
    numbers = replace(
        cifar_recipe.FIGURE_ONE, relu_rates=(0.1, 0.2, 0.3), tanh_rates=(1.0, 2.0), epochs=25, seeds=3, window=4
    )
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
