"""`eval`: every image counted, by run and by export, and what is said of bad input."""

import json
import re
import shutil

from helpers.runner import invoke, run
from helpers.trained import CLASSES, NARROW, TRAIN, VAL


def test_eval_counts_every_image_and_shows_the_paper_s_row(trained):
    output = run("eval", "--data", trained / "data", "--model", trained / "run", "--ilsvrc", 2012)
    assert f"{CLASSES * VAL} images" in output
    assert "10 views" in output
    assert "centre view" in output
    assert "paper, Table 2" in output
    assert re.search(r"^  1 CNN +40\.7 +18\.2 +–$", output, re.MULTILINE)


def test_eval_of_the_export_is_eval_of_the_run(trained):
    out = trained / "exported" / "net"
    assert "largest difference in a probability over 8 images: SymbolBlock" in run("export", trained / "run", out)
    scores = [
        json.loads(invoke("eval", "--data", trained / "data", "--model", model, "--json")[0])["scores"]
        for model in (trained / "run", out)
    ]
    assert scores[0] == scores[1]
    assert [score["images"] for score in scores[0]] == [CLASSES * VAL] * 2


def test_without_a_data_set_a_run_is_evaluated_on_its_own(trained, monkeypatch):
    monkeypatch.chdir(trained)
    assert f"{CLASSES * VAL} images of {trained / 'data'} (val)" in run("eval", "--model", "run", "--views", 1)


def test_views_and_split_are_the_user_s_choice(trained):
    words = ["--data", trained / "data", "--model", trained / "run", "--views", 1, "--split", "train", "--json"]
    output, _ = invoke("eval", *words)
    document = json.loads(output)
    assert [score["views"] for score in document["scores"]] == [1]
    assert document["images"] == CLASSES * TRAIN
    assert "give 10, 1 or 10,1" in run(
        "eval", "--data", trained / "data", "--model", trained / "run", "--views", 5, code=2
    )
    said = run("eval", "--data", trained / "data", "--model", trained / "run", "--split", "test", code=2)
    assert "train, val" in said


def test_fewer_than_five_classes_are_explained(trained, tmp_path):
    for split in ("train", "val"):
        for label in range(3):
            source = trained / "images" / split / f"class{label}"
            shutil.copytree(source, tmp_path / "images" / split / f"class{label}")
    images = tmp_path / "images"
    run("pack", "--train", images / "train", "--val", images / "val", "--data", tmp_path / "data")
    run("train", "--data", tmp_path / "data", "--run", tmp_path / "run", *NARROW, "--epochs", 1)
    output = run("eval", "--data", tmp_path / "data", "--model", tmp_path / "run", "--views", 1)
    assert "With 3 classes the five best guesses are all of them" in output
    said = run("eval", "--data", trained / "data", "--model", tmp_path / "run", code=2)
    assert "knows 3 classes" in said
    said = run("train", "--resume", "--run", tmp_path / "run", "--data", trained / "data", "--cpus", 0, code=2)
    assert "was trained on another data set" in said


def test_commands_before_their_time(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "There is no run with a checkpoint in runs" in run("eval", "--data", trained / "data", code=2)
    assert "no data set here" in run("train", code=2)
    assert "no data set here" in run("eval", "--ilsvrc", 2010, "--model", trained / "run", code=2)
    assert "is neither a run, a checkpoint nor an exported net" in run(
        "eval", "--data", trained / "data", "--model", "x", code=2
    )
    assert "is neither a run nor a checkpoint" in run("export", tmp_path, tmp_path / "out", code=2)


def test_a_damaged_checkpoint_is_named(trained, tmp_path):
    copy = shutil.copytree(trained / "run", tmp_path / "run", symlinks=True)
    file = copy / "latest" / "parameters.params"
    file.write_bytes(file.read_bytes()[:-1])
    for words in (["eval", "--data", trained / "data", "--model", copy], ["export", copy, tmp_path / "net"]):
        assert "parameters.params is damaged" in run(*words, code=1)
    said = run("train", "--resume", "--run", copy, "--cpus", 0, "--epochs", 2, code=1)
    assert "parameters.params is damaged" in said
