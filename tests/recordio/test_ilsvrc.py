"""The official downloads, never unpacked: which image gets which label, and what is said when some are missing."""

from __future__ import annotations

import gzip
import io
import tarfile

import numpy as np
import pytest
from helpers.challenge import NAMES, WNIDS, make_challenge, tar_bytes, unpack, write_train
from helpers.images import contents, file_bytes, photo, pixels_by_pillow, records_by_mxnet
from helpers.runner import attempt
from PIL import Image

from gluon_alexnet.recordio.dataset.images import shorter_side_256
from gluon_alexnet.recordio.dataset.manifest import UNLABELLED, read_manifest
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.recordio.reading.verify import verify

RED = file_bytes(np.full((300, 300, 3), (250, 5, 5), np.uint8), "JPEG")


def run(*arguments):
    """(exit code, stdout, stderr) of `alexnet-tools pack`; a traceback fails the test."""
    return attempt("pack", *arguments)


def packed_from(source, year, out, *options):
    code, _, err = run("--ilsvrc", year, "--source", source, "--data", out, *options)
    assert code == 0, err
    return out


def image_of(folder, split, key):
    """(uint8 (256, 256, 3), label) of the image with this key."""
    with Reader(folder, split) as reader:
        keys = [reader.key(number) for number in range(len(reader))]
        return reader.read(keys.index(key))


@pytest.fixture(params=[2010, 2012])
def made(request, tmp_path):
    return make_challenge(tmp_path / "downloads", request.param)


def test_every_image_has_its_own_pixels_and_label(made, tmp_path):
    out = packed_from(made.folder, made.year, tmp_path / "out")
    manifest = read_manifest(out)
    wnids = [info.wnid for info in manifest.classes]
    assert wnids == sorted(WNIDS)
    assert {info.wnid: info.devkit_id for info in manifest.classes} == dict(zip(WNIDS, range(1, 6)))
    assert manifest.classes[0].name == "animal 3, beast 3"
    for split in ("train", "val", "test"):
        with Reader(out, split) as reader:
            keys = [reader.key(number) for number in range(len(reader))]
        assert sorted(keys) == sorted(made.files[split])
        for key, (header, jpeg) in zip(keys, records_by_mxnet(out, split)):
            source = shorter_side_256(pixels_by_pillow(made.files[split][key]))
            assert np.abs(pixels_by_pillow(jpeg).astype(int) - source).mean() < 4
            if (made.year, split) == (2012, "test"):
                assert header.label == -1
            else:
                assert wnids[int(header.label)] == made.wnids[split][key]


@pytest.mark.parametrize("shards", [1, 2])
def test_images_without_labels_are_counted_apart(tmp_path, shards):
    made = make_challenge(tmp_path / "downloads", 2012)
    out = packed_from(made.folder, 2012, tmp_path / "out", "--shards", shards)
    test, val = read_manifest(out).split("test"), read_manifest(out).split("val")
    assert (test.images, test.unlabelled, sum(test.class_counts)) == (5, 5, 0)
    assert (val.images, val.unlabelled, sum(val.class_counts)) == (8, 0, 8)
    assert verify(out) == []
    with Reader(out, "test") as reader:
        (batch,) = reader.batches(8)
    assert batch.labels.tolist() == [UNLABELLED] * 5 == [-1] * 5


@pytest.mark.parametrize("val_in_class_folders", [False, True])
def test_unpacked_files_give_the_same_bytes(made, tmp_path, val_in_class_folders):
    unpacked = unpack(made, tmp_path / "unpacked", val_in_class_folders)
    ours = contents(packed_from(made.folder, made.year, tmp_path / "a"))
    assert contents(packed_from(unpacked, made.year, tmp_path / "b")) == ours


def test_class_tars_in_a_folder_give_the_same_bytes(made, tmp_path):
    before = contents(packed_from(made.folder, made.year, tmp_path / "a"))
    train = made.folder / NAMES[made.year].format("train")
    train.with_suffix("").mkdir()
    with tarfile.open(train) as tar:
        for entry in tar:
            (train.with_suffix("") / entry.name).write_bytes(tar.extractfile(entry).read())
    train.unlink()
    assert contents(packed_from(made.folder, made.year, tmp_path / "b")) == before


def test_nothing_is_unpacked(made, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    before = contents(made.folder)
    packed_from(made.folder, made.year, tmp_path / "out")
    assert contents(made.folder) == before
    assert not list(scratch.iterdir())


def test_patch_images_of_2010_replace_the_blank_ones(tmp_path):
    made = make_challenge(tmp_path / "downloads", 2010)
    keys = {"train": f"{WNIDS[1]}/{WNIDS[1]}_10.JPEG", "val": "ILSVRC2010_val_00000003.JPEG"}
    keys["test"] = "ILSVRC2010_test_00000005.JPEG"
    patches = {f"patch_images/{split}/{key.rpartition('/')[2]}": RED for split, key in keys.items()}
    # The name of a validation image in the folder of another split replaces nothing.
    patches["patch_images/test/ILSVRC2010_val_00000001.JPEG"] = RED
    (made.folder / "patch_images.tar").write_bytes(tar_bytes(patches))
    code, _, err = run("--ilsvrc", 2010, "--source", made.folder, "--data", tmp_path / "out")
    assert code == 0
    assert "patch_images.tar: 3 images replaced, 1 replace none" in err
    for split, key in keys.items():
        image, label = image_of(tmp_path / "out", split, key)
        assert np.abs(image.astype(int) - (250, 5, 5)).max() < 6
        assert read_manifest(tmp_path / "out").classes[label].wnid == made.wnids[split][key]
    image, _ = image_of(tmp_path / "out", "val", "ILSVRC2010_val_00000001.JPEG")
    assert np.abs(image.astype(int) - (250, 5, 5)).max() > 50

    unpacked = unpack(made, tmp_path / "unpacked")
    for name, data in patches.items():
        (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / name).write_bytes(data)
    assert contents(packed_from(unpacked, 2010, tmp_path / "b")) == contents(tmp_path / "out")


def test_odd_images_of_the_official_tars(tmp_path):
    """2010 has a gzip-compressed JPEG, 2012 a PNG named .JPEG, both have CMYK images."""
    made = make_challenge(tmp_path / "downloads", 2012)
    image = photo(3, 300, 280)
    files = made.files["train"]
    zipped, png, cmyk = sorted(files)[:3]
    files[zipped] = gzip.compress(file_bytes(image, "JPEG", quality=95))
    files[png] = file_bytes(image, "PNG")
    ink = Image.fromarray(photo(4, 300, 300)).convert("CMYK")
    buffer = io.BytesIO()
    ink.save(buffer, "JPEG", quality=95)
    files[cmyk] = buffer.getvalue()
    write_train(made)
    out = packed_from(made.folder, 2012, tmp_path / "out", "--on-bad", "fail")
    for key, expected in ((zipped, image), (png, image), (cmyk, np.asarray(ink.convert("RGB")))):
        found, _ = image_of(out, "train", key)
        assert np.abs(found.astype(int) - shorter_side_256(expected)).mean() < 5


# What is missing


def test_missing_training_image_is_said_and_only_packed_around_when_asked(made, tmp_path):
    gone = f"{WNIDS[0]}/{WNIDS[0]}_2.JPEG"
    del made.files["train"][gone]
    write_train(made)
    arguments = ("--ilsvrc", made.year, "--source", made.folder, "--data", tmp_path / "out")
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert (
        f"{NAMES[made.year].format('train')}: 14 images where the development kit counts 15; 1 classes differ: "
        f"{WNIDS[0]} (2 of 3); complete them, or pack what is there with --allow-missing" in err
    )
    assert not (tmp_path / "out").exists()
    code, out, err = run(*arguments, "--allow-missing")
    assert code == 0
    assert out.startswith("packed 14 train, 8 val, 5 test; rejected 0;")
    assert f"{WNIDS[0]} (2 of 3)" in err


def test_one_image_too_many_in_a_class_is_said(made, tmp_path):
    """Also where the sum is right, because another class has one too few."""
    extra = f"{WNIDS[1]}/{WNIDS[1]}_4.JPEG"
    made.files["train"][extra], made.wnids["train"][extra] = RED, WNIDS[1]
    arguments = ("--ilsvrc", made.year, "--source", made.folder, "--data", tmp_path / "out")
    for removed, words in (
        (None, f"16 images where the development kit counts 15; 1 classes differ: {WNIDS[1]} (4 of 3)"),
        (f"{WNIDS[0]}/{WNIDS[0]}_2.JPEG", "15 images where the development kit counts 15; 2 classes differ: "),
    ):
        made.files["train"].pop(removed, None)
        write_train(made)
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        assert words in err and f"{WNIDS[1]} (4 of 3)" in err


def test_class_that_is_missing_keeps_its_label_free(tmp_path):
    made = make_challenge(tmp_path / "downloads", 2012)
    first = min(WNIDS)
    made.files["train"] = {k: v for k, v in made.files["train"].items() if not k.startswith(first)}
    write_train(made)
    out = packed_from(made.folder, 2012, tmp_path / "out", "--allow-missing")
    assert read_manifest(out).split("train").class_counts == (0, 3, 3, 3, 3)


@pytest.mark.parametrize("split", ["val", "test"])
def test_missing_numbers(tmp_path, split):
    made = make_challenge(tmp_path / "downloads", 2010)
    files = made.files[split]
    kept = {key: files[key] for key in sorted(files)[1:]}
    (made.folder / NAMES[2010].format(split)).write_bytes(tar_bytes(kept))
    code, _, err = run("--ilsvrc", 2010, "--source", made.folder, "--data", tmp_path / "out")
    assert code == 2
    assert f"1 of {len(files)} images are missing, the first is ILSVRC2010_{split}_00000001.JPEG" in err
    packed_from(made.folder, 2010, tmp_path / "out", "--allow-missing")
    for key in kept:
        _, label = image_of(tmp_path / "out", split, key)
        assert sorted(WNIDS)[label] == made.wnids[split][key]


def test_gap_in_unlabelled_test_images(tmp_path):
    made = make_challenge(tmp_path / "downloads", 2012)
    kept = {key: data for key, data in made.files["test"].items() if not key.endswith("2.JPEG")}
    (made.folder / NAMES[2012].format("test")).write_bytes(tar_bytes(kept))
    code, _, err = run("--ilsvrc", 2012, "--source", made.folder, "--data", tmp_path / "out")
    assert code == 2
    assert "1 of 5 images are missing, the first is ILSVRC2012_test_00000002.JPEG" in err


def test_no_test_images_is_only_a_note(made, tmp_path):
    (made.folder / NAMES[made.year].format("test")).unlink()
    code, out, err = run("--ilsvrc", made.year, "--source", made.folder, "--data", tmp_path / "out")
    assert code == 0
    assert out.startswith("packed 15 train, 8 val; ")
    assert f"no {NAMES[made.year].format('test')}; packed without a test split" in err


@pytest.mark.parametrize(
    ("name", "allowed", "sentence"),
    [
        ("ILSVRC2012_devkit_t12.tar.gz", False, "nor it unpacked (ILSVRC2012_devkit_t12); the classes and the labels"),
        ("ILSVRC2012_img_train.tar", False, "nor it unpacked (train); the training images are in it: download it"),
        ("ILSVRC2012_img_val.tar", True, "pack what is there with --allow-missing"),
    ],
)
def test_missing_downloads(tmp_path, name, allowed, sentence):
    made = make_challenge(tmp_path / "downloads", 2012)
    (made.folder / name).unlink()
    arguments = ("--ilsvrc", 2012, "--source", made.folder, "--data", tmp_path / "out")
    code, _, err = run(*arguments)
    assert code == 2
    assert f"{made.folder}: no {name}" in err and sentence in err
    assert run(*arguments, "--allow-missing")[0] == (0 if allowed else 2)


def test_test_labels_of_2010_are_a_download_of_their_own(tmp_path):
    made = make_challenge(tmp_path / "downloads", 2010)
    (made.folder / "ILSVRC2010_test_ground_truth.txt").unlink()
    code, _, err = run("--ilsvrc", 2010, "--source", made.folder, "--data", tmp_path / "out")
    assert code == 2
    assert "no ILSVRC2010_test_ground_truth.txt, and without it test images have no labels" in err
    packed_from(made.folder, 2010, tmp_path / "out", "--allow-missing")
    assert read_manifest(tmp_path / "out").split("test").unlabelled == 5


# What is wrong


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_cut_download(made, tmp_path, split):
    path = made.folder / NAMES[made.year].format(split)
    whole = path.read_bytes()
    for length in (0, 300, 512, 700, len(whole) // 2, len(whole) // 2 + 511):
        path.write_bytes(whole[:length])
        arguments = ("--ilsvrc", made.year, "--source", made.folder, "--data", tmp_path / "out")
        code, _, err = run(*arguments, "--allow-missing")
        assert code == 2, length
        assert str(path) in err and "download it again" in err
    assert not (tmp_path / "out").exists()


def test_compressed_tar_is_not_looked_into(made, tmp_path):
    path = made.folder / NAMES[made.year].format("val")
    path.write_bytes(gzip.compress(path.read_bytes()))
    code, _, err = run("--ilsvrc", made.year, "--source", made.folder, "--data", tmp_path / "out")
    assert code == 2
    assert f"{path}: a compressed tar; decompress it first" in err


def test_number_beyond_the_ground_truth(made, tmp_path):
    made.files["val"][f"ILSVRC{made.year}_val_00000009.JPEG"] = RED
    (made.folder / NAMES[made.year].format("val")).write_bytes(tar_bytes(made.files["val"]))
    code, _, err = run("--ilsvrc", made.year, "--source", made.folder, "--data", tmp_path / "out")
    assert code == 2
    assert "but the ground truth ends with number 8; download both again" in err


def test_class_that_the_kit_does_not_know(made, tmp_path):
    with tarfile.open(made.folder / NAMES[made.year].format("train"), "a") as tar:
        content = tar_bytes({"n09999999_1.JPEG": RED})
        entry = tarfile.TarInfo("n09999999.tar")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    code, _, err = run("--ilsvrc", made.year, "--source", made.folder, "--data", tmp_path / "out", "--allow-missing")
    assert code == 2
    assert "classes that the development kit lacks: n09999999" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--ilsvrc", "2012"], "--ilsvrc needs --source, the folder"),
        (["--source", "downloads"], "--source goes with --ilsvrc, 2012 or 2010"),
        (["--ilsvrc", "2012", "--source", "d", "--train", "x"], "leave --train, --val, --test, --split-half out"),
        (["--ilsvrc", "2011", "--source", "d"], "'2011' is not one of '2010', '2012'"),
        (["--ilsvrc", "2012", "--source", "nowhere"], "nowhere: no such folder; name the one that holds"),
        (["--train", "x"], "Give --val, or --split-half, a seed"),
        (["--train", "x", "--val", "y", "--split-half", "1"], "Give --val, or --split-half, a seed"),
        ([], "Say what to pack"),
    ],
)
def test_wrong_use(arguments, sentence):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert sentence in err


def test_the_year_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_challenge(tmp_path / "downloads", 2010)
    assert run("--ilsvrc", "2010", "--source", "downloads")[0] == 0
    assert (tmp_path / "data" / "ilsvrc2010" / "dataset.json").exists()
