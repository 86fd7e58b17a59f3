"""Several nets averaged, by eval and from saved predictions, against NumPy; and what is printed beside the paper."""

import json
import shutil

import click
import numpy as np
import pytest
from helpers.images import class_tree
from helpers.nets import by_hand, make_run
from helpers.runner import invoke

from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.tools.results_table import WeightList

LETTERS = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")
IMAGES = 5


def run(*words, code=0):
    return "".join(invoke(*words, code=code))


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    """A data set of seven classes, three nets a, b and c for it, and the predictions of each."""
    folder = tmp_path_factory.mktemp("average")
    class_tree(folder / "images", LETTERS, IMAGES)
    images = folder / "images"
    run("pack", "--train", images, "--val", images, "--data", folder / "data")
    for seed, name in enumerate("abc"):
        make_run(folder / name, small_recipe, folder / "data", seed)
        words = ["--model", folder / name, "--save-predictions", folder / f"{name}.npz", "--json"]
        (folder / f"{name}.json").write_text(measured(folder, *words))
    return folder


def measured(place, *words, code=0):
    """What eval prints on stdout, or why it does not."""
    return invoke("eval", "--data", place / "data", "--cpus", 0, *words, code=code)[code > 0]


def saved(file):
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


def errors(probabilities, labels):
    """Top-1 and top-5 error in per cent, image by image."""
    wrong = np.zeros(2)
    for row, label in zip(probabilities, labels):
        before = sum(p > row[label] or (p == row[label] and place < label) for place, p in enumerate(row))
        wrong += [before >= 1, before >= 5]
    return (100 * wrong / len(labels)).tolist()


def test_saved_probabilities_are_those_by_hand_and_those_that_were_scored(place):
    with Reader(place / "data", "val") as reader:
        (batch,) = reader.batches(100)
        keys = [reader.key(number).encode() for number in batch.ids.tolist()]
    for name in "abc":
        arrays = saved(place / f"{name}.npz")
        assert arrays["keys"].tolist() == keys
        for views in (10, 1):
            expected = by_hand(place / name, batch.images, views)
            np.testing.assert_allclose(arrays[f"probabilities_{views}"], expected, rtol=1e-4, atol=1e-5)
        assert len(arrays["keys"]) == len(set(arrays["keys"])) == len(LETTERS) * IMAGES
        assert [LETTERS.index(key.decode().split("/")[0]) for key in arrays["keys"]] == arrays["labels"].tolist()
        scores = json.loads((place / f"{name}.json").read_text())["scores"]
        for score, table in zip(scores, ("probabilities_10", "probabilities_1")):
            np.testing.assert_allclose(arrays[table].sum(axis=1), 1, atol=1e-5)
            assert [score["top1_error"], score["top5_error"]] == pytest.approx(errors(arrays[table], arrays["labels"]))
    assert not np.array_equal(saved(place / "a.npz")["probabilities_1"], saved(place / "b.npz")["probabilities_1"])


@pytest.mark.parametrize(("weights", "shares"), [(None, (0.5, 0.5)), ("2,1", (2 / 3, 1 / 3))])
def test_eval_and_average_agree_with_numpy(place, tmp_path, weights, shares):
    extra = ["--weights", weights] if weights else []
    models = ["--model", place / "a", "--model", place / "b"]
    by_eval = json.loads(measured(place, *models, *extra, "--save-predictions", tmp_path / "eval.npz", "--json"))
    files = [place / "a.npz", place / "b.npz"]
    by_average = json.loads(run("average", *files, *extra, "--save-predictions", tmp_path / "average.npz", "--json"))
    one, two = (saved(file) for file in files)
    for table, first, second in zip(("probabilities_10", "probabilities_1"), by_eval["scores"], by_average["scores"]):
        expected = shares[0] * one[table].astype(np.float64) + shares[1] * two[table]
        for file in ("eval.npz", "average.npz"):
            np.testing.assert_allclose(saved(tmp_path / file)[table], expected, rtol=1e-4, atol=1e-6)
        found = saved(tmp_path / "average.npz")[table]
        np.testing.assert_allclose(found, expected, rtol=1e-6)  # nothing but the rounding to float32
        assert [second["top1_error"], second["top5_error"]] == pytest.approx(errors(found, one["labels"]))
        assert first == second
    assert [one["name"] for one in by_eval["averaged"]] == [str(place / "a"), str(place / "b")]
    alone = [json.loads((place / f"{name}.json").read_text())["scores"] for name in "ab"]
    assert [one["scores"] for one in by_eval["averaged"]] == alone
    assert by_eval["images"] == by_average["images"] == len(LETTERS) * IMAGES


def test_an_average_of_averages_counts_each_net_once(place, tmp_path):
    run("average", place / "a.npz", place / "b.npz", "--save-predictions", tmp_path / "ab.npz")
    run("average", tmp_path / "ab.npz", place / "c.npz", "--save-predictions", tmp_path / "abc.npz")
    mean = np.mean([saved(place / f"{name}.npz")["probabilities_10"] for name in "abc"], axis=0)
    np.testing.assert_allclose(saved(tmp_path / "abc.npz")["probabilities_10"], mean, rtol=1e-5)
    document = json.loads(saved(tmp_path / "abc.npz")["description"].item())
    assert [net["weight"] for net in document["nets"]] == [1, 1, 1]


def test_half_precision_is_half_the_file(place, tmp_path):
    words = ["average", place / "a.npz", "--save-predictions", tmp_path / "half.npz", "--precision", "float16"]
    run(*words)
    half, whole = saved(tmp_path / "half.npz"), saved(place / "a.npz")
    assert half["probabilities_10"].dtype == np.float16
    np.testing.assert_allclose(half["probabilities_10"], whole["probabilities_10"], rtol=1e-3, atol=1e-6)


def test_tables_of_the_paper_with_the_measured_rows(place):
    output = measured(place, "--model", place / "a", "--model", place / "b", "--weights", "2,1", "--ilsvrc", 2012)
    lines = {line[:34].strip(): line[34:].split() for line in output.splitlines() if line.startswith("  ")}
    assert lines["SIFT + FVs"] == ["–", "–", "26.2"]
    assert lines["5 CNNs"] == ["38.1", "16.4", "16.4"]
    assert lines["7 CNNs*"] == ["36.7", "15.4", "15.3"]
    assert "mean of 2 (2:1), 10 views" in output
    row = next(line for line in output.splitlines() if f"{place / 'a'}, centre view" in line)
    score = json.loads((place / "a.json").read_text())["scores"][1]
    shown = [f"{score['top1_error']:.2f}", f"{score['top5_error']:.2f}", "–"]
    assert row.split()[-4:-1] == shown
    assert f"{len(LETTERS) * IMAGES} images" in output
    output = run("average", place / "a.npz", "--ilsvrc", 2010)
    assert "Sparse coding" in output
    assert output.splitlines()[0].split()[2:] == [
        "test",
        "top-1",
        "test",
        "top-5",
        "val",
        "top-1",
        "val",
        "top-5",
        "parameters",
    ]


def test_errors_of_classes_and_confused_pairs(place):
    words = ["average", place / "a.npz", "--per-class", "--confused", 3]
    document = json.loads(run(*words, "--json"))
    arrays = saved(place / "a.npz")
    guesses = arrays["probabilities_10"].argmax(axis=1)
    pairs = {}
    for label, guess in zip(arrays["labels"].tolist(), guesses.tolist()):
        if label != guess:
            pairs[label, guess] = pairs.get((label, guess), 0) + 1
    shown = [(LETTERS.index(p["label"]), LETTERS.index(p["guess"])) for p in document["confused"]]
    assert len(shown) == 3
    assert [p["images"] for p in document["confused"]] == [pairs[pair] for pair in shown]
    assert min(pairs[pair] for pair in shown) >= max(n for pair, n in pairs.items() if pair not in shown)
    for label, entry in enumerate(document["per_class"][0]):
        mine = arrays["labels"] == label
        assert (entry["wnid"], entry["images"]) == (LETTERS[label], IMAGES)
        assert entry["top1_error"] == pytest.approx(100 * np.mean(guesses[mine] != label))
    output = run(*words)
    assert f"{document['confused'][0]['images']:>6} of {document['confused'][0]['label']} were taken for" in output
    assert all(f"  {letters}\n" in output for letters in LETTERS)


def test_what_cannot_be_averaged_is_said(place, tmp_path, small_recipe):
    shutil.copytree(place / "images", tmp_path / "images")
    shutil.rmtree(tmp_path / "images" / "gnu")
    images = tmp_path / "images"
    run("pack", "--train", images, "--val", images, "--data", tmp_path / "data")
    other = make_run(tmp_path / "other", small_recipe, tmp_path / "data", 1)
    said = measured(place, "--model", place / "a", "--model", other, code=2)
    assert f"{place / 'a'} knows 7 classes and {other} knows 6" in said
    measured(tmp_path, "--model", other, "--save-predictions", tmp_path / "other.npz")
    assert "has 7 classes and" in run("average", place / "a.npz", tmp_path / "other.npz", code=2)
    measured(place, "--model", place / "b", "--split", "train", "--save-predictions", tmp_path / "train.npz")
    said = run("average", place / "a.npz", tmp_path / "train.npz", code=2)
    assert f"{place / 'a.npz'} is of split val and {tmp_path / 'train.npz'} of train" in said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--weights", "1,2,3"], "--weights has 3 numbers for 1"),
        (["--weights", "0"], "is not a list of positive numbers such as 2,1"),
        (["--weights", "nan"], "is not a list of positive numbers"),
        (["--submission", "s.txt"], "have no numbers of a development kit"),
        (["--save-predictions", "none/p.npz"], "is no folder"),
    ],
)
def test_wrong_use_is_said_before_the_work(place, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in run("average", place / "a.npz", *words, code=2)
    said = measured(place, "--model", place / "a", *words, code=2)
    assert sentence in said
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named(place, tmp_path):
    content = bytearray((place / "a.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    said = run("average", tmp_path / "a.npz", place / "b.npz", "--save-predictions", tmp_path / "mean.npz", code=1)
    assert f"{tmp_path / 'a.npz'} is damaged" in said
    assert not (tmp_path / "mean.npz").exists()


@pytest.mark.parametrize("weights", ["1e308,1e308", "nan,1", "1,inf", "0,1"])
def test_weights_whose_sum_is_no_number_are_refused(weights):
    with pytest.raises(click.BadParameter, match="not a list of positive numbers"):
        WeightList().convert(weights, None, None)
