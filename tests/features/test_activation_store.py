"""Files of activations are plain, continue where they were, and hold nothing else than what their header says."""

import errno
import json

import numpy as np
import pytest

from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.features import activation_store as store
from gluon_alexnet.features import npy_file

SHAPES = {"conv5": (3, 2, 2), "fc6": (5,)}
KEYS = [f"folder/image {number} ä.jpg".encode() for number in range(23)]


def contents(**changes):
    given = {"net": "a" * 64, "source": "runs/a", "layers": SHAPES, "before_activation": True, "views": 1, **changes}
    return store.Contents(**given)


@pytest.fixture
def values(rng):
    return {name: rng.normal(0, 1, (len(KEYS), *shape)).astype(np.float32) for name, shape in SHAPES.items()}


def write(folder, values, keys=KEYS, until=None, batch=4, **changes):
    """All batches from where the folder stands, or until the image ``until``, as if killed there."""
    with store.ActivationWriter(folder, contents(**changes)) as writer:
        assert list(writer.keys()) == list(keys[: writer.done])
        begin = writer.done
        for start in range(begin, len(keys), batch):
            if until is not None and start >= until:
                return begin
            part = slice(start, start + batch)
            writer.append(keys[part], {name: array[part] for name, array in values.items()})
        writer.complete()
        return begin


def same(folder, values):
    assert (folder / "keys.txt").read_bytes().splitlines() == KEYS
    for name, array in values.items():
        plain = np.load(folder / f"{name}.npy", mmap_mode="r")
        assert (plain.dtype, plain.offset) == (np.dtype("<f4"), 128)
        np.testing.assert_array_equal(plain, array)
    assert sorted(file.name for file in folder.iterdir()) == ["activations.json", "conv5.npy", "fc6.npy", "keys.txt"]


def test_numpy_opens_what_was_written(values, tmp_path):
    write(tmp_path / "deep" / "a", values)
    same(tmp_path / "deep" / "a", values)
    header = json.loads((tmp_path / "deep" / "a" / "activations.json").read_text())
    assert header["images"] == 23
    assert header["layers"]["conv5"] == {"file": "conv5.npy", "shape": [3, 2, 2]}
    assert (header["before_activation"], header["views"], header["source"]) == (True, 1, "runs/a")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a"]


@pytest.mark.parametrize("shape", [(), (4096,), (256, 13, 13), (10, 96, 55, 55)])
@pytest.mark.parametrize("rows", [0, 1, 10**12])
def test_a_header_of_any_array_has_its_fixed_size_and_numpy_reads_it(tmp_path, shape, rows):
    head = npy_file.header(rows, shape, "<f4")
    assert len(head) == npy_file.HEADER_BYTES
    (tmp_path / "x.npy").write_bytes(head)
    with open(tmp_path / "x.npy", "rb") as file:
        assert np.lib.format.read_magic(file) == (1, 0)
        assert np.lib.format.read_array_header_1_0(file) == ((rows, *shape), False, np.dtype("<f4"))
        assert file.tell() == npy_file.HEADER_BYTES


@pytest.mark.parametrize("until", [0, 4, 8, 16, 20])
@pytest.mark.parametrize("synced", [1, 8, 1024])
def test_what_was_killed_goes_on_and_gives_the_same_bytes(values, tmp_path, monkeypatch, until, synced):
    monkeypatch.setattr(store, "SYNCED_ROWS", synced)
    write(tmp_path / "whole", values)
    write(tmp_path / "a", values, until=until)
    assert not (tmp_path / "a").exists()
    draft = tmp_path / "a.partial"
    for file in ("conv5.npy", "fc6.npy"):  # a kill leaves rows without a name, and parts of rows
        with open(draft / file, "ab") as stream:
            stream.write(b"\1" * 131)
    with open(draft / "keys.txt", "ab") as stream:
        stream.write(KEYS[0][:7])
    begun = write(tmp_path / "a", values)
    assert begun == (until // synced * synced if synced > 1 else until)
    same(tmp_path / "a", values)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "whole" / file.name).read_bytes()


def test_stopped_on_purpose_nothing_is_lost(values, tmp_path):
    with store.ActivationWriter(tmp_path / "a", contents()) as writer:
        writer.append(KEYS[:3], {name: array[:3] for name, array in values.items()})
        assert writer.stop() == 3
    assert write(tmp_path / "a", values) == 3
    same(tmp_path / "a", values)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"net": "b" * 64}, "another net"),
        ({"layers": {"conv5": (3, 2, 2)}}, "another layers"),
        ({"before_activation": False}, "another before activation"),
        ({"views": 10}, "another views"),
    ],
)
def test_other_contents_do_not_go_on(values, tmp_path, changes, what):
    write(tmp_path / "a", values, until=8)
    with pytest.raises(InvalidRequest, match=f"a.partial was begun with {what}"):
        write(tmp_path / "a", values, **changes)


def test_a_folder_that_is_there_is_left_alone(values, tmp_path):
    write(tmp_path / "a", values)
    with pytest.raises(InvalidRequest, match="a is there already; give another folder, or remove it"):
        write(tmp_path / "a", values)
    (tmp_path / "b.partial").mkdir()
    (tmp_path / "b.partial" / "letter.txt").write_text("mine")
    with pytest.raises(InvalidRequest, match="was not made by this program"):
        write(tmp_path / "b", values)
    assert [file.name for file in (tmp_path / "b.partial").iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("damage", ["header", "foreign", "newer", "rows"])
def test_damage_is_named(values, tmp_path, damage, monkeypatch):
    monkeypatch.setattr(store, "SYNCED_ROWS", 1)
    write(tmp_path / "a", values, until=8)
    draft = tmp_path / "a.partial"
    header = json.loads((draft / "activations.json").read_text())
    if damage == "header":
        (draft / "activations.json").write_text("{")
    elif damage == "foreign":
        (draft / "activations.json").write_text(json.dumps({**header, "format": "other"}))
    elif damage == "newer":
        (draft / "activations.json").write_text(json.dumps({**header, "version": 2}))
    else:
        (draft / "fc6.npy").write_bytes((draft / "fc6.npy").read_bytes()[:-1])
    sentences = {
        "header": "is damaged",
        "rows": "fc6.npy has lost",
        "foreign": "another program",
        "newer": "newer",
    }
    with pytest.raises((OperationFailed, InvalidRequest), match=sentences[damage]):
        write(tmp_path / "a", values)


def test_two_processes_do_not_write_the_same(values, tmp_path):
    with store.ActivationWriter(tmp_path / "a", contents()), pytest.raises(InvalidRequest, match="by another process"):
        write(tmp_path / "a", values)


def test_what_is_not_a_number_is_told(values, tmp_path):
    values["fc6"][9, 2] = np.nan
    with pytest.raises(OperationFailed, match=r"fc6 of folder/image 9 ä\.jpg is not a number"):
        write(tmp_path / "a", values)
    assert not (tmp_path / "a").exists()


def test_no_image_at_all_is_no_folder(values, tmp_path):
    with pytest.raises(OperationFailed, match="not one image"):
        write(tmp_path / "a", values, keys=[])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_what_there_is_stays(values, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SYNCED_ROWS", 1)
    write(tmp_path / "a", values, until=8)

    def full(self, rows):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(npy_file.GrowingNpy, "append", full)
        with pytest.raises(OperationFailed, match=r"No space left on device; make room, and .* goes on after 8"):
            write(tmp_path / "a", values)
    assert write(tmp_path / "a", values) == 8
    same(tmp_path / "a", values)
