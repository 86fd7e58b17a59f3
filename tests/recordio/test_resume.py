"""A pack that is killed at any moment and resumed ends with the same bytes; nothing that was finished is done twice."""

from __future__ import annotations

import shutil

import pytest
from helpers.challenge import make_challenge
from helpers.images import class_tree, contents, packed
from helpers.processes import killer
from helpers.runner import attempt

from gluon_alexnet.recordio.dataset.manifest import read_manifest
from gluon_alexnet.recordio.packing import shard_worker


@pytest.fixture
def sources(tmp_path):
    train, val = class_tree(tmp_path / "train"), class_tree(tmp_path / "val", images=2, seed=500)
    (train / "bee" / "cut.jpg").write_bytes(b"junk")
    return "--train", train, "--val", val, "--shards", 2, "--workers", 2


@pytest.fixture
def reference(tmp_path, sources):
    assert attempt("pack", *sources, "--data", tmp_path / "reference")[0] == 0
    return tmp_path / "reference"


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_before_any_change_of_a_file(tmp_path, sources, reference, stride):
    out = tmp_path / "out"
    kills = killer(out, tmp_path / "none", reference, ("steps", stride), "pack", *sources, "--data", out)
    assert kills > 70 // stride


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_while_it_replaces_another_data_set(tmp_path, sources, reference, stride):
    """Resumed without --overwrite too: replacing was agreed to when the pack began."""
    out = tmp_path / "out"
    old = packed(tmp_path / "older", images=3, shards=3, seed=9)
    command = ("pack", *sources, "--data", out, "--overwrite")
    kills = killer(out, old, reference, ("steps", stride), *command)
    assert kills > 80 // stride


def test_killed_at_random_moments(tmp_path, sources, reference):
    out = tmp_path / "out"
    assert killer(out, tmp_path / "none", reference, ("times", 10, 1), "pack", *sources, "--data", out) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_ilsvrc_killed_at_forty_random_moments(tmp_path, seed):
    made = make_challenge(tmp_path / "downloads", 2012, val=60)
    command = ("pack", "--ilsvrc", 2012, "--source", made.folder, "--shards", 4)
    assert attempt(*command, "--data", tmp_path / "reference")[0] == 0
    out = tmp_path / "out"
    old = packed(tmp_path / "older", images=3, shards=3, seed=9)
    command = (*command, "--data", out, "--overwrite")
    assert killer(out, old, tmp_path / "reference", ("times", 40, seed), *command) >= 40


# What is kept and what is said


def stop_after(monkeypatch, images):
    """Make packing fail as on Ctrl-C after so many images."""
    real, done = shard_worker._image, []

    def image(*arguments):
        done.append(1)
        if len(done) > images:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(shard_worker, "_image", image)


@pytest.fixture
def unfinished(tmp_path, sources, monkeypatch):
    """A folder where one of four shards is finished, packed with one thread."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        stop_after(patch, 10)
        assert attempt("pack", *sources, "--data", out, "--workers", 1)[0] != 0
    assert len(list((out / "packing.partial").glob("*.receipt"))) == 1
    return out


def test_finished_shards_are_not_packed_again(unfinished, sources, reference, monkeypatch):
    real, read = shard_worker._image, []
    monkeypatch.setattr(shard_worker, "_image", lambda source, *rest: read.append(source.key) or real(source, *rest))
    code, out, err = attempt("pack", *sources, "--data", unfinished, "--resume")
    assert code == 0
    assert len(read) == 13 + 6 - 6
    assert "6 images had been done before" in err
    assert out.startswith("packed 12 train, 6 val; rejected 1; ")
    assert contents(unfinished) == contents(reference)


def test_unfinished_pack_is_not_thrown_away_unasked(unfinished, sources, reference):
    code, _, err = attempt("pack", *sources, "--data", unfinished)
    assert code == 2
    assert "holds an unfinished pack already; add --resume to go on with it, or --overwrite to start anew" in err
    assert len(list((unfinished / "packing.partial").glob("*.receipt"))) == 1
    assert attempt("pack", *sources, "--data", unfinished, "--overwrite")[0] == 0
    assert contents(unfinished) == contents(reference)


@pytest.mark.parametrize("change", ["seed", "shards", "image", "encoding"])
def test_resuming_something_else_is_refused(unfinished, sources, change):
    options = {"seed": ("--seed", 3), "shards": ("--shards", 3), "encoding": ("--encoding", "raw")}.get(change, ())
    if change == "image":
        (sources[1] / "ant" / "another.jpg").write_bytes(b"new")
    code, _, err = attempt("pack", *sources, *options, "--data", unfinished, "--resume")
    assert code == 2
    assert "holds an unfinished pack of other images or options; give it the same as before" in err
    assert len(list((unfinished / "packing.partial").glob("*.receipt"))) == 1


def test_damaged_shard_of_an_unfinished_pack_is_packed_again(unfinished, sources, reference):
    (shard,) = (path.with_suffix(".rec") for path in (unfinished / "packing.partial").glob("*.receipt"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert attempt("pack", *sources, "--data", unfinished, "--resume")[0] == 0
    assert contents(unfinished) == contents(reference)


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\3\4" + bytes(50)])
def test_damaged_receipt_costs_its_shard_only(unfinished, sources, reference, content):
    (receipt,) = (unfinished / "packing.partial").glob("*.receipt")
    receipt.write_bytes(content)
    assert attempt("pack", *sources, "--data", unfinished, "--resume")[0] == 0
    assert contents(unfinished) == contents(reference)


def test_damaged_plan_is_no_plan(unfinished, sources, reference):
    (unfinished / "packing.partial" / "plan.json").write_text('{"classes": 1')
    assert attempt("pack", *sources, "--data", unfinished, "--resume")[0] == 0
    assert contents(unfinished) == contents(reference)


def test_resume_with_nothing_begun_packs(tmp_path, sources, reference):
    assert attempt("pack", *sources, "--data", tmp_path / "out", "--resume")[0] == 0
    assert contents(tmp_path / "out") == contents(reference)


def test_resume_of_a_complete_data_set_says_so_and_reads_nothing(sources, reference, monkeypatch):
    before = contents(reference)
    monkeypatch.setattr(shard_worker, "_image", None)
    code, out, err = attempt("pack", *sources, "--data", reference, "--resume")
    assert code == 0
    assert "19 images had been done before" in err
    assert out.startswith("packed 12 train, 6 val; rejected 1; ")
    assert contents(reference) == before
    code, _, err = attempt("pack", *sources, "--seed", 5, "--data", reference, "--resume")
    assert code == 2
    assert "holds a data set already" in err


def test_split_that_cannot_be_read_is_mended_and_resumed(tmp_path, sources):
    val = sources[3]
    good = {path: path.read_bytes() for path in val.rglob("*.JPEG")}
    for path in good:
        path.write_bytes(b"junk")
    code, _, err = attempt("pack", *sources, "--data", tmp_path / "out")
    assert code == 1
    assert "val: none of the 6 images can be read" in err
    assert "the finished shards are kept: add --resume to go on with them" in err
    for path, content in good.items():
        path.write_bytes(content)
    assert attempt("pack", *sources, "--data", tmp_path / "out", "--resume")[0] == 0
    manifest = read_manifest(tmp_path / "out")
    assert [split.images for split in manifest.splits] == [12, 6]
    shutil.rmtree(tmp_path / "out")
    assert attempt("pack", *sources, "--data", tmp_path / "out")[0] == 0
    assert read_manifest(tmp_path / "out") == manifest


def test_foreign_journal_moves_nothing(tmp_path, sources):
    left = tmp_path / "out" / "packing.partial"
    left.mkdir(parents=True)
    (tmp_path / "precious.txt").write_text("mine")
    (left / "publish.json").write_text('{"new": ["dataset.json"], "old": ["../precious.txt"]}')
    code, _, err = attempt("pack", *sources, "--data", tmp_path / "out")
    assert code == 2
    assert "publish.json: damaged; remove" in err
    assert (tmp_path / "precious.txt").read_text() == "mine"
