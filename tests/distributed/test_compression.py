"""Gradients in two bits: against the rule in NumPy and MXNet's own compression; stopped and resumed."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import two_bit_process
from helpers.images import packed
from helpers.processes import Processes
from helpers.runner import run as command

from gluon_alexnet.backend import mx
from gluon_alexnet.distributed.compression import TwoBit
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.recipes import differences, presets
from gluon_alexnet.training import checkpoint
from gluon_alexnet.training.trainer import Trainer

PROGRAM = Path(two_bit_process.__file__)


def by_hand(gradient, residual, threshold):
    """(what is sent, in thresholds, what is kept) of one worker, number by number as the rule is printed."""
    total = (residual + gradient).astype(np.float32)
    sent = np.zeros(total.shape, np.float32)
    sent[total >= np.float32(threshold)] = 1
    sent[total <= -np.float32(threshold)] = -1
    return sent, (total - sent * np.float32(threshold)).astype(np.float32)


@pytest.mark.parametrize(("workers", "digits"), [(1, 13), (2, 9), (4, 6), (8, 5), (64, 3), (200, 2), (3000, 1)])
def test_sums_of_many_workers_are_those_of_the_rule(rng, workers, digits):
    rule, shape = TwoBit(0.37, workers), (5, 13, 7)
    assert rule.digits == digits and (2 * workers + 1) ** digits <= 2**22
    kept = np.zeros((workers, *shape), np.float32)
    ours = [mx.nd.zeros(shape) for _ in range(workers)] if workers < 100 else None
    for _ in range(3):
        sums, total = np.zeros(shape, np.float32), None
        for worker in range(workers):
            # All send the same in the corner: the largest and the smallest sum there can be.
            gradient = rng.normal(0, 0.4, shape).astype(np.float32)
            gradient[0, 0, :2] = 0.37, -0.37
            residual = ours[worker] if ours else mx.nd.array(kept[worker])
            sent = rule.pack(mx.nd.array(gradient), residual)
            assert sent.shape == (rule.packed_size(gradient.size),)
            total = sent if total is None else total + sent
            own, kept[worker] = by_hand(gradient, kept[worker], 0.37)
            np.testing.assert_array_equal(residual.asnumpy(), kept[worker])
            sums += own
        found = mx.nd.zeros(shape)
        rule.unpack(total, found)
        np.testing.assert_array_equal(found.asnumpy(), sums * np.float32(0.37))
        if ours is None:
            break


def test_a_residual_is_shared_among_another_number_of_workers(small_recipe, rng):
    recipe = dataclasses.replace(small_recipe, learning=dataclasses.replace(small_recipe.learning, compress="2bit"))
    trainer = Trainer(recipe, 7, [mx.cpu(0), mx.cpu(1)])
    trainer.initialize(seed=0)
    whole = {name: one for name, one in trainer.parameters().items() if name != "mean"}
    saved = [{n: mx.nd.array(rng.normal(0, 1, one.shape)) for n, one in whole.items()} for _ in range(3)]
    for count, rank in ((3, 2), (2, 0), (4, 3)):
        kept = [mx.nd.zeros_like(one) for one in trainer._replicas[0].values()]
        trainer._workers = SimpleNamespace(
            rank=rank, count=count, residuals=kept, gather_residuals=lambda of=kept: [of]
        )
        trainer.restore_residuals(saved)
        (found,) = trainer.residuals()
        assert set(found) == set(whole)
        for name, one in found.items():
            each = [other[name].asnumpy() for other in saved]
            expected = each[rank] if count == 3 else sum(each) / count
            np.testing.assert_allclose(one.asnumpy(), expected, rtol=0, atol=0 if count == 3 else 1e-6, err_msg=name)


def test_what_compression_needs_is_said(tmp_path, monkeypatch):
    data = packed(tmp_path, images=4)
    words = ["train", "--data", data, "--recipe", "narrow", "--cpus", 0, "--batch-size", 4, "--run", tmp_path / "run"]
    said = command(*words, "--compress", "2bit", code=2)
    assert "--compress 2bit is for what several workers send each other" in said
    assert not (tmp_path / "run").exists()
    from gluon_alexnet.workflows.distributed_training import check_compression

    learning = dataclasses.replace(presets.PAPER.learning, compress="2bit")
    two, one = SimpleNamespace(workers=2), SimpleNamespace(workers=1)
    check_compression(learning, two, "dist_sync")
    check_compression(presets.PAPER.learning, None, None)
    with pytest.raises(InvalidRequest, match="this is the only one"):
        check_compression(learning, one, "dist_sync")
    with pytest.raises(InvalidRequest, match="goes with dist_sync"):
        check_compression(learning, two, "dist_async")
    for wrong in ({"compress": "1bit"}, {"compress_threshold": 0.0}):
        with pytest.raises((InvalidRequest, ValueError), match="compress"):
            dataclasses.replace(learning, **wrong)
    told = differences.from_paper(dataclasses.replace(presets.PAPER, learning=learning))
    assert told == ["learning: gradients that workers exchange: 2bit instead of none"]


def test_each_worker_reads_its_own_file_or_all(tmp_path):
    saved = [{"a": mx.nd.full((2,), rank)} for rank in range(3)]
    place = checkpoint.save(tmp_path, checkpoint.State(0), saved[0], {}, False, saved)
    assert [{k: v.asnumpy()[0] for k, v in one.items()} for one in checkpoint.load_residuals(place, 1, 3)] == [
        {}, {"a": 1.0}, {},
    ]  # fmt: skip
    assert [one["a"].asnumpy()[0] for one in checkpoint.load_residuals(place, 1, 2)] == [0, 1, 2]
    (place / "residual-1.params").write_bytes(b"cut")
    with pytest.raises(Exception, match="is damaged"):
        checkpoint.load_residuals(place, 1, 3)
    plain = checkpoint.save(tmp_path, checkpoint.State(0, step=9), saved[0], {}, False)
    assert checkpoint.load_residuals(plain, 0, 2) == []


@pytest.mark.slow
def test_the_sums_are_those_of_mxnet_s_own_compression(tmp_path):
    """Bit for bit, over six steps, between a real scheduler, server and two workers; and what is kept is gathered."""
    for whose in ("mxnet", "ours"):
        with Processes([sys.executable, PROGRAM, tmp_path, whose]) as job:
            ended = job.ended(120)
        assert [code for code, _ in ended] == [0] * 4, ended
    found = {name: dict(np.load(tmp_path / f"{name}.npz")) for name in ("mxnet-0", "mxnet-1", "ours-0", "ours-1")}
    kept = [[np.zeros(shape, np.float32) for shape in two_bit_process.SHAPES] for _ in range(2)]
    for step in range(two_bit_process.STEPS):
        for place in range(len(two_bit_process.SHAPES)):
            total = 0
            for rank in range(2):
                gradient = two_bit_process.gradients(rank, step)[place]
                sent, kept[rank][place] = by_hand(gradient, kept[rank][place], two_bit_process.THRESHOLD)
                total = total + sent * np.float32(two_bit_process.THRESHOLD)
            for name, one in found.items():
                np.testing.assert_array_equal(one[f"sum {step} {place}"], total, err_msg=f"{name} {step} {place}")
    for rank in range(2):
        for place, one in enumerate(kept[rank]):
            np.testing.assert_array_equal(found["ours-0"][f"kept {rank} {place}"], one)
    assert not any(name.startswith("kept") for name in found["ours-1"])


def launched(*words, workers=2, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "gluon_alexnet.tools.main", "launch", "--workers", str(workers), "--", "train",
         "--cpus", "0", *map(str, words)],
        capture_output=True, text=True, timeout=200, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr
    return done.stderr


@pytest.mark.slow
def test_stopped_and_resumed_it_learns_the_same_bits(tmp_path):
    """Dropout on. With another number of workers the residuals are shared out; with none they are left out."""
    data = packed(tmp_path, images=10)
    words = [
        "--data",
        data,
        "--recipe",
        "narrow",
        "--batch-size",
        8,
        "--compress",
        "2bit",
        "--compress-threshold",
        0.05,
    ]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    launched(*words, "--run", whole, "--epochs", 2)
    launched(*words, "--run", parts, "--epochs", 1)
    saved = sorted(file.name for file in (parts / "latest").iterdir())
    assert saved == ["momentum.params", "parameters.params", "residual-0.params", "residual-1.params", "state.json"]
    assert any(one.asnumpy().any() for one in mx.nd.load(str(parts / "latest/residual-1.params")).values())
    copies = [tmp_path / name for name in ("three", "one")]
    for copy in copies:
        subprocess.run(["cp", "-a", parts, copy], check=True)
    launched("--resume", "--run", parts, "--epochs", 2)
    for name in saved[:-1]:
        assert (whole / "latest" / name).read_bytes() == (parts / "latest" / name).read_bytes(), name
    assert "each of these 3 takes an equal share" in launched("--resume", "--run", copies[0], "--epochs", 2, workers=3)
    assert len(list((copies[0] / "latest").glob("residual-*"))) == 3
    said = command("train", "--cpus", 0, "--resume", "--run", copies[1], "--epochs", 2, "--compress", "none")
    assert "what they had kept back by then is left out" in said
    assert json.loads((copies[1] / "recipe.json").read_text())["recipe"]["learning"]["compress"] == "none"
