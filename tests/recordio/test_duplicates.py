"""Images of val or test that train holds, too, are counted when packed, said when measured, and named by verify."""

import hashlib
import io
import json
import shutil

import numpy as np
import pytest
from helpers.images import file_bytes, photo
from helpers.nets import make_run
from helpers.runner import invoke

from gluon_alexnet.recordio.dataset.duplicates import find_duplicates
from gluon_alexnet.recordio.dataset.manifest import DatasetError, read_manifest
from gluon_alexnet.recordio.packing import shard_worker
from gluon_alexnet.recordio.packing.shard_writer import read_receipt

CLASSES, TRAIN, VAL = 3, 6, 4


def run(*words, code=0):
    return "".join(invoke(*words, code=code))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Images of which two of val are in train under other names, one even in another class, and one is not quite."""
    folder = tmp_path_factory.mktemp("source")
    for split, count in (("train", TRAIN), ("val", VAL)):
        for label in range(CLASSES):
            for number in range(count):
                file = folder / split / f"class{label}" / f"{split}{number}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(file_bytes(photo(1000 * len(split) + 100 * label + number, 60, 50), "JPEG"))
    shutil.copy(folder / "train" / "class0" / "train3.jpg", folder / "val" / "class0" / "val1.jpg")
    shutil.copy(folder / "train" / "class2" / "train0.jpg", folder / "val" / "class1" / "val2.jpg")
    almost = photo(5, 60, 50)
    (folder / "train" / "class2" / "train5.jpg").write_bytes(file_bytes(almost, "PNG"))
    almost[30, 25] ^= 255
    (folder / "val" / "class2" / "val3.jpg").write_bytes(file_bytes(almost, "PNG"))
    return folder


def words(source, out, *more):
    return ["pack", "--train", source / "train", "--val", source / "val", "--data", out, *more]


def held(folder, split="val"):
    splits = json.loads((folder / "dataset.json").read_text())["splits"]
    return next(one["also_in_train"] for one in splits if one["name"] == split)


SENTENCE = "2 of the 12 images of val are in train, too"


@pytest.mark.parametrize("encoding", ["jpeg", "raw"])
def test_they_are_counted_said_and_named(source, tmp_path, encoding):
    assert SENTENCE in run(*words(source, tmp_path / "data", "--encoding", encoding))
    assert held(tmp_path / "data") == 2
    assert held(tmp_path / "data", "train") is None
    said = run("verify", "--data", tmp_path / "data")
    assert SENTENCE in said
    assert "val: class0/val1.jpg is train's class0/train3.jpg" in said
    assert "val: class1/val2.jpg is train's class2/train0.jpg" in said
    assert said.count("is train's") == 2


def test_eval_says_it(source, tmp_path, small_recipe):
    run(*words(source, tmp_path / "data"))
    make_run(tmp_path / "run", small_recipe, tmp_path / "data", 1)
    evaluate = ["eval", "--data", tmp_path / "data", "--model", tmp_path / "run", "--views", 1, "--cpus", 0]
    assert SENTENCE in run(*evaluate)
    assert "in train, too" not in run(*evaluate, "--split", "train")


def test_without_any_nothing_is_said(source, tmp_path):
    shutil.copytree(source, tmp_path / "clean")
    for name in ("class0/val1.jpg", "class1/val2.jpg"):
        (tmp_path / "clean" / "val" / name).unlink()
    assert "in train, too" not in run(*words(tmp_path / "clean", tmp_path / "data"))
    assert held(tmp_path / "data") == 0
    assert "in train, too" not in run("verify", "--data", tmp_path / "data")


def test_parts_and_an_interrupted_pack_count_the_same(source, tmp_path, monkeypatch):
    run(*words(source, tmp_path / "whole", "--shards", 4))
    for part in ("1/2", "2/2"):
        assert "in train" not in run(*words(source, tmp_path / part[0], "--shards", 4, "--part", part))
    assert SENTENCE in run("merge", tmp_path / "1", tmp_path / "2", "--data", tmp_path / "merged")
    real, written = shard_worker.write_receipt, []

    def stop(path, packed):
        real(path, packed)
        written.append(path)
        if len(written) == 5:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shard_worker, "write_receipt", stop)
        run(*words(source, tmp_path / "resumed", "--shards", 4), code=1)
    # One receipt as an older program wrote them, without digests: that shard is packed again.
    with np.load(written[0], allow_pickle=False) as arrays:
        kept = {name: arrays[name] for name in arrays if name != "image_digests"}
    buffer = io.BytesIO()
    np.savez(buffer, **kept)
    written[0].write_bytes(buffer.getvalue())
    with pytest.raises(DatasetError):
        read_receipt(written[0])
    assert SENTENCE in run(*words(source, tmp_path / "resumed", "--shards", 4, "--resume"))
    for name in ("merged", "resumed"):
        assert (tmp_path / name / "dataset.json").read_bytes() == (tmp_path / "whole" / "dataset.json").read_bytes()


def test_data_sets_of_older_programs_are_read_and_keep_their_digest(source, tmp_path):
    run(*words(source, tmp_path / "data"))
    file = tmp_path / "data" / "dataset.json"
    document = json.loads(file.read_text())
    for split in document["splits"]:
        del split["also_in_train"]
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    expected = hashlib.sha256(canonical.encode()).hexdigest()
    assert read_manifest(tmp_path / "data").digest == expected
    file.write_text(json.dumps(document))
    assert read_manifest(tmp_path / "data").digest == expected
    assert SENTENCE in run("verify", "--data", tmp_path / "data")  # counted now


def test_a_wrong_count_is_a_problem(source, tmp_path):
    run(*words(source, tmp_path / "data"))
    file = tmp_path / "data" / "dataset.json"
    file.write_text(file.read_text().replace('"also_in_train": 2', '"also_in_train": 0'))
    said = run("verify", "--data", tmp_path / "data", code=1)
    assert "dataset.json: 2 images of val are in train, too, not 0" in said


def test_twins_against_a_plain_search(rng):
    for count in (0, 1, 200):
        train = rng.integers(0, 300, count).astype(np.uint64)
        here = rng.integers(0, 300, 150).astype(np.uint64)
        places, theirs = find_duplicates(here, train)
        assert places.tolist() == [i for i, digest in enumerate(here) if digest in train.tolist()]
        assert [train[j] for j in theirs] == [here[i] for i in places]
