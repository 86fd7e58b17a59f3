"""`export`: every form in one call, all files or none, and nobody else's file is lost."""

import fcntl
import hashlib
import json
import os
import sys

import numpy as np
import pytest
from helpers import images, nets
from helpers.runner import run

from gluon_alexnet.backend import mx
from gluon_alexnet.exporters import processor
from gluon_alexnet.training import checkpoint, run_folder

FLOAT32 = ["net-0000.params", "net-symbol.json", "net.json", "net.md"]


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    """A run that was never trained, on a small data set."""
    folder = tmp_path_factory.mktemp("export")
    data = images.packed(folder)
    nets.make_run(folder / "run", small_recipe, data, seed=1)
    return folder


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def export(place, out, *words, code=0):
    return run("export", place / "run", out, "--cpus", 0, *words, code=code)


def test_onnx_and_pytorch_and_the_card(place, tmp_path):
    said = export(place, tmp_path / "net", "--onnx", "--plain", "--pytorch")
    assert names(tmp_path) == sorted([*FLOAT32, "net.onnx", "net.py", "net.safetensors"])
    assert "net.py was not run: PyTorch is not installed here; its arrays were read back." in said
    assert "onnxruntime" in said and "OpenCV" in said
    assert b"LRN" not in (tmp_path / "net.onnx").read_bytes()
    description = json.loads((tmp_path / "net.json").read_text())
    card = (tmp_path / "net.md").read_text()
    assert set(description["sha256"]) == {"symbol", "parameters", "onnx", "module", "tensors"}
    for file in set(names(tmp_path)) - {"net.md"}:
        assert hashlib.sha256((tmp_path / file).read_bytes()).hexdigest() in card
    assert "was not run" in card
    assert f"alexnet-tools export {place / 'run'} {tmp_path / 'net'} --cpus 0 --onnx --plain --pytorch" in card
    assert (tmp_path / "net.safetensors").stat().st_mode & 0o777 == (tmp_path / "net.json").stat().st_mode & 0o777


def test_an_export_can_be_exported_again(place, tmp_path):
    export(place, tmp_path / "one")
    words = ["--data", place / "data", "--cpus", 0, "--onnx", "--pytorch", "--license", "CC-BY-4.0"]
    run("export", tmp_path / "one", tmp_path / "two", *words)
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert one["provenance"] == two["provenance"] and one["classes"] == two["classes"]
    assert "license: cc-by-4.0" in (tmp_path / "two.md").read_text()
    assert "license: apache-2.0" in (tmp_path / "one.md").read_text()
    imported = tmp_path / "one.json"  # as if its weights were another program's
    own = imported.read_text()
    provenance = {key: value for key, value in one["provenance"].items() if key != "run"}
    imported.write_text(json.dumps({**one, "provenance": provenance}))
    run("export", tmp_path / "one", tmp_path / "three", "--data", place / "data", "--cpus", 0)
    assert "license: other" in (tmp_path / "three.md").read_text()
    imported.write_text(own)
    words = ["--data", place / "data", "--json", "--cpus", 0]
    scores = [run("eval", "--model", tmp_path / name, *words) for name in ("one", "two")]
    assert json.loads(scores[0])["scores"] == json.loads(scores[1])["scores"]
    assert "would be replaced by what is made of it" in run("export", tmp_path / "one", tmp_path / "one", code=2)


def test_a_newer_export_takes_away_what_it_does_not_write(place, tmp_path):
    export(place, tmp_path / "net", "--onnx", "--pytorch")
    before = images.contents(tmp_path)
    said = export(place, tmp_path / "net", code=2)
    assert "is there already; add --overwrite to replace that net" in said
    assert images.contents(tmp_path) == before
    export(place, tmp_path / "net", "--overwrite")
    assert names(tmp_path) == FLOAT32


@pytest.mark.parametrize("end", [".py", ".safetensors", ".md", ".onnx"])
def test_a_file_of_the_user_s_is_not_replaced(place, tmp_path, end):
    (tmp_path / f"net{end}").write_text("mine")
    said = export(place, tmp_path / "net", "--pytorch", code=2)
    assert f"net{end} is there and was not written by an export; move it away, or give another OUT." in said
    assert names(tmp_path) == [f"net{end}"]


def test_a_module_that_was_changed_is_not_replaced(place, tmp_path):
    export(place, tmp_path / "net", "--pytorch")
    module = tmp_path / "net.py"
    module.write_text(module.read_text() + "# my own line\n")
    assert "net.py is there and was not written by an export" in export(place, tmp_path / "net", "--overwrite", code=2)
    assert module.read_text().endswith("# my own line\n")


def test_what_killed_exports_left_is_removed_and_what_another_one_holds_stays(place, tmp_path):
    for left in (".net-abcd1234", ".net-int8-abcd1234"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "net-0000.params").write_bytes(b"cut")
    others = [".net-abcd1234-backup", ".other-abcd1234", ".net-zzzzzzzz"]
    for other in others:
        (tmp_path / other).mkdir()
    at_work = os.open(tmp_path / ".net-zzzzzzzz", os.O_RDONLY)
    fcntl.flock(at_work, fcntl.LOCK_EX)
    export(place, tmp_path / "net")
    os.close(at_work)
    assert names(tmp_path) == sorted([*others, *FLOAT32])


def test_an_export_follows_links_and_replaces_nothing_else(place, tmp_path):
    (tmp_path / "there").mkdir()
    for name in FLOAT32:
        (tmp_path / "there" / name).write_bytes(b"old")
        (tmp_path / name).symlink_to(tmp_path / "there" / name)
    (tmp_path / "net.md").unlink()
    export(place, tmp_path / "net", "--overwrite")
    assert (tmp_path / "net.json").is_symlink() and json.loads((tmp_path / "there" / "net.json").read_text())
    os.mkfifo(tmp_path / "two-symbol.json")
    assert "two-symbol.json is a FIFO" in export(place, tmp_path / "two", code=2)
    assert (tmp_path / "two-symbol.json").is_fifo()


def test_a_python_without_pytorch_is_told(place, tmp_path):
    said = export(place, tmp_path / "net", "--pytorch", "--torch-python", sys.executable, code=1)
    assert f"net.py does not run in {sys.executable}: ModuleNotFoundError: No module named 'torch'" in said
    said = export(place, tmp_path / "net", "--pytorch", "--torch-python", tmp_path / "none", code=2)
    assert "none cannot be started: No such file or directory." in said
    assert names(tmp_path) == []


@pytest.mark.skipif(processor.no_bfloat16() is not None, reason="this processor has no bfloat16")
def test_bf16_is_measured_beside_float32(place, tmp_path):
    said = export(place, tmp_path / "net", "--bf16", "--max-drop", 100, "--compare-images", 4)
    assert "bf16: " in said and "of 4 images of" in said
    bf16 = ["net-bf16-0000.params", "net-bf16-symbol.json", "net-bf16.json", "net-bf16.md"]
    assert names(tmp_path) == sorted([*FLOAT32, *bf16])
    compared = json.loads((tmp_path / "net-bf16.json").read_text())["bf16"]["compared"]
    words = ["--data", place / "data", "--views", 1, "--cpus", 0, "--json"]
    (score,) = json.loads(run("eval", "--model", tmp_path / "net-bf16", *words))["scores"]
    assert score["images"] == 6 and compared["images"] == 4
    said = run("export", tmp_path / "net-bf16", tmp_path / "b", "--data", place / "data", "--cpus", 0, code=2)
    assert "is a net in bf16, from which no other form is made; export the float32 net." in said
    # No net is 101 points better than another, so this allowance cannot be met.
    said = export(place, tmp_path / "other", "--bf16", "--max-drop", -101, code=1)
    assert "bf16 has a top-1 error of" in said and "--max-drop allows -101; nothing was written." in said
    assert not list(tmp_path.glob("*other*"))


def test_bf16_is_refused_where_the_processor_has_none(place, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu sse\n")
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    said = export(place, tmp_path / "net", "--bf16", code=2)
    assert "A bf16 net cannot be made here: this processor has no arithmetic for bfloat16" in said
    assert names(tmp_path) == ["cpuinfo"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--plain"], "--plain belongs to --onnx"),
        (["--torch-python", "python3"], "--torch-python belongs to --pytorch"),
        (["--max-drop", "nan"], "give a number of percentage points"),
    ],
)
def test_wrong_use(place, tmp_path, words, sentence):
    assert sentence in export(place, tmp_path / "net", *words, code=2)
    assert names(tmp_path) == []


def test_the_recipe_is_told_in_words(place, tmp_path):
    export(place, tmp_path / "net")
    text = " ".join((tmp_path / "net.md").read_text().split())
    assert "kernels: 8 instead of 96 in conv1" in text


def test_weights_that_are_no_numbers_are_not_exported(place, tmp_path, small_recipe):
    folder = nets.make_run(tmp_path / "run", small_recipe, place / "data", seed=1)
    state, parameters, _ = checkpoint.load(run_folder.find_checkpoint(folder))
    broken = parameters["fc7_weight"].asnumpy()
    broken[0, 0] = np.nan
    parameters["fc7_weight"] = mx.nd.array(broken)
    checkpoint.save(folder, state, parameters, {}, best=True)
    said = run("export", folder, tmp_path / "out" / "net", "--cpus", 0, code=1)
    assert "fc7_weight holds what is not a number, so it is of no use; take another checkpoint." in said
    assert not list(tmp_path.glob("out/*"))
