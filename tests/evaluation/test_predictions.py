"""Probabilities on disk: what NumPy alone reads of them, what is refused, and memory that does not grow."""

import json
import tracemalloc

import numpy as np
import pytest

from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.evaluation.predictions import (
    PRECISIONS,
    Description,
    Net,
    Predictions,
    PredictionsWriter,
    compatible,
)
from gluon_alexnet.tools import results_table

CLASSES = [{"wnid": f"n{i}", "name": f"Zürich {i}", "devkit_id": 7 - i if i else None} for i in range(6)]
NETS = (Net("runs/a", 2.0, 60_965_224), Net("runs/b", 1.0, 5, ("no-lrn",)))
MADE = Description("data/x", "d" * 64, "val", CLASSES, (10, 1), NETS)
KEYS = ["a/ä.jpg", "b/odd\udcff.jpg", "c", "d", "e", "f", "g"]  # one name is no UTF-8


def table(rng, count=7, classes=6):
    values = rng.random((count, classes)).astype(np.float32)
    return values / values.sum(axis=1, keepdims=True)


def write(file, tables, keys=KEYS, labels=None, description=MADE, precision="float32", rows=3):
    labels = np.arange(len(keys)) % len(CLASSES) if labels is None else labels
    with PredictionsWriter(file, description, precision) as writer:
        for begin in range(0, len(keys), rows):
            part = slice(begin, begin + rows)
            writer.add(keys[part], labels[part], [values[part] for values in tables])
    return file


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_numpy_alone_reads_it(tmp_path, rng, precision):
    tables = [table(rng), table(rng)]
    write(tmp_path / "p.npz", tables, precision=precision)
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]
    with np.load(tmp_path / "p.npz", allow_pickle=False) as found:
        assert found["probabilities_10"].dtype == found["probabilities_1"].dtype == precision
        np.testing.assert_array_equal(found["probabilities_10"], tables[0].astype(precision))
        np.testing.assert_array_equal(found["probabilities_1"], tables[1].astype(precision))
        assert [key.decode("utf-8", "surrogateescape") for key in found["keys"]] == KEYS
        np.testing.assert_array_equal(found["labels"], [0, 1, 2, 3, 4, 5, 0])
        document = json.loads(found["description"].item())
    assert document["format"] == "alexnet-predictions"
    assert [document[name] for name in ("version", "split", "views", "data_digest")] == [1, "val", [10, 1], "d" * 64]
    assert document["classes"] == CLASSES
    expected = {"source": "runs/b", "weight": 1.0, "parameters": 5, "variants": ["no-lrn"], "recipe": ""}
    assert document["nets"][1] == expected


@pytest.mark.parametrize("count", [1, 3, 100])
def test_rows_come_back_in_order(tmp_path, rng, count):
    tables = [table(rng), table(rng)]
    opened = Predictions(write(tmp_path / "p.npz", tables))
    assert opened.description == MADE
    assert opened.description.weight == 3
    rows = list(opened.rows(count))
    assert [key for row in rows for key in row.keys] == KEYS
    for views in (0, 1):
        np.testing.assert_array_equal(np.concatenate([row.probabilities[views] for row in rows]), tables[views])


def test_the_command_offers_the_file_s_precisions():
    assert results_table.PRECISIONS == PRECISIONS


def test_nothing_appears_and_nothing_is_lost_when_the_work_fails(tmp_path, rng):
    file = write(tmp_path / "p.npz", [table(rng)] * 2)
    before = file.read_bytes()
    with pytest.raises(RuntimeError, match="stop"), PredictionsWriter(file, MADE) as writer:  # noqa: PT012
        writer.add(KEYS, np.zeros(7, int), [table(rng)] * 2)
        raise RuntimeError("stop")
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]
    with pytest.raises(InvalidRequest, match="is no folder"), PredictionsWriter(tmp_path / "none" / "p.npz", MADE):
        pass


def test_cut_and_changed_files_are_refused_or_read_right(tmp_path, rng):
    tables = [table(rng), table(rng)]
    file = write(tmp_path / "p.npz", tables)
    whole, refused = file.read_bytes(), 0
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(0, len(whole))] if rng.random() < 0.3 else whole)
        for place in rng.integers(0, max(1, len(damaged)), rng.integers(1, 4)):
            if damaged:
                damaged[place] ^= int(rng.integers(1, 256))
        file.write_bytes(damaged)
        try:
            opened = Predictions(file)
            rows = list(opened.rows(3))
        except OperationFailed as error:
            assert str(file) in str(error)
            refused += 1
        else:  # the zip's headers have bytes that mean nothing
            assert opened.description == MADE
            assert [key for row in rows for key in row.keys] == KEYS
            for views in (0, 1):
                found = np.concatenate([row.probabilities[views] for row in rows])
                np.testing.assert_array_equal(found, tables[views])
    assert refused > 200


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 2}, "has version 2; this program reads up to 1"),
        ({"format": "other"}, "is not a file of predictions"),
        ({"views": [5]}, "is not a whole file of predictions"),
        ({"nets": []}, "is not a whole file of predictions"),
    ],
)
def test_foreign_and_newer_files(tmp_path, rng, change, sentence):
    file = write(tmp_path / "p.npz", [table(rng)] * 2)
    with np.load(file, allow_pickle=False) as found:
        arrays = dict(found)
    document = {**json.loads(arrays["description"].item()), **change}
    np.savez(file, **{**arrays, "description": np.array(json.dumps(document).encode())})
    with pytest.raises(OperationFailed, match=sentence):
        Predictions(file)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InvalidRequest, match="no such file of predictions"):
        Predictions(tmp_path / "none.npz")
    (tmp_path / "text").write_text("something else")
    with pytest.raises(OperationFailed, match="is not a whole file of predictions"):
        Predictions(tmp_path / "text")
    np.savez(tmp_path / "objects.npz", description=np.array([{}], object))
    with pytest.raises(OperationFailed, match="is not a whole file of predictions"):
        Predictions(tmp_path / "objects.npz")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"split": "test"}, "is of split val and .* of test"),
        ({"classes": CLASSES[:5]}, "has 6 classes and .* has 5"),
        ({"classes": CLASSES[::-1]}, "they are not the same: such nets cannot be averaged"),
        ({"data_digest": "e" * 64}, "of another one"),
        ({"views": (1, 10)}, "has views 10,1 and .* has 1,10"),
        ({}, "has 7 images and .* has 6"),
    ],
)
def test_what_cannot_be_averaged(tmp_path, rng, change, sentence):
    other = Description(**{**vars(MADE), **change})
    count = 7 if change else 6
    tables = [table(rng, count, len(other.classes))] * 2
    labels = np.zeros(count, int)
    files = [
        write(tmp_path / "a.npz", [table(rng)] * 2, labels=np.zeros(7, int)),
        write(tmp_path / "b.npz", tables, KEYS[:count], labels, other),
    ]
    with pytest.raises(InvalidRequest, match=sentence):
        compatible([Predictions(file) for file in files])
    compatible([Predictions(files[0])] * 2)


def test_memory_does_not_grow_with_the_images(tmp_path):
    def peak(count):
        part = np.full((100, 1000), 0.001, np.float32)
        classes = [{"wnid": f"n{i}", "name": f"n{i}", "devkit_id": None} for i in range(1000)]
        description = Description("d", "0" * 64, "val", classes, (10,), NETS)
        tracemalloc.start()
        with PredictionsWriter(tmp_path / "p.npz", description) as writer:
            for begin in range(0, count, 100):
                keys = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(begin, begin + 100)]
                writer.add(keys, np.zeros(100, int), [part])
        assert sum(len(row.labels) for row in Predictions(tmp_path / "p.npz").rows(100)) == count
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # 4,000 more images hold 16 MB of probabilities; what may grow is their names and labels.
    assert peak(5_000) - peak(1_000) < 2_000_000


def test_files_with_other_labels_of_the_same_images_are_not_averaged(tmp_path, rng):
    labels = np.arange(7) % 6
    files = [write(tmp_path / f"{n}.npz", [table(rng)] * 2, labels=one) for n, one in enumerate((labels, labels[::-1]))]
    with pytest.raises(InvalidRequest, match="and they are not the same"):
        compatible([Predictions(file) for file in files])


def test_files_of_as_many_other_images_are_not_averaged(tmp_path, rng):
    names = (KEYS, [*KEYS[:-1], "h"], KEYS[::-1])
    one, *others = (write(tmp_path / f"{n}.npz", [table(rng)] * 2, keys) for n, keys in enumerate(names))
    for other in others:
        with pytest.raises(InvalidRequest, match="and they are not the same"):
            compatible([Predictions(one), Predictions(other)])
