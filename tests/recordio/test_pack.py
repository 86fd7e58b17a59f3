"""Packing: the same bytes for any number of workers, nothing half-written, and what each bad input says."""

from __future__ import annotations

import errno
import gzip
import os

import numpy as np
import pytest
from helpers.challenge import tar_bytes
from helpers.images import ODD, class_tree, contents, file_bytes, packed, photo, pixels_by_pillow, records_by_mxnet
from helpers.runner import attempt

from gluon_alexnet.recordio.dataset.images import shorter_side_256
from gluon_alexnet.recordio.dataset.manifest import DatasetError, SourceError, read_manifest
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.recordio.sources.class_folders import Source

JPEG = file_bytes(photo(8), "JPEG")


def run(*arguments):
    return attempt("pack", *arguments)


def test_number_of_workers_changes_no_byte(tmp_path):
    one = packed(tmp_path / "one", images=20, workers=1, shards=3)
    four = packed(tmp_path / "four", images=20, workers=4, shards=3)
    assert contents(one) == contents(four)
    assert len(contents(one)) == 2 * 3 * 3 + 3


def test_seed_sets_the_order_and_nothing_else(tmp_path):
    def images(folder):
        with Reader(folder, "train") as reader:
            (batch,) = reader.batches(100)
            return [(reader.key(i), int(batch.labels[i]), batch.images[i].tobytes()) for i in range(len(reader))]

    first, second = (images(packed(tmp_path / str(seed), images=20, seed=seed)) for seed in (0, 1))
    assert first != second
    assert sorted(first) == sorted(second)
    labels = [label for _, label, _ in first]
    assert labels != sorted(labels)


def test_mxnet_reads_what_the_sources_say(tmp_path):
    folder = packed(tmp_path, images=5, shards=2)
    manifest = read_manifest(folder)
    with Reader(folder, "train") as reader:
        keys = [reader.key(number) for number in range(len(reader))]
    records = records_by_mxnet(folder, "train")
    assert [c.wnid for c in manifest.classes] == ["ant", "bee", "cat"]
    assert manifest.split("train").class_counts == (5, 5, 5)
    assert len(records) == len(keys) == manifest.split("train").images == 15
    for key, (header, jpeg) in zip(keys, records):
        assert key.startswith(manifest.classes[int(header.label)].wnid + "/")
        source = shorter_side_256(pixels_by_pillow((tmp_path / "train" / key).read_bytes()))
        assert np.abs(pixels_by_pillow(jpeg).astype(int) - source).mean() < 4
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.rec")}
    assert sizes == {shard.name: shard.bytes for split in manifest.splits for shard in split.shards}


def test_more_shards_than_images(tmp_path):
    folder = packed(tmp_path, images=1, shards=99)
    assert [shard.images for shard in read_manifest(folder).split("train").shards] == [1, 1, 1]
    assert len(records_by_mxnet(folder, "train")) == 3


# The command


def test_last_line_counts_everything(tmp_path, trees):
    train, val = trees
    (train / "ant" / "notes.txt").touch()
    (train / "bee" / "cut.jpg").write_bytes(JPEG[:-300])
    (train / "bee" / "tab\tnew\nline.png").write_bytes(b"junk")
    (val / "cat" / "Käfer 狗.jpg").write_bytes(b"")
    code, out, _ = run("--train", train, "--val", val, "--data", tmp_path / "out")
    assert code == 0
    assert out.splitlines()[-1].startswith("packed 12 train, 6 val; rejected 3; ignored 1 other files; ")
    assert out.endswith(f" images/s; {tmp_path / 'out'}\n")
    lines = (tmp_path / "out" / "rejected.tsv").read_text().splitlines()
    assert lines[0] == "split\tkey\treason"
    rows = {tuple(line.split("\t")[:2]): line.split("\t")[2] for line in lines[1:]}
    assert rows.keys() == {("train", "bee/cut.jpg"), ("train", r"bee/tab\tnew\nline.png"), ("val", "cat/Käfer 狗.jpg")}
    assert "truncated" in rows["train", "bee/cut.jpg"]
    assert rows["val", "cat/Käfer 狗.jpg"] == "empty file"
    manifest = read_manifest(tmp_path / "out")
    assert [split.rejected for split in manifest.splits] == [2, 1]


def test_rejected_images_of_every_split_are_in_the_report(tmp_path, trees):
    """Also in that of a call that finds everything done."""
    train, val = trees
    for folder, name in ((train / "bee", "a"), (val / "ant", "b"), (val / "bee", "c")):
        (folder / f"{name}.jpg").write_bytes(b"junk")
    arguments = ("--train", train, "--val", val, "--data", tmp_path / "out")
    for more in ((), ("--resume",)):
        code, out, _ = run(*arguments, *more)
        assert code == 0
        assert out.startswith("packed 12 train, 6 val; rejected 3; ")
    assert [split.rejected for split in read_manifest(tmp_path / "out").splits] == [1, 2]


def test_fail_stops_at_the_first_bad_image(tmp_path, trees):
    train, val = trees
    (train / "bee" / "cut.jpg").write_bytes(JPEG[:-300])
    code, out, err = run("--train", train, "--val", val, "--data", tmp_path / "out", "--on-bad", "fail")
    assert (code, out) == (1, "")
    assert err.startswith("Error: train: bee/cut.jpg: image file is truncated")
    assert not (tmp_path / "out").exists()


def test_unreadable_file_is_a_rejected_image(tmp_path, trees):
    train, val = trees
    (train / "ant" / "gone.jpg").symlink_to("nowhere.jpg")
    (train / "bee" / "loop.jpg").symlink_to("loop.jpg")
    code, _, _ = run("--train", train, "--val", val, "--data", tmp_path / "out")
    assert code == 0
    assert sorted((tmp_path / "out" / "rejected.tsv").read_text().splitlines()[1:]) == [
        "train\tant/gone.jpg\tNo such file or directory",
        "train\tbee/loop.jpg\tToo many levels of symbolic links",
    ]


def test_names_that_are_no_unicode(tmp_path, trees):
    train, val = trees
    for name, content in [(b"bad-\xe9.jpg", b"junk"), (b"good-\xe9.jpg", JPEG)]:
        with open(os.fsencode(train / "ant") + b"/" + name, "wb") as file:
            file.write(content)
    assert run("--train", train, "--val", val, "--data", tmp_path / "out")[0] == 0
    assert b"train\tant/bad-\xe9.jpg\tnot an image" in (tmp_path / "out" / "rejected.tsv").read_bytes()
    with Reader(tmp_path / "out", "train") as reader:
        assert os.fsdecode(b"ant/good-\xe9.jpg") in [reader.key(number) for number in range(len(reader))]


def test_bad_files_of_every_kind(tmp_path, trees, monkeypatch):
    """None of them stops the others; duplicates are kept, as in ImageNet itself."""
    train, val = trees
    good = file_bytes(photo(3, 300, 300), "PNG")
    huge = bytearray(JPEG)
    frame = huge.index(b"\xff\xc0") + 5
    huge[frame : frame + 4] = (60_000).to_bytes(2, "big") * 2
    files = {
        "png named.JPEG": good,
        "duplicate.JPEG": good,
        "zipped.JPEG": gzip.compress(JPEG),
        "empty.JPEG": b"",
        "huge.JPEG": bytes(huge),
        "cut.JPEG": JPEG[:-200],
        "secret.JPEG": JPEG,
    }
    for name, content in files.items():
        (train / "ant" / name).write_bytes(content)
    (train / "ant" / "folder.JPEG").mkdir()
    for path in ODD.glob("*.jpg"):
        (train / "bee" / path.name).write_bytes(path.read_bytes())
    real = Source.read

    def read(source):  # permissions do not stop the administrator, as whom tests may run
        if source.key.endswith("secret.JPEG"):
            raise PermissionError(errno.EACCES, "Permission denied", source.path)
        return real(source)

    monkeypatch.setattr(Source, "read", read)
    assert run("--train", train, "--val", val, "--data", tmp_path / "out")[0] == 0
    rows = dict(line.split("\t")[1:] for line in (tmp_path / "out" / "rejected.tsv").read_text().splitlines()[1:])
    reasons = {key[len("ant/") :]: reason for key, reason in rows.items() if key.startswith("ant/")}
    assert reasons.keys() == {"empty.JPEG", "huge.JPEG", "cut.JPEG", "secret.JPEG"}
    assert reasons["empty.JPEG"] == "empty file" and reasons["secret.JPEG"] == "Permission denied"
    assert reasons["huge.JPEG"] == "its header says 60000x60000 pixels, the limit is 150 million"
    with Reader(tmp_path / "out", "train") as reader:
        found = {reader.key(number): reader.read(number)[0] for number in range(len(reader))}
    assert (found["ant/duplicate.JPEG"] == found["ant/png named.JPEG"]).all()
    assert "ant/zipped.JPEG" in found
    assert len(found) + len(rows) == 12 + len(files) + len(list(ODD.glob("*.jpg")))


def test_readable_names_of_ilsvrc_classes(tmp_path):
    train = class_tree(tmp_path / "train", classes=("n02119789", "n01440764"), images=1)
    assert run("--train", train, "--val", train, "--data", tmp_path / "out")[0] == 0
    classes = read_manifest(tmp_path / "out").classes
    assert [(info.wnid, info.name) for info in classes] == [("n01440764", "tench"), ("n02119789", "kit fox")]
    class_tree(train, classes=("n99999999",), images=1)
    assert run("--train", train, "--val", train, "--data", tmp_path / "other")[0] == 0
    assert [info.name for info in read_manifest(tmp_path / "other").classes] == ["n01440764", "n02119789", "n99999999"]


def test_half_of_the_training_images_for_validation(tmp_path):
    train = class_tree(tmp_path / "train", images=5)
    code, out, _ = run("--train", train, "--split-half", 3, "--data", tmp_path / "out")
    assert code == 0
    assert out.startswith("packed 9 train, 6 val; ")
    manifest = read_manifest(tmp_path / "out")
    assert [split.class_counts for split in manifest.splits] == [(3, 3, 3), (2, 2, 2)]
    keys = []
    for split in ("train", "val"):
        with Reader(tmp_path / "out", split) as reader:
            keys += [reader.key(number) for number in range(len(reader))]
    assert sorted(keys) == sorted(str(path.relative_to(train)) for path in train.rglob("*.JPEG"))


def test_fall_release_as_a_tar_of_tars(tmp_path):
    tars = {
        f"{wnid}.tar": tar_bytes({f"{wnid}_{i}.JPEG": file_bytes(photo(i), "JPEG") for i in range(4)})
        for wnid in ("n00007846", "n00017222", "n00021265")
    }
    tars["n00021939.tar"] = tar_bytes({})
    (tmp_path / "fall11_whole.tar").write_bytes(tar_bytes(tars))
    arguments = ("--train", tmp_path / "fall11_whole.tar", "--split-half", 0, "--data", tmp_path / "out")
    code, _, err = run(*arguments)
    assert code == 2
    assert "class folders without an image: n00021939; fill or remove them" in err
    code, out, _ = run(*arguments, "--allow-missing")
    assert code == 0
    assert out.startswith("packed 6 train, 6 val; ")
    assert read_manifest(tmp_path / "out").split("train").class_counts == (2, 2, 2, 0)


def test_failing_disk_is_not_a_matter_of_one_image(tmp_path, trees, monkeypatch):
    def read(source):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Source, "read", read)
    code, out, err = run("--train", trees[0], "--val", trees[1], "--data", tmp_path / "out")
    assert (code, out) == (1, "")
    assert err.endswith(".JPEG: Input/output error; nothing was packed\n")
    assert not (tmp_path / "out").exists()


def test_shard_of_nothing_but_bad_images(tmp_path):
    train = class_tree(tmp_path / "train", images=2)
    for path in list(train.rglob("*.JPEG"))[1:]:
        path.write_bytes(b"junk")
    code, _, _ = run("--train", train, "--val", train, "--data", tmp_path / "out", "--shards", 3)
    assert code == 0
    with Reader(tmp_path / "out", "train") as reader:
        assert sorted(shard.images for shard in reader.split.shards) == [0, 0, 1]
        (batch,) = reader.batches(8)
        assert batch.ids.tolist() == [0]
    assert len(records_by_mxnet(tmp_path / "out", "train")) == 1


def test_class_missing_from_val_is_said(tmp_path, trees):
    train, val = trees
    for path in (val / "bee").iterdir():
        path.unlink()
    code, _, err = run("--train", train, "--val", val, "--data", tmp_path / "out")
    assert code == 0
    assert f"{val}: no images of 1 classes: bee" in err
    assert read_manifest(tmp_path / "out").split("val").class_counts == (2, 0, 2)


def test_class_only_in_val(tmp_path, trees):
    train, val = trees
    class_tree(val, classes=["wasp"], images=1)
    code, out, err = run("--train", train, "--val", val, "--data", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err == f"Error: {val}: classes that the training split lacks: wasp\n"
    assert not (tmp_path / "out").exists()


def test_folder_without_images(tmp_path, trees):
    (tmp_path / "empty").mkdir()
    code, out, err = run("--train", tmp_path / "empty", "--val", trees[1], "--data", tmp_path / "out")
    assert (code, out) == (2, "")
    assert err.startswith(f"Error: {tmp_path / 'empty'}: no images (.jpg")


def test_all_images_unreadable(tmp_path, trees):
    train, val = trees
    for path in val.rglob("*.JPEG"):
        path.write_bytes(b"junk")
    code, out, err = run("--train", train, "--val", val, "--data", tmp_path / "made" / "out")
    assert (code, out) == (1, "")
    assert err.startswith("Error: val: none of the 6 images can be read (")
    assert "not an image in a format" in err
    assert [path.name for path in (tmp_path / "made" / "out").iterdir()] == ["packing.partial"]


def test_progress_counts_every_image(tmp_path):
    seen = []
    packed(tmp_path, progress=lambda count, **values: seen.append((count, values)))
    assert seen[0] == (0, {"of": 3 * 4 + 3 * 2, "earlier": True})
    assert sum(count for count, _ in seen) == 3 * 4 + 3 * 2
    assert seen[-1] == (1, {"rejected": 0})


def test_help_has_an_example():
    code, out, _ = run("--help")
    assert code == 0
    assert "Example: alexnet-tools pack --ilsvrc 2012 --source downloads" in out


@pytest.mark.parametrize("option", [("--seed", -1), ("--workers", 0), ("--shards", 0), ("--on-bad", "guess")])
def test_options_out_of_range(tmp_path, trees, option):
    code, _, err = run("--train", trees[0], "--val", trees[1], "--data", tmp_path / "out", *option)
    assert code == 2
    assert option[0] in err


def test_a_data_set_needs_a_training_split(tmp_path):
    from gluon_alexnet.recordio.packing.pack import pack

    with pytest.raises(SourceError, match="needs a training split"):
        pack({}, [], tmp_path / "out")
    with pytest.raises(DatasetError, match="none of the 0 images"):
        pack({"train": []}, [], tmp_path / "out")
