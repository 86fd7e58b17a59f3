"""ILSVRC's own files: written in the challenge's order and numbers, and scored by the development kit's rules.

The real kit of 2010 comes with demonstration predictions, and its readme with their flat error for 1 to 5 guesses
(.9101 .8716 .8422 .8191 .8003): `alexnet-tools score demo.val.pred.txt --ilsvrc 2010 --kit devkit-1.0` prints those.
"""

import io
import json
import tarfile

import numpy as np
import pytest
from helpers.challenge import KITS, WNIDS, make_challenge, tar_bytes
from helpers.nets import make_run
from helpers.runner import invoke
from scipy.io import loadmat

from gluon_alexnet.recordio.dataset.manifest import DatasetError, SourceError
from gluon_alexnet.recordio.sources.ilsvrc_submission import Submission, flat_errors, read_submission

CLASSES = (*WNIDS, "n01443537", "n04254680", "n01484850")  # eight, so that five guesses are not all of them
VAL, TEST = 24, 12


def run(*words, code=0):
    return "".join(invoke(*words, code=code))


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    """Both years' challenges, packed, and a net for each."""
    folder = tmp_path_factory.mktemp("submission")
    for year in (2010, 2012):
        make_challenge(folder / f"c{year}", year, VAL, TEST, CLASSES)
        run("pack", "--ilsvrc", year, "--source", folder / f"c{year}", "--data", folder / f"d{year}")
        make_run(folder / f"r{year}", small_recipe, folder / f"d{year}", 3)
    return folder


def evaluate(place, year, *words, code=0):
    words = ["eval", "--data", place / f"d{year}", "--model", place / f"r{year}", "--cpus", 0, *words]
    return invoke(*words, code=code)[code > 0]


def kit_error(predictions: str, truth: str, guesses: int) -> float:
    """The rules of the kit's eval_flat.m, said again: each line's first labels, at most `guesses`, in any number;
    an image costs 1 unless one of them is its label; the error is the mean cost over all lines of both files."""
    cost = 0
    lines, labels = predictions.splitlines(), truth.split()
    assert len(lines) == len(labels)
    for line, label in zip(lines, labels):
        cost += int(label) not in [int(word) for word in line.split()[:guesses]]
    return cost / len(labels)


def test_flat_error_follows_the_kit_whatever_the_number_of_labels(tmp_path, rng):
    lines = [" ".join(map(str, 1 + rng.permutation(20)[: rng.integers(1, 9)])) for _ in range(400)]
    truth = rng.integers(1, 21, 400)
    file = tmp_path / "s.txt"
    file.write_text("\n".join(lines) + "\n")
    found = flat_errors(read_submission(file, 20), truth, file)
    text = "\n".join(map(str, truth))
    assert found == pytest.approx([kit_error(file.read_text(), text, count) for count in range(1, 6)])
    assert 0 < found[4] < found[0] < 1


@pytest.mark.parametrize(("year", "split"), [(2012, "val"), (2010, "val"), (2010, "test")])
def test_eval_writes_what_the_kit_scores_as_eval_did(place, tmp_path, year, split):
    file = tmp_path / "s.txt"
    words = ["--split", split, "--submission", file, "--views", 10]
    (score,) = json.loads(evaluate(place, year, *words, "--json"))["scores"]
    folder = place / f"c{year}"
    with tarfile.open(folder / KITS[year][0]) as tar:
        read = lambda name: tar.extractfile(f"{KITS[year][1]}/data/{name}").read()  # noqa: E731
        truth = read(f"ILSVRC{year}_validation_ground_truth.txt").decode()
        meta = loadmat(io.BytesIO(read("meta.mat")), squeeze_me=True)["synsets"]
    if split == "test":
        truth = (folder / f"ILSVRC{year}_test_ground_truth.txt").read_text()
    lines = [[int(word) for word in line.split(" ")] for line in file.read_text().splitlines()]
    assert len(lines) == {"val": VAL, "test": TEST}[split]
    assert all(len(set(line)) == 5 and set(line) <= set(range(1, 9)) for line in lines)
    assert len({tuple(line) for line in lines}) > 1
    assert kit_error(file.read_text(), truth, 1) == pytest.approx(score["top1_error"] / 100)
    assert kit_error(file.read_text(), truth, 5) == pytest.approx(score["top5_error"] / 100)
    # Line by line against the saved probabilities: the first guess of the image whose number the line has.
    evaluate(place, year, "--split", split, "--views", 10, "--save-predictions", tmp_path / "p.npz")
    number_of = {str(row["WNID"]): int(row[f"ILSVRC{year}_ID"]) for row in meta}
    with np.load(tmp_path / "p.npz", allow_pickle=False) as saved:
        wnids = [c["wnid"] for c in json.loads(saved["description"].item())["classes"]]
        for key, row in zip(saved["keys"].tolist(), saved["probabilities_10"]):
            assert lines[int(key.decode().split("_")[2][:8]) - 1][0] == number_of[wnids[row.argmax()]]
    run("average", tmp_path / "p.npz", "--submission", tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_text() == file.read_text()
    extra = ["--truth", folder / f"ILSVRC{year}_test_ground_truth.txt"] if split == "test" else []
    said = run("score", file, "--ilsvrc", year, "--kit", folder / KITS[year][0], *extra).splitlines()
    shown = [float(line.split()[1]) for line in said[1:6]]
    assert shown == [round(kit_error(file.read_text(), truth, count), 4) for count in range(1, 6)]


def test_images_without_labels_are_submitted_only(place, tmp_path):
    assert "no public labels" in evaluate(place, 2012, "--split", "test", code=2)
    file, saved = tmp_path / "s.txt", tmp_path / "p.npz"
    words = ["--split", "test", "--submission", file, "--save-predictions", saved]
    said = evaluate(place, 2012, *words)
    assert "top-1" not in said
    assert f"{file}: submission of {TEST} images" in said
    assert len(file.read_text().splitlines()) == TEST
    assert "scores" not in json.loads(evaluate(place, 2012, *words, "--json"))
    run("average", saved, "--submission", tmp_path / "again.txt")
    assert (tmp_path / "again.txt").read_text() == file.read_text()
    assert "no public labels" in run("average", saved, code=2)


def test_a_missing_image_is_said_before_the_net_runs(place, tmp_path, small_recipe):
    made = make_challenge(tmp_path / "c2012", 2012, VAL, TEST, CLASSES)
    made.files["val"]["ILSVRC2012_val_00000007.JPEG"] = b"junk"
    (tmp_path / "c2012" / "ILSVRC2012_img_val.tar").write_bytes(tar_bytes(made.files["val"]))
    run("pack", "--ilsvrc", 2012, "--source", tmp_path / "c2012", "--data", tmp_path / "d2012")
    make_run(tmp_path / "r2012", small_recipe, tmp_path / "d2012", 3)
    said = evaluate(tmp_path, 2012, "--submission", tmp_path / "s.txt", code=2)
    assert f"each image from 1 to {VAL} once, and 1 are not in the data set, the first of them number 7" in said
    assert not (tmp_path / "s.txt").exists()
    said = evaluate(place, 2012, "--submission", tmp_path / "s.txt", "--on-damaged", "skip", code=2)
    assert "no record can be skipped" in said
    assert "is no folder" in evaluate(place, 2012, "--submission", tmp_path / "none" / "s.txt", code=2)


def test_keys_that_are_no_numbers():
    with pytest.raises(SourceError, match=r"a/b\.jpg is not named like an image of the challenge"):
        Submission(["a/b.jpg"], [1, 2])
    with pytest.raises(SourceError, match="once"):
        Submission(["ILSVRC2012_val_00000001.JPEG", "x/ILSVRC2012_val_00000001.JPEG"], [1, 2])
    with pytest.raises(SourceError, match="no numbers of a development kit"):
        Submission(["ILSVRC2012_val_00000001.JPEG"], [1, None])


def test_images_that_were_never_guessed_are_not_written(tmp_path):
    collected = Submission([f"ILSVRC2012_val_{number:08d}.JPEG" for number in (2, 1)], [3, 1, 2])
    collected.add(np.array([0]), np.array([[2, 0, 1]]))
    with pytest.raises(DatasetError, match="1 images have no guesses, the first is number 1"):
        collected.write(tmp_path / "s.txt")
    collected.add(np.array([1]), np.array([[1, 2, 0]]))
    collected.write(tmp_path / "s.txt")
    assert (tmp_path / "s.txt").read_text() == "1 2 3\n2 3 1\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "an empty file"),
        ("1 2\n\n3\n", "line 2 says ''"),
        ("1 2\n0 3\n", "line 2 says '0 3', not up to 5 numbers of classes from 1 to 8"),
        ("9\n", "line 1 says '9'"),
        ("1,2\n", "line 1 says '1,2'"),
        ("n02119789\n", "line 1 says 'n02119789'"),
        ("1 -2\n", "line 1"),
        ("1\n" * (VAL - 1), f"{VAL - 1} lines where the ground truth has {VAL}"),
        ("1 2 3 4 5 6 7 8\r\n" * VAL, None),
    ],
)
def test_files_of_results_that_fit_and_that_do_not(place, tmp_path, text, sentence):
    (tmp_path / "s.txt").write_text(text, newline="")
    words = ["score", tmp_path / "s.txt", "--kit", place / "c2012" / KITS[2012][0]]
    if sentence is None:
        assert f"{VAL} images" in run(*words)
    else:
        assert sentence in run(*words, code=2)


def test_score_without_its_files(place, tmp_path):
    kit = place / "c2012" / KITS[2012][0]
    assert "No such file" in run("score", tmp_path / "none.txt", "--kit", kit, code=2)
    (tmp_path / "s.txt").write_text("1\n")
    assert "no such file or folder" in run("score", tmp_path / "s.txt", "--kit", tmp_path / "none", code=2)
    assert "download the development kit again" in run(
        "score", tmp_path / "s.txt", "--kit", kit, "--ilsvrc", 2010, code=2
    )
