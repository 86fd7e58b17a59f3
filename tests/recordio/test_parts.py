"""Parts packed apart and merged are the data set packed at once, byte for byte; and what is said of misfits."""

from __future__ import annotations

import os
import shutil

import pytest
from helpers.images import class_tree, contents, records_by_mxnet
from helpers.processes import killer
from helpers.runner import attempt

from gluon_alexnet.recordio.dataset.manifest import SourceError, read_manifest
from gluon_alexnet.recordio.dataset.statistics import read_statistics
from gluon_alexnet.recordio.reading.reader import Reader


@pytest.fixture
def sources(tmp_path):
    train, val = class_tree(tmp_path / "train"), class_tree(tmp_path / "val", images=2, seed=500)
    (train / "bee" / "cut.jpg").write_bytes(b"junk")
    return "pack", "--train", train, "--val", val, "--shards", 5


@pytest.fixture
def parts(tmp_path, sources):
    folders = [tmp_path / "parts" / str(part) for part in (1, 2, 3)]
    for part, folder in enumerate(folders, 1):
        assert attempt(*sources, "--part", f"{part}/3", "--data", folder)[0] == 0
    return folders


@pytest.fixture
def reference(tmp_path, sources):
    assert attempt(*sources, "--data", tmp_path / "reference")[0] == 0
    return tmp_path / "reference"


def test_merged_parts_are_the_data_set_packed_at_once(tmp_path, parts, reference):
    code, out, err = attempt("merge", *reversed(parts), "--data", tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.startswith("merged 3 parts: 12 train, 6 val; rejected 1; ")
    assert contents(tmp_path / "out") == contents(reference)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == []


def test_each_shard_is_in_one_part_alone(parts):
    """Five shards in three parts: none is packed twice, whatever comes out of a merge."""
    names = [sorted(path.name for path in folder.glob("*.rec")) for folder in parts]
    expected = [f"{split}-0000{n}-of-00005.rec" for split in ("train", "val") for n in range(5)]
    assert sorted(name for some in names for name in some) == sorted(expected)


def test_shards_are_not_copied_and_outlive_the_parts(tmp_path, parts, reference):
    inodes = {path.name: path.stat().st_ino for folder in parts for path in folder.glob("*.rec")}
    assert len(inodes) == 10
    assert attempt("merge", *parts, "--data", tmp_path / "out")[0] == 0
    assert {path.name: path.stat().st_ino for path in (tmp_path / "out").glob("*.rec")} == inodes
    shutil.rmtree(tmp_path / "parts")
    assert contents(tmp_path / "out") == contents(reference)
    assert len(records_by_mxnet(tmp_path / "out", "train")) == 12


def test_without_hard_links_the_parts_must_stay_and_it_says_so(tmp_path, parts, reference, monkeypatch):
    def link(old, new):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    monkeypatch.chdir(tmp_path)
    code, _, err = attempt("merge", *(path.relative_to(tmp_path) for path in parts), "--data", "out")
    assert code == 0
    for part in parts:
        assert f"{part.relative_to(tmp_path)}: on another file system, so out holds links into it: keep that" in err
    assert contents(tmp_path / "out") == contents(reference)
    monkeypatch.chdir("/")
    with Reader(tmp_path / "out", "train") as reader:
        assert sum(len(batch.ids) for batch in reader.batches(5)) == 12


def test_statistics_are_exact(tmp_path, parts, reference):
    attempt("merge", *parts, "--data", tmp_path / "out")
    ours, theirs = read_statistics(tmp_path / "out"), read_statistics(reference)
    assert ours.images == theirs.images == 12
    for name in ("mean_image", "covariance", "eigenvalues", "axes", "sum_image", "sum_products", "source_sizes"):
        assert (getattr(ours, name) == getattr(theirs, name)).all(), name


def test_a_part_is_no_data_set(parts):
    with pytest.raises(SourceError, match=r"one part of a data set; merge all parts into one first"):
        read_manifest(parts[0])


def test_a_part_is_resumed_and_replaced_like_a_whole(tmp_path, sources, parts):
    before = contents(parts[1])
    assert attempt(*sources, "--part", "2/3", "--data", parts[1])[0] == 2
    code, _, err = attempt(*sources, "--part", "2/3", "--data", parts[1], "--resume")
    assert code == 0
    assert "images had been done before" in err
    assert attempt(*sources, "--part", "1/3", "--data", parts[1], "--resume")[0] == 2
    assert contents(parts[1]) == before
    assert attempt(*sources, "--part", "2/3", "--data", parts[1], "--overwrite")[0] == 0
    assert contents(parts[1]) == before
    assert attempt(*sources, "--data", parts[1], "--overwrite")[0] == 0
    assert len(read_manifest(parts[1]).split("train").shards) == 5
    assert not (parts[1] / "part.json").exists()


def test_more_parts_than_shards(tmp_path, sources):
    code, _, err = attempt(*sources, "--shards", 2, "--part", "1/3", "--data", tmp_path / "out")
    assert code == 2
    assert "2 training shards cannot be shared among 3 parts; give every part the same --shards of 3 or more" in err


@pytest.mark.parametrize("part", ["0/3", "4/3", "1", "1/0", "a/b", "1/2/3"])
def test_what_is_no_part(tmp_path, sources, part):
    code, _, err = attempt(*sources, "--part", part, "--data", tmp_path / "out")
    assert code == 2
    assert "is not a part such as 2/8, the second of eight" in err


def test_parts_without_a_image_in_some_split(tmp_path, sources, reference):
    """Six validation images of which all that one part has are bad."""
    val = sources[4]
    for path in list(val.rglob("*.JPEG"))[1:]:
        path.write_bytes(b"junk")
    for part in (1, 2, 3, 4, 5):
        assert attempt(*sources, "--part", f"{part}/5", "--data", tmp_path / str(part))[0] == 0
    assert attempt("merge", *(tmp_path / str(part) for part in range(1, 6)), "--data", tmp_path / "out")[0] == 0
    assert read_manifest(tmp_path / "out").split("val").images == 1
    assert attempt(*sources, "--data", reference, "--overwrite")[0] == 0
    assert contents(tmp_path / "out") == contents(reference)


# What does not fit


def test_missing_part(tmp_path, parts):
    code, _, err = attempt("merge", parts[0], parts[2], "--data", tmp_path / "out")
    assert (code, err) == (2, "Error: part 2/3 is missing; pack it and name its folder too\n")
    assert not (tmp_path / "out").exists()


def test_part_given_twice(tmp_path, parts):
    code, _, err = attempt("merge", *parts, parts[0], "--data", tmp_path / "out")
    assert (code, err) == (2, f"Error: {parts[0]}: part 1/3 again, {parts[0]} holds it too; leave one out\n")


@pytest.mark.parametrize("option", [("--seed", 4), ("--encoding", "raw")])
def test_part_of_another_pack(tmp_path, sources, parts, option):
    assert attempt(*sources, *option, "--part", "3/3", "--data", tmp_path / "other")[0] == 0
    code, _, err = attempt("merge", *parts[:2], tmp_path / "other", "--data", tmp_path / "out")
    assert code == 2
    assert err == f"Error: {tmp_path / 'other'}: packed from other images, or with other options, than {parts[0]}\n"


def test_part_of_another_number_of_parts(tmp_path, sources, parts):
    assert attempt(*sources, "--part", "3/4", "--data", tmp_path / "other")[0] == 0
    code, _, err = attempt("merge", *parts[:2], tmp_path / "other", "--data", tmp_path / "out")
    assert (code, err) == (2, f"Error: {tmp_path / 'other'}: one of 4 parts, and {parts[0]} is one of 3\n")


@pytest.mark.parametrize("what", ["nothing", "data set", "unfinished", "file"])
def test_folder_that_is_no_part(tmp_path, parts, reference, what):
    folder = {"nothing": tmp_path / "nowhere", "data set": reference, "file": tmp_path / "file"}.get(what, parts[2])
    (tmp_path / "file").touch()
    if what == "unfinished":
        (parts[2] / "part.json").rename(parts[2] / "gone")
    code, _, err = attempt("merge", *parts[:2], folder, "--data", tmp_path / "out")
    assert (code, err) == (2, f"Error: {folder}: no finished part of a data set; pack it with --part, to its end\n")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"classes": [], "splits": [], "seed": 0, "part": [9, 3]}'])
def test_damaged_part(tmp_path, parts, content):
    (parts[1] / "part.json").write_bytes(content)
    code, _, err = attempt("merge", *parts, "--data", tmp_path / "out")
    assert code == 1
    assert err.startswith(f"Error: {parts[1] / 'part.json'}: damaged or of another version")


@pytest.mark.parametrize("suffix", [".rec", ".idx", ".keys", ".receipt"])
@pytest.mark.parametrize("cut", [False, True])
def test_part_with_a_file_missing_or_cut(tmp_path, parts, suffix, cut):
    path = next(parts[1].glob("train*" + suffix))
    if cut:
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()
    code, _, err = attempt("merge", *parts, "--data", tmp_path / "out")
    assert code == 1
    assert str(path.with_suffix("")) in err and "pack that part again with --overwrite" in err
    assert not (tmp_path / "out").exists()


def test_merging_into_a_data_set(tmp_path, sources, parts, reference):
    code, _, err = attempt("merge", *parts, "--data", parts[0])
    assert code == 2
    assert "holds a data set already" in err
    assert attempt(*sources, "--seed", 4, "--data", reference, "--overwrite")[0] == 0
    assert attempt("merge", *parts, "--data", reference)[0] == 2
    assert attempt("merge", *parts, "--data", reference, "--overwrite")[0] == 0
    assert read_manifest(reference).seed == 0
    code, _, err = attempt("merge", *parts, "--data", reference)
    assert (code, err) == (2, f"Error: {reference}: holds a data set already; add --overwrite to replace it\n")


def test_merging_again_takes_the_parts_as_they_are_now(tmp_path, sources, parts):
    assert attempt("merge", *parts, "--data", tmp_path / "out")[0] == 0
    (sources[2] / "bee" / "cut.jpg").write_bytes((sources[2] / "bee" / "bee_0.JPEG").read_bytes())
    for part, folder in enumerate(parts, 1):
        assert attempt(*sources, "--part", f"{part}/3", "--data", folder, "--overwrite")[0] == 0
    assert read_manifest(tmp_path / "out").split("train").images == 12
    assert attempt("merge", *parts, "--data", tmp_path / "out", "--overwrite")[0] == 0
    assert read_manifest(tmp_path / "out").split("train").images == 13


def test_killed_merge_is_done_again(tmp_path, parts, reference):
    out = tmp_path / "out"
    kills = killer(out, tmp_path / "none", reference, ("steps", 6), "merge", *parts, "--data", out, "--overwrite")
    assert kills > 10
    assert all(folder.joinpath("part.json").exists() for folder in parts)


def test_killed_part_is_resumed(tmp_path, sources, parts):
    out = tmp_path / "out"
    kills = killer(out, tmp_path / "none", parts[1], ("steps", 6), *sources, "--part", "2/3", "--data", out)
    assert kills > 10
