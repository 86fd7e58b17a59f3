"""The commands that the pages show, run one after another on a made challenge of five classes.

Placeholders become files, GPUs become CPU contexts, and nets become the narrow one for one epoch; what cannot be run
here is named with the test that runs it.
"""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from helpers.challenge import make_challenge
from helpers.images import class_tree, file_bytes, photo
from helpers.runner import invoke
from nbclient import NotebookClient
from test_docs import SHOWN

from gluon_alexnet.exporters import processor

NOTEBOOK = Path(__file__).parent.parent / "docs" / "tour.ipynb"
RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
# Words that stand for something of the reader's.
STANDS_FOR = {
    "RUN": "runs/a",
    "MODEL": "runs/a",
    "OUT": "alexnet",
    "IMAGES": "photo.jpg",
    "DATA": "data/ilsvrc2012",
    "DIR": "written",
    "demo/run": "runs/a",
    "demo/data": "data/ilsvrc2012",
    "demo/digits/val/7/1719.png": "photo.jpg",
    "n02102040": "n02119789",  # a class of the made challenge
    "3,130": "3,13",  # units of the narrow net
    "--gpus": "--cpus",
    "as-run.timetable": str(RESULTS / "imagenette-as-run-2026-11-24" / "as-run.timetable"),
}
# What is not run here, and the tests that run it.
ELSEWHERE = {
    "--dask": "tests/recordio/test_dask_backend.py",
    "fall11_whole.tar": "tests/recordio/test_class_folders.py",
    "launch": "tests/distributed/test_launch.py",
    "--cuda-convnet": "tests/tools/test_layer_files.py",
    "--codes": "tests/tools/test_similar.py",  # an auto-encoder needs more images
    "lr": "tests/training/test_callbacks.py",
    "score": "tests/recordio/test_ilsvrc_submission.py",
    "import": "tests/importers/test_caffe.py",
    "identify": "tests/importers/test_identify.py",
    "one-weird-trick": "tests/importers/test_one_weird_trick.py",
    "reproduce": "tests/experiments/test_reproduce.py",
    "serve": "tests/tools/test_serve.py",
}
ORDER = ("packing", "training", "distributed", "README", "exporting")  # each page needs what those before it made


def in_order():
    """Each command once, in the order of the pages."""
    pages = sorted(SHOWN, key=lambda shown: _rank(shown[0].stem))
    return list(dict.fromkeys(tuple(words) for _, words in pages))


def _rank(page):
    return ORDER.index(page) if page in ORDER else len(ORDER)


def adapted(words):
    """The command as it is run here, or None."""
    if any(word in ELSEWHERE for word in words):
        return None
    words = [STANDS_FOR.get(word, word) for word in words]
    command = words[0]
    if command in ("pack", "merge", "export"):
        words.append("--overwrite")
    if command == "pack":
        words += ["--shards", "2"]  # there are too few images for two parts
    if command == "train":
        if "--recipe" in words:
            place = words.index("--recipe")
            del words[place : place + 2]
        if "--resume" not in words:
            words += ["--recipe", "narrow", "--epochs", "1", "--batch-size", "8"]
    if command == "export":
        words += ["--max-drop", "100"]  # a net of five images a class says nothing yet
        if processor.no_bfloat16() and "--bf16" in words:
            words.remove("--bf16")
    return words


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all that a reader is told to have."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "downloads").mkdir()
    for year in (2010, 2012):
        for file in list(make_challenge(folder / str(year), year).folder.iterdir()):
            file.rename(folder / "downloads" / file.name)
    for split in ("train", "val"):
        class_tree(folder / "photos" / split)
    (folder / "photo.jpg").write_bytes(file_bytes(photo(1, 300, 400), "JPEG"))
    for name in ("holidays", "stimuli"):
        (folder / name).mkdir()
        shutil.copy(folder / "photo.jpg", folder / name / "a.jpg")
    return folder


@pytest.mark.slow
def test_the_commands_of_the_pages_do_what_they_say(place, monkeypatch):
    monkeypatch.chdir(place)
    done, failed = 0, []
    for words in in_order():
        ours = adapted(list(words))
        if ours is None:
            continue
        print("alexnet-tools", *ours)
        try:
            invoke(*ours, stdin="photo.jpg\n")
        except AssertionError as error:
            failed.append((words, str(error)))
        done += 1
        if ours[0] == "train" and not Path("runs/a").exists():
            newest = max(Path("runs").iterdir(), key=lambda run: run.stat().st_mtime)
            for name in ("a", "b", "c"):
                shutil.copytree(newest, Path("runs", name), symlinks=True)
    assert failed == []
    assert done > 30
    assert Path("alexnet.onnx").exists()
    assert Path("similar.png").exists()
    assert Path("stats.png").exists()


def test_what_is_run_elsewhere_is_run_somewhere():
    root = Path(__file__).parent.parent
    assert [file for file in ELSEWHERE.values() if not (root / file).exists()] == []
    shown = {word for words in in_order() for word in words}
    assert [word for word in ELSEWHERE if word not in shown] == []


def test_the_notebook_runs_and_holds_no_outputs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute()
    printed = "".join(output.get("text", "") for cell in code for output in cell.outputs)
    assert "images: 1438" in printed
    error = float(re.search(r"centre view: ([\d.]+) % of 359 images wrong", printed)[1])
    assert error < 80  # chance is 90
    figures = [output for cell in code for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(figures) == 5
    assert "digits-net-symbol.json" in printed
    assert float(printed.rsplit("largest difference in a probability: ", 1)[1]) < 1e-5
