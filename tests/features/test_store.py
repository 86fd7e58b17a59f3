"""The vectors' file is exact, continues where it was, refuses what is foreign; the nearest are those of brute force."""

import fcntl
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.features import store
from gluon_alexnet.features.activations import Fc7

IMAGES, WIDTH, BATCH = 100, 24, 4


def contents(**changes):
    return store.Contents(**{"net": "a" * 64, "data": "b" * 64, "split": "train", "images": IMAGES, "width": WIDTH,
                                **changes})  # fmt: skip


class Source:
    """Vectors behind images that only say which they are; counts what is computed and may fail at an image."""

    def __init__(self, vectors):
        self.vectors, self.computed, self.dies_at = vectors, 0, None

    def fc7(self):
        def activations(views):
            self.computed += len(views)
            return self.vectors[views[:, 0, 0, 0]]

        return Fc7(activations, 224, self.vectors.shape[1], "a" * 64)

    def batches(self, start):
        for begin in range(start, len(self.vectors), BATCH):
            if self.dies_at is not None and begin >= self.dies_at:
                raise KeyboardInterrupt
            ids = np.arange(begin, min(begin + BATCH, len(self.vectors)))
            yield np.broadcast_to(ids.astype(np.uint8)[:, None, None, None], (len(ids), 256, 256, 3)), ids * 0, ids


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(store, "BLOCK_BYTES", 2 * WIDTH * 32)  # four blocks, the last of 4
    monkeypatch.setattr(store, "SYNCED", 8)


@pytest.fixture
def source(rng):
    return Source(np.maximum(rng.normal(0, 3, (IMAGES, WIDTH)), 0).astype(np.float32))


@pytest.fixture
def written(source, tmp_path):
    return store.write(tmp_path / "f", contents(), source.fc7(), source.batches)


def test_the_file_is_what_it_says(written, source, tmp_path):
    plain = np.load(tmp_path / "f" / "vectors.npy", mmap_mode="r")
    assert (plain.dtype, plain.shape, plain.offset) == (np.float16, (IMAGES, WIDTH), 128)
    assert (plain == source.vectors.astype(np.float16)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f"]
    blocks = list(written.blocks())
    assert [begin for begin, _ in blocks] == [0, 32, 64, 96]
    assert np.concatenate([block for _, block in blocks]).dtype == np.float32
    assert (np.concatenate([block for _, block in blocks]) == plain).all()
    assert (written.rows(np.array([7, 99, 0])) == plain[[7, 99, 0]]).all()


@pytest.mark.parametrize("queries", [1, 5, 60])  # Faiss takes another way for many
def test_the_nearest_are_those_of_brute_force(written, source, rng, queries):
    asked = np.maximum(rng.normal(0, 3, (queries, WIDTH)), 0).astype(np.float32)
    asked[0] = source.vectors[41]
    ids, distances = written.nearest(asked, 6)
    stored = source.vectors.astype(np.float16).astype(np.float64)
    all_distances = np.sqrt(((asked[:, None].astype(np.float64) - stored[None]) ** 2).sum(axis=2))
    assert (ids == np.argsort(all_distances, axis=1)[:, :6]).all()
    np.testing.assert_allclose(distances, np.sort(all_distances, axis=1)[:, :6], rtol=1e-12)
    assert ids[0, 0] == 41


def test_rounding_moves_a_distance_by_one_part_in_2048_of_the_vector_at_most(written, source, rng):
    query = np.maximum(rng.normal(0, 3, (1, WIDTH)), 0).astype(np.float32)
    ids, distances = written.nearest(query, IMAGES)
    unrounded = np.linalg.norm(source.vectors[ids[0]].astype(np.float64) - query, axis=1)
    moved = np.abs(distances[0] - unrounded)
    assert (moved <= np.linalg.norm(source.vectors[ids[0]], axis=1) / 2048).all()
    assert moved.max() > 0


def test_equally_near_ones_come_in_the_order_of_their_ids(tmp_path, source):
    source.vectors[:] = 1
    source.vectors[50] = 2
    ids, distances = store.write(tmp_path / "f", contents(), source.fc7(), source.batches).nearest(
        source.vectors[:1], IMAGES
    )
    assert ids[0].tolist() == [*range(50), *range(51, IMAGES), 50]
    assert distances[0, -1] == pytest.approx(np.sqrt(WIDTH))


@pytest.mark.parametrize("dies_at", [0, 4, 36, 100])
def test_what_was_stopped_goes_on_and_gives_the_same_bytes(written, source, tmp_path, dies_at):
    other = Source(source.vectors)
    other.dies_at = dies_at
    if dies_at < IMAGES:
        with pytest.raises(KeyboardInterrupt):
            store.write(tmp_path / "g", contents(), other.fc7(), other.batches)
        assert not (tmp_path / "g").exists()
    with open(tmp_path / "g.partial" / "vectors.npy" if dies_at < IMAGES else tmp_path / "x", "ab") as file:
        file.write(b"\1" * (2 * WIDTH + 7))  # a kill leaves half a batch
    before, other.dies_at, seen = other.computed, None, []
    store.write(tmp_path / "g", contents(), other.fc7(), other.batches, seen.append)
    assert sum(seen) == IMAGES
    assert other.computed - before == IMAGES - seen[0]
    assert seen[0] == (dies_at + 1) // 8 * 8 if dies_at < IMAGES else seen[0] == 0
    for name in ("features.json", "vectors.npy"):
        assert (tmp_path / "g" / name).read_bytes() == (tmp_path / "f" / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"net": "c" * 64}, "another net .aaaaaaaaaaaa, not cccccccccccc"),
        ({"data": "c" * 64}, "another data set"),
        ({"split": "val"}, "another split"),
    ],
)
def test_vectors_of_another_net_or_data_set_are_refused(written, source, tmp_path, changes, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        store.Features(tmp_path / "f", contents(**changes))
    (tmp_path / "f").rename(tmp_path / "g.partial")
    with pytest.raises(InvalidRequest, match=sentence):
        store.write(tmp_path / "g", contents(**changes), source.fc7(), source.batches)
    assert (tmp_path / "g.partial" / "vectors.npy").stat().st_size == 128 + 2 * WIDTH * IMAGES


def as_version_1(folder):
    """The folder as earlier versions of this program wrote it: the same rows without NumPy's header."""
    rows = (folder / "vectors.npy").read_bytes()[128:]
    (folder / "vectors.npy").unlink()
    (folder / "vectors.f16").write_bytes(rows)
    header = json.loads((folder / "features.json").read_text())
    (folder / "features.json").write_text(json.dumps({**header, "version": 1}))


def test_a_folder_of_the_first_version_is_read(written, source, tmp_path):
    expected = written.nearest(source.vectors[:2], 6)
    as_version_1(tmp_path / "f")
    found = store.Features(tmp_path / "f", contents()).nearest(source.vectors[:2], 6)
    assert (found[0] == expected[0]).all() and (found[1] == expected[1]).all()
    (tmp_path / "f").rename(tmp_path / "g.partial")
    with pytest.raises(InvalidRequest, match="was begun by an earlier version of this program; remove it"):
        store.write(tmp_path / "g", contents(), source.fc7(), source.batches)


def damage(folder, change):
    header = json.loads((folder / "features.json").read_text())
    vectors = (folder / "vectors.npy").read_bytes()
    if change == "cut header":
        (folder / "features.json").write_text(json.dumps(header)[:50])
    elif change == "list":
        (folder / "features.json").write_text("[1]")
    elif change == "foreign":
        (folder / "features.json").write_text(json.dumps({**header, "format": "other"}))
    elif change == "newer":
        (folder / "features.json").write_text(json.dumps({**header, "version": 3}))
    elif change == "images":
        (folder / "features.json").write_text(json.dumps({**header, "images": 7}))
    elif change == "no checksums":
        (folder / "features.json").write_text(json.dumps({**header, "crc32": []}))
    elif change == "blocks":
        (folder / "features.json").write_text(json.dumps({**header, "block_bytes": 7}))
    elif change == "cut":
        (folder / "vectors.npy").write_bytes(vectors[:-1])
    elif change == "missing":
        (folder / "vectors.npy").unlink()
    else:
        place = 128 + 2 * WIDTH * 40
        (folder / "vectors.npy").write_bytes(vectors[:place] + bytes([vectors[place] ^ 1]) + vectors[place + 1 :])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("cut header", "features.json is cut or of another program; remove it"),
        ("list", "features.json is cut or of another program"),
        ("foreign", "features.json is of another program"),
        ("newer", "has version 3; this program reads 2"),
        ("images", "contradicts"),
        ("no checksums", "is damaged"),
        ("blocks", "contradicts"),
        ("cut", "has 4799 bytes of vectors, not 4800"),
        ("missing", "has 0 bytes"),
        ("flipped bit", "vectors 32 to 63 have changed"),
    ],
)
def test_a_damaged_file_is_named_and_never_searched(written, source, tmp_path, change, sentence):
    damage(tmp_path / "f", change)
    with pytest.raises(OperationFailed, match=sentence):
        store.Features(tmp_path / "f", contents()).nearest(source.vectors[:1], 6)


def test_no_folder_and_a_wrong_count_are_said(written, tmp_path):
    with pytest.raises(InvalidRequest, match="holds no features"):
        store.Features(tmp_path, contents())
    for count in (0, IMAGES + 1):
        with pytest.raises(ValueError, match="cannot be the nearest"):
            written.nearest(np.zeros((1, WIDTH), np.float32), count)


def test_fewer_images_than_the_split_has_are_no_data_set(source, tmp_path):
    with pytest.raises(OperationFailed, match="100 images were counted where the split train has 101"):
        store.write(tmp_path / "f", contents(images=101), source.fc7(), source.batches)
    with pytest.raises(ValueError, match="order of their ids"):
        store.write(tmp_path / "g", contents(), source.fc7(), lambda start: source.batches(start + 1))
    assert not (tmp_path / "f").exists()


def test_activities_beyond_the_file_are_said(source, tmp_path):
    source.vectors[13, 2] = 70000
    with pytest.raises(OperationFailed, match="An activity of record 13 is beyond 65504"):
        store.write(tmp_path / "f", contents(), source.fc7(), source.batches)


def test_a_disk_without_room_is_said_before_anything_is_computed(source, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=4000))
    with pytest.raises(OperationFailed, match=r"need 0\.0 GB more.*`features`"):
        store.write(tmp_path / "f", contents(), source.fc7(), source.batches)
    assert source.computed == 0


def test_two_processes_do_not_write_the_same(source, tmp_path):
    source.dies_at = 40
    with pytest.raises(KeyboardInterrupt):
        store.write(tmp_path / "f", contents(), source.fc7(), source.batches)
    with open(tmp_path / "f.partial" / "vectors.npy", "ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InvalidRequest, match="is being written by another process"):
            store.write(tmp_path / "f", contents(), source.fc7(), source.batches)
