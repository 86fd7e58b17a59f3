"""Codes are what the auto-encoder's formula says, Hamming distances are counted bits, and the codes keep neighbours."""

import dataclasses
import json

import numpy as np
import pytest

from gluon_alexnet.backend import mx
from gluon_alexnet.errors import InvalidRequest, OperationFailed
from gluon_alexnet.features import binary_codes, config, store
from gluon_alexnet.features.activations import Fc7

IMAGES, WIDTH, BITS = 400, 40, 32
NUMBERS = dataclasses.replace(config.AUTO_ENCODER, hidden=64, updates=90)


def folder_of(vectors, folder):
    """A complete folder of these vectors."""
    contents = store.Contents("a" * 64, "b" * 64, "train", *vectors.shape)
    ids = np.arange(len(vectors))
    images = np.broadcast_to(ids.astype(np.uint16)[:, None, None, None], (len(ids), 256, 256, 3))
    fc7 = Fc7(lambda views: vectors[views[:, 0, 0, 0]], 224, vectors.shape[1], "a" * 64)
    return store.write(folder, contents, fc7, lambda start: [(images[start:], ids, ids[start:])])


@pytest.fixture
def vectors(rng):
    """Like activations: clusters on a curved surface of few dimensions, none below 0."""
    places = rng.normal(0, 1, (8, 5))[rng.integers(0, 8, IMAGES)] + rng.normal(0, 0.3, (IMAGES, 5))
    return np.maximum(places @ rng.normal(0, 1, (5, WIDTH)) + 0.3, 0).astype(np.float32)


@pytest.fixture
def written(vectors, tmp_path):
    return folder_of(vectors, tmp_path / "f")


def bits_of(packed):
    """uint8 (N, B) → bool (N, 8 B), the highest bit of a byte first, by hand."""
    return (packed[:, :, None] >> np.arange(7, -1, -1) & 1).reshape(len(packed), -1).astype(bool)


def test_hamming_distances_are_counted_bits(rng):
    packed = rng.integers(0, 256, (500, 6), dtype=np.uint8)
    queries = rng.integers(0, 256, (9, 6), dtype=np.uint8)
    ids, distances = binary_codes.nearest(packed, queries, 20)
    counted = (bits_of(queries)[:, None] != bits_of(packed)[None]).sum(axis=2)
    assert (distances == np.sort(counted, axis=1)[:, :20]).all()
    assert (np.take_along_axis(counted, ids, axis=1) == distances).all()
    assert all(len(set(row)) == 20 for row in ids.tolist())
    for row, far in zip(ids, distances):
        assert [*row] == sorted(row, key=lambda i: (far[list(row).index(i)], i))


def test_a_code_is_the_formula_of_the_weights_on_disk(written, vectors, tmp_path):
    made = binary_codes.learn(written, BITS, NUMBERS)
    w = {name: value.asnumpy() for name, value in mx.nd.load(str(tmp_path / "f" / "codes-32.params")).items()}
    x = (written.rows(np.arange(IMAGES)) - w["mean"]) / w["deviation"]
    stored = vectors.astype(np.float16).astype(np.float64)
    np.testing.assert_allclose(w["mean"], stored.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(w["deviation"], np.sqrt(((stored - stored.mean(axis=0)) ** 2).mean()), rtol=1e-4)
    hidden = np.maximum(x @ w["encoder_hidden_weight"].T + w["encoder_hidden_bias"], 0)
    inputs = hidden @ w["encoder_output_weight"].T + w["encoder_output_bias"]
    sure = np.abs(inputs) > 1e-4
    packed = np.fromfile(tmp_path / "f" / "codes-32.bin", np.uint8).reshape(IMAGES, BITS // 8)
    assert (bits_of(packed) == (inputs > 0))[sure].all()
    assert sure.mean() > 0.99
    assert (made.encode(vectors[:50]) == packed[:50]).mean() > 0.95  # before rounding to float16
    assert 0.2 < bits_of(packed).mean() < 0.8


def test_codes_keep_more_neighbours_than_random_planes(written, vectors, rng, monkeypatch):
    judged, count = [], binary_codes._kept
    monkeypatch.setattr(binary_codes, "_kept", lambda *words: judged.append(words[2]) or count(*words))
    made = binary_codes.learn(written, BITS, dataclasses.replace(NUMBERS, hidden=256, updates=500))
    stored = vectors.astype(np.float64)
    squares = ((stored[:, None] - stored[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    true = np.argsort(squares, axis=1)[:, :6]

    def kept(bits, depth=6, of=slice(None)):
        far = (bits[:, None] != bits[None]).sum(axis=2).astype(float)
        np.fill_diagonal(far, np.inf)
        found = np.argsort(far, axis=1, kind="stable")[:, :depth]
        return np.mean([len(set(a) & set(b)) / 6 for a, b in zip(true[of].tolist(), found[of].tolist())])

    planes = (stored - stored.mean(axis=0)) @ rng.normal(0, 1, (WIDTH, BITS)) > 0
    ours, theirs = kept(bits_of(made.packed)), kept(planes)
    print(f"auto-encoder {ours:.3f}, random planes {theirs:.3f}")
    assert ours > theirs + 0.03
    assert made.judged == len(judged[0]) == 40
    for depth in (6, 50):  # the vectors are kept as float16: of two that are as far, another one may come first
        assert made.kept[depth] == pytest.approx(kept(bits_of(made.packed), depth, judged[0]), abs=0.02)


def test_what_is_kept_is_counted_rightly(tmp_path):
    # On a line, and with one more bit set at each place, Euclidean and Hamming neighbours are the same.
    places = np.arange(100)
    line = folder_of(np.stack([places * 1.5, places * 0.0], axis=1).astype(np.float32), tmp_path / "f")
    unary = np.packbits(np.arange(104)[None] < places[:, None], axis=1)
    inside = np.arange(10, 90, 7)
    assert binary_codes._kept(line, unary, inside) == {6: 1.0, 50: 1.0}
    far = np.packbits(np.arange(104)[None] < (places * 37 % 100)[:, None], axis=1)
    neighbours = [{i + s for s in (-3, -2, -1, 1, 2, 3)} for i in inside.tolist()]
    by_code = [sorted(range(100), key=lambda j: abs(j * 37 % 100 - i * 37 % 100)) for i in inside.tolist()]
    first = [set(row[1:7]) for row in by_code]
    assert binary_codes._kept(line, far, inside)[6] == np.mean([len(a & b) / 6 for a, b in zip(neighbours, first)])
    assert binary_codes.shares(np.array([[1, 2, 3], [4, 5, 6]]), np.array([[3, 9], [7, 8]])) == pytest.approx(
        [1 / 3, 0]
    )


def test_the_judged_ones_are_not_learned_from(written, monkeypatch):
    asked, rows = [], store.Features.rows
    monkeypatch.setattr(store.Features, "rows", lambda self, ids: asked.append(np.array(ids)) or rows(self, ids))
    monkeypatch.setattr(
        binary_codes, "_kept", lambda features, packed, sample: judged.append(sample) or {6: 0.0, 50: 0.0}
    )
    judged, losses = [], []
    binary_codes.learn(written, BITS, NUMBERS, report=lambda count, loss: losses.append(loss))
    learned = np.unique(np.concatenate(asked))
    assert len(losses) == 90  # 30 times through 360 vectors: batches of 128, 128 and 104
    assert len(learned) == 360
    assert not set(learned) & set(judged[0])
    assert losses[-1] < losses[0] / 2


def test_the_rate_falls_to_nothing_in_a_straight_line(written, monkeypatch):
    rates, step = [], mx.gluon.Trainer.step
    monkeypatch.setattr(
        mx.gluon.Trainer, "step", lambda self, size: rates.append(self.learning_rate) or step(self, size)
    )
    binary_codes.learn(written, BITS, dataclasses.replace(NUMBERS, updates=5, rate=0.01))
    np.testing.assert_allclose(rates, [0.01, 0.008, 0.006, 0.004, 0.002])


def test_the_seed_decides(vectors, tmp_path):
    made = {}
    for name, seed in (("f", 1), ("g", 1), ("h", 2)):
        binary_codes.learn(folder_of(vectors, tmp_path / name), BITS, dataclasses.replace(NUMBERS, updates=6), seed)
        made[name] = (tmp_path / name / "codes-32.bin").read_bytes()
    assert made["f"] == made["g"] != made["h"]


def test_bits_that_fill_no_byte_and_too_few_images_are_refused(written, vectors, tmp_path):
    for bits in (0, -8, 12):
        with pytest.raises(InvalidRequest, match=f"A code of {bits} bits does not fill bytes"):
            binary_codes.learn(written, bits)
    with pytest.raises(InvalidRequest, match="needs 64 images or more to learn from, and there are 63"):
        binary_codes.learn(folder_of(vectors[:63], tmp_path / "g"), BITS)
    with pytest.raises(InvalidRequest, match="has no codes of 64 bits"):
        binary_codes.Codes(written, 64)


@pytest.mark.parametrize(
    "damage", ["header", "newer", "other vectors", "numbers", "kept", "codes", "weights", "no weights"]
)
def test_damaged_and_foreign_codes_are_refused(written, tmp_path, damage):
    binary_codes.learn(written, BITS, dataclasses.replace(NUMBERS, updates=3))
    assert binary_codes.exist(written, BITS)
    file, packed, weights = (tmp_path / "f" / f"codes-32{end}" for end in (".json", ".bin", ".params"))
    header = json.loads(file.read_text())
    sentence = "is damaged or of other vectors; remove it"
    if damage == "header":
        file.write_text(file.read_text()[:80])
    elif damage == "newer":
        file.write_text(json.dumps({**header, "version": 2}))
        sentence = "has version 2; this program reads 1"
    elif damage == "other vectors":
        file.write_text(json.dumps({**header, "vectors": {**header["vectors"], "net": "c" * 64}}))
    elif damage == "numbers":
        file.write_text(json.dumps({**header, "numbers": {"hidden": 0}}))
    elif damage == "kept":
        file.write_text(json.dumps({**header, "kept": {"6": "all", "50": 1.0}}))
    elif damage == "codes":
        packed.write_bytes(packed.read_bytes()[:-1] + b"\0\0")
    elif damage == "weights":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        weights.unlink()
    with pytest.raises(OperationFailed, match=sentence):
        binary_codes.Codes(written, BITS)


def test_equal_vectors_can_be_coded(tmp_path):
    equal = folder_of(np.ones((70, 4), np.float32), tmp_path / "f")
    made = binary_codes.learn(equal, 8, dataclasses.replace(NUMBERS, updates=3))
    assert np.ptp(made.packed) == 0
