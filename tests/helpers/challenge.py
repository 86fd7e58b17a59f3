"""A small challenge in the layout of the official downloads: tars of tars, a development kit, made images."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from helpers.images import file_bytes, photo
from scipy.io import savemat

NAMES = {2010: "ILSVRC2010_images_{}.tar", 2012: "ILSVRC2012_img_{}.tar"}
KITS = {
    2010: ("ILSVRC2010_devkit-1.0.tar.gz", "devkit-1.0"),
    2012: ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_devkit_t12"),
}
# In the kit's own order, which is not that of the sorted ids.
WNIDS = ("n02119789", "n02100735", "n01440764", "n02110185", "n03255030")


@dataclass
class Challenge:
    """What was made: where, and what each image is, by the split's keys."""

    folder: Path
    year: int
    files: dict[str, dict[str, bytes]]  # split → key → image file
    wnids: dict[str, dict[str, str]]  # split → key → class


def meta(year: int, wnids=WNIDS, train_images=3, group=True) -> bytes:
    """A `meta.mat` with the fields of the official ones, a group of classes among them."""
    names = (f"ILSVRC{year}_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height")
    fields = [(name, "O") for name in (*names, "num_train_images")]
    rows = [
        (i, w, f"animal {i}, beast {i}", "a gloss", 0, np.empty(0), 0, train_images) for i, w in enumerate(wnids, 1)
    ]
    if group:
        rows.insert(2, (len(wnids) + 1, "n00001740", "entity", "all", 2, np.array([1, 2]), 9, 0))
    buffer = io.BytesIO()
    savemat(buffer, {"synsets": np.array([[row] for row in rows], dtype=fields).reshape(-1, 1)})
    return buffer.getvalue()


def tar_bytes(files: dict[str, bytes], mode: str = "w") -> bytes:
    """A tar with these files, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def kit_files(year: int, truth: str, **options) -> dict[str, bytes]:
    """The development kit's files by their paths in its tar."""
    top = KITS[year][1]
    return {
        f"{top}/readme.txt": b"made",
        f"{top}/data/meta.mat": meta(year, **options),
        f"{top}/data/ILSVRC{year}_validation_ground_truth.txt": truth.encode(),
    }


def make_challenge(folder: Path, year: int, val: int = 8, test: int = 5, classes=WNIDS) -> Challenge:
    """Write tars and kit: 3 training images a class, validation and test images in shuffled order."""
    random = np.random.default_rng(year)
    files: dict[str, dict[str, bytes]] = {"train": {}, "val": {}, "test": {}}
    wnids: dict[str, dict[str, str]] = {"train": {}, "val": {}, "test": {}}

    def image():
        return file_bytes(photo(int(random.integers(2**31)), 40, 50), "JPEG")

    for wnid in classes:
        for number in (10, 2, 33):
            key = f"{wnid}/{wnid}_{number}.JPEG"
            files["train"][key], wnids["train"][key] = image(), wnid
    truths = {}
    for split, count in (("val", val), ("test", test)):
        truths[split] = [int(number) for number in random.integers(1, len(classes) + 1, count)]
        for number in random.permutation(count):
            key = f"ILSVRC{year}_{split}_{number + 1:08d}.JPEG"
            files[split][key], wnids[split][key] = image(), classes[truths[split][number] - 1]
    folder.mkdir(parents=True)
    made = Challenge(folder, year, files, wnids)
    write_train(made)
    for split in ("val", "test"):
        prefix = f"{split}/" if year == 2010 else ""
        (folder / NAMES[year].format(split)).write_bytes(tar_bytes({prefix + k: v for k, v in files[split].items()}))
    kit = kit_files(year, "".join(f"{number}\n" for number in truths["val"]), wnids=classes)
    (folder / KITS[year][0]).write_bytes(tar_bytes(kit, "w:gz"))
    if year == 2010:
        truth = "".join(f"{number}\n" for number in truths["test"])
        (folder / "ILSVRC2010_test_ground_truth.txt").write_text(truth)
    return made


def write_train(made: Challenge) -> None:
    """(Re)write the tar of tars from `made.files`."""
    tars = {}
    for wnid in dict.fromkeys(made.wnids["train"].values()):
        mine = {key.partition("/")[2]: data for key, data in made.files["train"].items() if key.startswith(wnid)}
        tars[f"{wnid}.tar"] = tar_bytes(mine)
    (made.folder / NAMES[made.year].format("train")).write_bytes(tar_bytes(tars))


def unpack(made: Challenge, folder: Path, val_in_class_folders: bool = False) -> Path:
    """The same files as a user unpacks them."""
    for key, data in made.files["train"].items():
        path = folder / "train" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for split in ("val", "test"):
        for key, data in made.files[split].items():
            middle = made.wnids[split][key] if val_in_class_folders and split == "val" else ""
            path = folder / split / middle / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    with tarfile.open(made.folder / KITS[made.year][0]) as tar:
        for entry in tar:
            (folder / entry.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / entry.name).write_bytes(tar.extractfile(entry).read())
    for path in made.folder.glob("*.txt"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder
