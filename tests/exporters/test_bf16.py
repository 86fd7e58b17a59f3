"""bfloat16: close to float32 where the processor multiplies it, refused where it does not."""

import json

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.exporters import bf16, processor, reduced_precision, symbol
from gluon_alexnet.exporters.files import Publication
from gluon_alexnet.model.alexnet import initial_parameters
from gluon_alexnet.model.classifier import build_classifier

CLASSES = [{"wnid": f"n{i}", "name": f"class {i}"} for i in range(7)]
needs_bfloat16 = pytest.mark.skipif(processor.no_bfloat16() is not None, reason="this processor has no bfloat16")


@pytest.fixture
def pair(small_recipe, rng, tmp_path):
    parameters = initial_parameters(small_recipe.network, 7, seed=1)
    for name, value in parameters.items():
        parameters[name] = value + mx.nd.array(rng.normal(0, 0.03, value.shape))
    parameters["mean"] = mx.nd.array(rng.uniform(90, 130, (3, 99, 99)))
    classifier = build_classifier(small_recipe.network, parameters, mx.cpu())
    images = rng.integers(0, 256, (2, 99, 99, 3), dtype=np.uint8)
    facts = {"classes": CLASSES, "provenance": {"variants": []}}
    symbol.export(classifier, tmp_path / "net", 99, facts, images, mx.cpu())
    return tmp_path / "net"


def operators(net):
    return [node["op"] for node in json.loads(net.symbol.tojson(remove_amp_cast=False))["nodes"]]


@needs_bfloat16
def test_bf16_is_another_arithmetic_and_close_for_any_batch(pair, rng, tmp_path):
    batches = [(rng.integers(0, 256, (5, 256, 256, 3), dtype=np.uint8), np.arange(5), None)]
    views = rng.integers(0, 256, (3, 99, 99, 3), dtype=np.uint8)
    with Publication() as publication:
        float32 = publication.draft(tmp_path / "copy")
        reduced_precision.save(reduced_precision.load(pair), float32)
        limits = reduced_precision.Limits(batches, views, 100.0, lambda images: None)
        draft, found, differences = reduced_precision.add(
            publication, "bf16", float32, tmp_path / "low", bf16.convert, limits
        )
        net = reduced_precision.load(draft)
        assert operators(net).count("amp_cast") > 10
        assert {array.dtype for array in net.arguments.values()} == {np.float32}
        assert set(differences) == {"SymbolBlock", "Module"}
        run = symbol.runners(mx.cpu())["SymbolBlock"]
        expected = run(pair, views)
        for batch in (1, 3):
            assert 1e-5 < np.abs(run(draft, views[:batch]) - expected[:batch]).max() < 0.03
    assert 1e-5 < found.largest_difference < 0.03
    assert (found.images, found.form) == (5, "bf16")
    assert not list(tmp_path.glob(".low*")) and not list(tmp_path.glob("low*"))


def without_bfloat16(monkeypatch, tmp_path, text="processor\t: 0\nflags\t\t: fpu sse avx512f\n"):
    file = tmp_path / "cpuinfo"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(processor, "_CPUINFO", file)


@pytest.mark.parametrize("flag", ["avx512_bf16", "amx_bf16"])
def test_the_processor_s_flags_are_read(monkeypatch, tmp_path, flag):
    without_bfloat16(monkeypatch, tmp_path)
    assert "no arithmetic for bfloat16 (neither avx512_bf16 nor amx_bf16" in processor.no_bfloat16()
    without_bfloat16(monkeypatch, tmp_path, f"model name\t: flags\nflags\t\t: fpu {flag} sse\n")
    assert processor.no_bfloat16() is None


def test_a_machine_that_does_not_tell_has_none(monkeypatch, tmp_path):
    without_bfloat16(monkeypatch, tmp_path, None)
    assert "does not tell what this processor can do" in processor.no_bfloat16()


def test_a_bf16_net_is_not_loaded_where_it_cannot_run(pair, monkeypatch, tmp_path):
    file = pair.with_name("net.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "bf16": {}}))
    with pytest.raises(
        InvalidRequest, match=r"is a bf16 net, which oneDNN computes on a CPU; use cpu\(0\) as `device`"
    ):
        symbol.load_export(pair, mx.gpu(0))
    without_bfloat16(monkeypatch, tmp_path)
    with pytest.raises(InvalidRequest, match=r"is a bf16 net, and this processor has no arithmetic for bfloat16"):
        symbol.load_export(pair, mx.cpu(0))
