"""The folder that pack writes: nothing half-written in it, and nobody else's files overwritten."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.images import class_tree, contents, packed, records_by_mxnet
from helpers.runner import attempt

from gluon_alexnet.recordio.dataset.manifest import read_manifest


def run(*arguments):
    return attempt("pack", *arguments)


def test_another_data_set_is_kept_unless_asked(tmp_path, trees):
    train, val = trees
    out = tmp_path / "out"
    assert run("--train", train, "--val", val, "--data", out, "--shards", 2)[0] == 0
    before = contents(out)
    code, _, err = run("--train", train, "--val", val, "--data", out)
    assert code == 2
    assert "holds a data set already" in err and "--overwrite" in err
    assert contents(out) == before

    (out / "notes.md").write_text("mine")
    assert run("--train", train, "--val", val, "--data", out, "--overwrite", "--seed", 7)[0] == 0
    assert read_manifest(out).seed == 7
    assert {path.name for path in out.iterdir()} == {*read_manifest(out).files(), "notes.md"}
    assert len(records_by_mxnet(out, "train")) == 12


def test_overwriting_that_fails_keeps_the_old_data_set(tmp_path, trees):
    train, val = trees
    out = tmp_path / "out"
    run("--train", train, "--val", val, "--data", out)
    before = contents(out)
    for path in val.rglob("*.JPEG"):
        path.write_bytes(b"junk")
    assert run("--train", train, "--val", val, "--data", out, "--overwrite")[0] == 1
    assert contents(out) == before


@pytest.mark.parametrize("options", [[], ["--overwrite"]])
def test_folder_of_other_files_is_never_used(tmp_path, trees, options):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    code, _, err = run("--train", trees[0], "--val", trees[1], "--data", out, *options)
    assert code == 2
    assert err == f"Error: {out}: holds other files (thesis.tex, …); name a new or empty folder\n"
    assert contents(out) == {"thesis.tex": b"mine"}


def test_foreign_dataset_json_is_not_overwritten(tmp_path, trees):
    out = tmp_path / "out"
    out.mkdir()
    (out / "dataset.json").write_text('{"name": "someone else\'s"}')
    code, _, err = run("--train", trees[0], "--val", trees[1], "--data", out, "--overwrite")
    assert code == 2
    assert f"It is not replaced, because it may not be ours: remove {out} yourself" in err
    assert list(contents(out)) == ["dataset.json"]


def test_file_in_the_place_of_the_folder(tmp_path, trees):
    (tmp_path / "out").write_text("mine")
    code, _, err = run("--train", trees[0], "--val", trees[1], "--data", tmp_path / "out")
    assert code == 2 and f"{tmp_path / 'out'} cannot be a folder: {tmp_path / 'out'} is a file" in err


def test_two_packs_into_one_folder(tmp_path, trees):
    out = tmp_path / "out"
    out.mkdir()
    holder = os.open(out, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    code, _, err = run("--train", trees[0], "--val", trees[1], "--data", out)
    assert (code, err) == (2, f"Error: {out}: another pack is writing there; wait or name another folder\n")
    os.close(holder)
    assert run("--train", trees[0], "--val", trees[1], "--data", out)[0] == 0


def test_what_a_killed_pack_left_is_cleared(tmp_path, trees):
    left = tmp_path / "out" / "packing.partial"
    left.mkdir(parents=True)
    (left / "train-00000-of-00001.rec").write_bytes(b"half")
    assert run("--train", trees[0], "--val", trees[1], "--data", tmp_path / "out")[0] == 0
    assert not left.exists()
    assert len(records_by_mxnet(tmp_path / "out", "train")) == 12


def test_no_space_left(tmp_path):
    """A limit on the size of files stands for a full disk: both fail in write()."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "from gluon_alexnet.tools.main import main; sys.exit(main())"
    )
    train = class_tree(tmp_path / "train", images=12)
    arguments = ["pack", "--train", train, "--val", train, "--data", tmp_path / "out"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == f"Error: {tmp_path / 'out'}: File too large; nothing was packed\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_interrupted_pack_leaves_nothing(tmp_path, overwrite):
    before = {}
    if overwrite:
        before = contents(packed(tmp_path / "first"))
        (tmp_path / "first" / "data").rename(tmp_path / "data")

    def interrupt(count, rejected=None, **first):
        if rejected is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        packed(tmp_path, overwrite=overwrite, progress=interrupt)
    assert (contents(tmp_path / "data") if overwrite else (tmp_path / "data").exists()) == (before or False)


def test_without_data_the_default_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        (tmp_path / split / "one").mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / split / "one" / "a.png"), np.zeros((9, 9, 3), np.uint8))
    assert run("--train", "train", "--val", "val")[0] == 0
    assert (tmp_path / "data" / "ilsvrc2012" / "dataset.json").exists()


def test_the_manifest_gets_its_name_after_everything_that_it_describes(tmp_path, trees, monkeypatch):
    named, move = [], os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: named.append(Path(new).name) or move(old, new))
    assert run("--train", trees[0], "--val", trees[1], "--data", tmp_path / "out")[0] == 0
    moved = named[-len(read_manifest(tmp_path / "out").files()) :]
    assert sorted(moved) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert moved[-1] == "dataset.json"
