"""Every file format of ours and every file argument, with every kind of damage: one sentence, at once, no traceback."""

import os
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from helpers import caffemodels, challenge, images, nets, owt_files
from helpers.commands import all_parameters, commands
from helpers.damage import DEEP, complaint, damages, huge_archive, huge_header
from helpers.runner import run


def tried(path, commands, other, unnoticed=(), make_room=lambda: None) -> tuple[int, list[str]]:
    """(cases, complaints) of commands with each damage to a file. unnoticed: damages that may do no harm, "all"."""
    kept = path.with_name(f"{path.name}.kept")
    cases, complaints = 0, []
    for name, put in damages(path, other).items():
        for words in commands:
            make_room()
            path.rename(kept)
            try:
                put(path)
                found = complaint(words, "all" in unnoticed or name in unnoticed)
            finally:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
                kept.rename(path)
            cases += 1
            if found:
                complaints.append(f"{path.name}, {name}, {words[0]}: {found}")
    return cases, complaints


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_recipe):
    """A file of each kind of ours."""
    folder = tmp_path_factory.mktemp("damaged")
    images.packed(folder, shards=1)
    data, words = folder / "data", ["--data", folder / "data", "--cpus", 0]
    nets.make_run(folder / "net", small_recipe, data, seed=1)
    run("train", "--run", folder / "run", "--recipe", "narrow", "--batch-size", 6, "--epochs", 1, *words)
    run("export", folder / "net", folder / "out", *words)
    run("eval", "--model", folder / "net", "--views", 1, "--save-predictions", folder / "p.npz", *words)
    trees = ["--train", folder / "train", "--val", folder / "val", "--shards", 2]
    for part in (1, 2):
        run("pack", *trees, "--part", f"{part}/2", "--data", folder / f"part{part}")
    photo = next((folder / "val").rglob("*.JPEG"))
    shutil.copy(photo, folder / "photo.jpg")
    similar = ["similar", folder / "net", folder / "photo.jpg", "--output", folder / "s.png", "--count", 1]
    run(*similar, "--features", folder / "features", *words)
    return folder


def cases(place) -> dict:
    """File → (commands that read it, damages that need not be noticed)."""
    data, net, trained, out = (place / name for name in ("data", "net", "run", "out"))
    cpu = ["--cpus", 0]
    evaluate = ["eval", "--model", net, "--data", data, "--views", 1, *cpu]
    train = [
        "train",
        "--data",
        data,
        "--run",
        place / "new",
        "--recipe",
        "narrow",
        "--batch-size",
        6,
        "--epochs",
        1,
        *cpu,
    ]
    resume = ["train", "--resume", "--run", trained, "--epochs", 2, *cpu]
    of_out = ["eval", "--model", out, "--data", data, "--views", 1, *cpu]
    latest, found = (net / "latest").resolve(), {}
    unversioned = ("another version",)  # what says the version is another file, or the bytes are a library's
    for shard, reader in (("train-00000-of-00001", train), ("val-00000-of-00001", evaluate)):
        for suffix in (".rec", ".idx", ".keys"):
            found[data / f"{shard}{suffix}"] = ([reader, ["verify", "--data", data]], ())
    found[data / "dataset.json"] = ([["stats", "--data", data], ["verify", "--data", data], train, evaluate], ())
    found[data / "statistics.npz"] = ([["stats", "--data", data], ["verify", "--data", data], train], ())
    found[data / "rejected.tsv"] = ([["verify", "--data", data]], ("empty", "cut", "an empty device", "noise", "all"))
    report = ["report", net, "--data", data, "--views", 1, "--output", place / "r.html", *cpu]
    found[net / "recipe.json"] = ([evaluate, report, ["plot", "curves", net], ["identify", net]], unversioned)
    for name in ("state.json", "parameters.params", "momentum.params"):
        found[latest / name] = ([evaluate, report, ["export", net, place / "x" / "net", *cpu]], ())
    found[trained / "recipe.json"] = ([resume], ())
    found[trained / "log.jsonl"] = (
        [["report", trained, *report[2:]], ["export", trained, place / "x" / "net"]],
        ("all",),
    )
    found[place / "out.json"] = ([of_out, ["identify", out], ["predict", out, place / "photo.jpg", *cpu]], ())
    found[place / "out-symbol.json"] = ([of_out, ["identify", out], ["activations", out, "--list", *cpu]], ())
    found[place / "out-0000.params"] = ([of_out, ["identify", out], ["plot", "filters", out]], ())
    found[place / "p.npz"] = ([["average", place / "p.npz"]], unversioned)
    for name in ("part.json", "train-00001-of-00002.receipt", "train-00001-of-00002.keys"):
        found[place / "part2" / name] = (
            [["merge", place / "part1", place / "part2", "--data", place / "merged"]],
            unversioned,
        )
    similar = ["similar", net, place / "photo.jpg", "--data", data, "--features", place / "features", *cpu]
    for file in (place / "features").iterdir():
        found[file] = ([[*similar, "--count", 1, "--output", place / "s.png"]], unversioned)
    return found


def test_every_format_of_ours(place):
    total, complaints, other = 0, [], (place / "data" / "dataset.json").read_bytes()

    def make_room():
        for name in ("new", "x", "merged"):
            shutil.rmtree(place / name, ignore_errors=True)

    for path, (every, unnoticed) in cases(place).items():
        foreign = other if path.name != "dataset.json" else (place / "net" / "recipe.json").read_bytes()
        count, found = tried(path, every, foreign, unnoticed, make_room)
        total += count
        complaints += found
    print(total, "cases")
    assert not complaints, "\n".join(complaints)


# What is said of a command's file is said before the others are looked at; {} is the file.
ARGUMENTS = {
    "activations model": "activations {} --list --cpus 0",
    "activations images": "activations RUN {} --layer conv1 --output NEW/a --cpus 0",
    "activations data": "activations RUN --data {} --layer conv1 --output NEW/a --cpus 0",
    "average files": "average {} {}",
    "eval data": "eval --model RUN --data {} --cpus 0",
    "eval models": "eval --model {} --data DATA --cpus 0",
    "export run": "export {} NEW/net --cpus 0",
    "export data": "export RUN NEW/net --data {} --cpus 0",
    "export calibration": "export RUN NEW/net --int8 --calibration {} --cpus 0",
    "identify files": "identify {}",
    "import files": "import {} NEW/net --cpus 0",
    "import mean": "import PROTOTXT CAFFEMODEL NEW/net --mean {} --cpus 0",
    "import classes": "import PTH NEW/net --classes {} --cpus 0",
    "import images": "import PTH NEW/net --images {} --cpus 0",
    "lr run": "lr {} 0.1",
    "merge parts": "merge PART {} --data NEW/data",
    "plot curves runs": "plot curves {} --output NEW.png",
    "plot confusion model": "plot confusion {} --data DATA --output NEW.png --cpus 0",
    "plot confusion data": "plot confusion RUN --data {} --output NEW.png --cpus 0",
    "plot views model": "plot views {} PHOTO --output NEW.png --cpus 0",
    "plot views images": "plot views RUN {} --output NEW.png --cpus 0",
    "plot filters run": "plot filters {} --output NEW.png",
    "plot predictions model": "plot predictions {} PHOTO --output NEW.png",
    "plot predictions images": "plot predictions RUN {} --output NEW.png --cpus 0",
    "plot saliency model": "plot saliency {} PHOTO --output NEW.png",
    "plot saliency images": "plot saliency RUN {} --output NEW.png --cpus 0",
    "plot units model": "plot units {} --layer conv1 --data DATA --output NEW.png",
    "plot units data": "plot units RUN --layer conv1 --data {} --output NEW.png --cpus 0",
    "predict model": "predict {} PHOTO --cpus 0",
    "predict images": "predict RUN {} --cpus 0",
    "recipes files": "recipes --cuda-convnet {}",
    "report run": "report {} --output NEW.html",
    "report data": "report RUN --data {} --output NEW.html --cpus 0",
    "reproduce ablations data": "reproduce ablations --data {} --out NEW/r --variant no-lrn --cpus 0",
    "reproduce figure-1 source": "reproduce figure-1 --source {} --out NEW/r --cpus 0",
    "reproduce lrn source": "reproduce lrn --source {} --out NEW/r --cpus 0",
    "score file": "score {} --kit KIT",
    "score kit": "score SCORES --kit {}",
    "score truth": "score SCORES --kit KIT --truth {}",
    "serve model": "serve {} --port 0",
    "serve data": "serve RUN --data {} --port 0 --cpus 0",
    "serve features": "serve RUN --data DATA --features {} --port 0 --host 203.0.113.1 --cpus 0",
    "similar run": "similar {} PHOTO --data DATA --output NEW.png",
    "similar files": "similar RUN {} --data DATA --features FEATURES --output NEW.png --count 1 --cpus 0",
    "similar data": "similar RUN PHOTO --data {} --output NEW.png --cpus 0",
    "stats data": "stats --data {}",
    "train data": "train --data {} --run NEW/run --cpus 0",
    "train init_from": "train --data DATA --init-from {} --run NEW/run --recipe narrow --batch-size 6 --cpus 0",
    "train layer_files": "train --data DATA --cuda-convnet {} {} --run NEW/run --cpus 0",
    "train timetable": "train --data DATA --timetable {} --run NEW/run --batch-size 6 --cpus 0",
    "verify data": "verify --data {}",
    "pack train": "pack --train {} --val VAL --data NEW/data",
    "pack val": "pack --train TRAIN --val {} --data NEW/data",
    "pack test": "pack --train TRAIN --val VAL --test {} --data NEW/data",
    "pack source": "pack --ilsvrc 2012 --source {} --data NEW/data",
}
FITS = {
    "image.jpg": ("images", "similar files"),
    "predictions.npz": ("average files", "confusion model"),
    "params.params": "identify files",
}


def test_every_file_argument_is_tried():
    """A new command, or a new argument, has a line above."""
    read = set()
    for command in commands():
        for parameter in all_parameters(command):
            named = parameter.name in ("train", "val", "test", "source", "images")
            of_text = isinstance(parameter.type, click.types.StringParamType)
            if isinstance(parameter.type, click.Path) or (named and of_text):
                read.add(f"{command} {parameter.name}")
    assert read - set(ARGUMENTS) == set()


@pytest.fixture(scope="module")
def foreign(place, tmp_path_factory):
    """Whole files of each kind that an argument may be given by mistake, and damaged ones."""
    folder, rng = tmp_path_factory.mktemp("foreign"), np.random.default_rng(3)
    kinds = {
        "image": place / "photo.jpg",
        "predictions": place / "p.npz",
        "json": place / "out.json",
        "records": place / "data" / "val-00000-of-00001.rec",
        "params": place / "out-0000.params",
    }
    files = [Path(shutil.copy(file, folder / f"{name}{file.suffix}")) for name, file in kinds.items()]
    made = {
        "empty": b"",
        "deep.json": DEEP,
        "huge.npy": huge_header(),
        "noise": rng.bytes(5000),
        "text": b"one two\n" * 9,
    }
    made["huge.npz"] = huge_archive((place / "p.npz").read_bytes())
    for name, content in made.items():
        (folder / name).write_bytes(content)
    for form in ("zip", "safetensors", "zoo"):
        whole = owt_files.write(folder, owt_files.weights(rng), form)
        whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "null").symlink_to("/dev/null")
    (folder / "dangling").symlink_to("nothing")
    return sorted({*files, *folder.iterdir()})


@pytest.fixture(scope="module")
def words(place, tmp_path_factory):
    """What stands for a whole file in ARGUMENTS."""
    folder, rng = tmp_path_factory.mktemp("whole"), np.random.default_rng(4)
    (folder / "scores").write_text("1 2 3\n" * 8)
    made = challenge.make_challenge(folder / "challenge", 2012)
    prototxt, caffemodel = caffemodels.written(folder, rng)
    named = {"RUN": "net", "DATA": "data", "PART": "part1", "PHOTO": "photo.jpg", "FEATURES": "features"}
    named |= {"TRAIN": "train", "VAL": "val", "NEW": "new", "NEW.png": "new.png", "NEW.html": "new.html"}
    found = {key: place / value for key, value in named.items()}
    found |= {f"NEW/{name}": place / "new" / name for name in ("net", "a", "r", "run", "data")}
    found |= {
        "SCORES": folder / "scores",
        "KIT": made.folder / "ILSVRC2012_devkit_t12.tar.gz",
        "PROTOTXT": prototxt,
        "CAFFEMODEL": caffemodel,
    }
    return {**found, "PTH": owt_files.write(folder, owt_files.weights(rng), "zip")}


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_every_file_argument(place, foreign, words, argument):
    complaints = []
    for file in foreign:
        shutil.rmtree(place / "new", ignore_errors=True)
        given = [file if word == "{}" else words.get(word, word) for word in ARGUMENTS[argument].split()]
        fits = argument.endswith(FITS.get(file.name, "no argument"))
        found = complaint(given, fits)
        if found:
            complaints.append(f"{file.name}: {found}")
    assert not complaints, "\n".join(complaints)
