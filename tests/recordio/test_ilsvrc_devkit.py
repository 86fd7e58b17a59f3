"""Development kits: whose order labels follow, and what is said of kits that are cut, foreign or damaged."""

from __future__ import annotations

import io

import pytest
from helpers.challenge import KITS, WNIDS, kit_files, meta, tar_bytes
from scipy.io import loadmat

from gluon_alexnet.recordio.dataset.manifest import SourceError
from gluon_alexnet.recordio.sources.ilsvrc_devkit import read_devkit

TRUTH = "1\n2\n5\n3\n"


def write_kit(folder, year=2012, truth=TRUTH, **options):
    path = folder / KITS[year][0]
    path.write_bytes(tar_bytes(kit_files(year, truth, **options), "w:gz"))
    return path


@pytest.mark.parametrize("year", [2010, 2012])
def test_labels_follow_the_sorted_ids_and_ground_truths_the_kits_numbers(tmp_path, year):
    kit = read_devkit(write_kit(tmp_path, year), year)
    assert [info.wnid for info in kit.classes] == ["n01440764", "n02100735", "n02110185", "n02119789", "n03255030"]
    assert [info.devkit_id for info in kit.classes] == [3, 2, 4, 1, 5]
    assert kit.classes[0].name == "animal 3, beast 3"
    assert kit.train_images == (3,) * 5
    assert [kit.classes[label].wnid for label in kit.validation] == [WNIDS[int(line) - 1] for line in TRUTH.split()]


def test_groups_of_classes_are_no_classes(tmp_path):
    groups = [str(row[0]["WNID"][0]) for row in loadmat(io.BytesIO(meta(2012)))["synsets"]]
    assert "n00001740" in groups and len(groups) == 6  # it is in the file
    kit = read_devkit(write_kit(tmp_path), 2012)
    assert "n00001740" not in [info.wnid for info in kit.classes]


@pytest.mark.parametrize("below", [".", "data/..", "ILSVRC2012_devkit_t12"])
def test_unpacked_and_unpacked_into_one_more_folder(tmp_path, below):
    for name, content in kit_files(2012, TRUTH).items():
        path = tmp_path / "kit" / below / name.partition("/")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    packed = read_devkit(write_kit(tmp_path), 2012)
    assert read_devkit(tmp_path / "kit", 2012).classes == packed.classes


def test_the_last_line_may_lack_its_end_and_lines_may_end_as_in_dos(tmp_path):
    kit = read_devkit(write_kit(tmp_path, truth="1\r\n2\r\n5"), 2012)
    assert [kit.classes[label].devkit_id for label in kit.validation] == [1, 2, 5]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"truth": "1\n6\n"}, r"a line says b'6', not a number from 1 to 5"),
        ({"truth": "1\n0\n"}, r"a line says b'0'"),
        ({"truth": "1\n\n2\n"}, r"a line says b''"),
        ({"truth": "n02119789\n"}, r"a line says b'n02119789'"),
        ({"wnids": ("n02119789", "n02119789")}, "classes without a WordNet id of their own"),
        ({"wnids": ("fox", "n02119789")}, "classes without a WordNet id of their own"),
    ],
)
def test_what_does_not_fit(tmp_path, options, sentence):
    with pytest.raises(SourceError, match=sentence):
        read_devkit(write_kit(tmp_path, **options), 2012)


def test_the_kit_of_another_year(tmp_path):
    files = kit_files(2010, TRUTH)
    files["devkit-1.0/data/ILSVRC2012_validation_ground_truth.txt"] = TRUTH.encode()
    (tmp_path / "kit.tar").write_bytes(tar_bytes(files))
    with pytest.raises(SourceError, match="not the kit of 2012"):
        read_devkit(tmp_path / "kit.tar", 2012)


def test_a_file_that_is_missing(tmp_path):
    files = kit_files(2012, TRUTH)
    del files["ILSVRC2012_devkit_t12/data/meta.mat"]
    (tmp_path / "kit.tar").write_bytes(tar_bytes(files))
    with pytest.raises(SourceError, match=r"no data/meta\.mat in it; download the development kit again"):
        read_devkit(tmp_path / "kit.tar", 2012)
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match=r"no data/meta\.mat in it"):
        read_devkit(tmp_path / "folder", 2012)


def test_cut_and_changed_kits_are_refused_or_read_right(tmp_path, rng):
    path = write_kit(tmp_path)
    whole = path.read_bytes()
    right = read_devkit(path, 2012)
    refused = 0
    for _ in range(150):
        damaged = bytearray(whole[: rng.integers(0, len(whole))] if rng.random() < 0.5 else whole)
        for place in rng.integers(0, max(1, len(damaged)), 3):
            if damaged:
                damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            kit = read_devkit(path, 2012)
        except SourceError:
            refused += 1
        else:  # gzip's header has bytes that mean nothing
            assert kit.classes == right.classes and (kit.validation == right.validation).all()
    assert refused > 100
