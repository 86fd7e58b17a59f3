"""What Fall 2011's 15 million images and 21,841 classes cost before a pixel is read, beside ILSVRC-2012's.

    python benchmarks/fall_2011.py [--images 15000000 --classes 21841]

Each figure is of a process of its own that does what `pack`, `verify`, `train` and `eval` do with lists of that length.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from report import environment

SETS = ((1_281_167, 1000), (15_000_000, 21_841))


def image_list(images: int, classes: int):
    """The list that a scan of tars of tars ends with."""
    from gluon_alexnet.recordio.sources.class_folders import ImageList, Source

    found = ImageList()
    for number in range(images):
        label = number * classes // images
        wnid = f"n{label:08}"
        found.append(
            Source(f"{wnid}/{wnid}_{number}.JPEG", label, "/downloads/fall11_whole.tar", number << 17, 110_000)
        )
    return found


def listing(images: int, classes: int) -> None:
    """The list of sources."""
    image_list(images, classes)


def planning(images: int, classes: int) -> None:
    """The list, half of it for validation (Sec. 6), its digest and the order of the pack; each resume does it again."""
    from gluon_alexnet.recordio.dataset.manifest import ClassInfo
    from gluon_alexnet.recordio.dataset.shuffle import shuffled
    from gluon_alexnet.recordio.packing.plan import make_plan
    from gluon_alexnet.recordio.sources.class_folders import split_half

    train, val = split_half(image_list(images, classes), 0)
    names = [ClassInfo(f"n{label:08}", "") for label in range(classes)]
    make_plan({"train": train, "val": val}, names, 0, None, "jpeg", (1, 1))
    shuffled(len(train), 0, 2**63)


def order(images: int, classes: int) -> None:  # noqa: ARG001  every one is called alike
    """The order of an epoch."""
    from gluon_alexnet.recordio.reading.reader import epoch_order

    epoch_order(images, 0, 3)


def duplicates(images: int, classes: int) -> None:  # noqa: ARG001
    """Which of a half's images are in the other half, too."""
    import numpy as np

    from gluon_alexnet.recordio.dataset.duplicates import find_duplicates

    digests = np.random.default_rng(0).integers(0, 2**63, images).astype(np.uint64)
    find_duplicates(digests[: images // 2], digests[images // 2 :])


def manifest(images: int, classes: int) -> None:
    """`dataset.json`, written and read."""
    from gluon_alexnet.recordio.dataset.manifest import (
        IMAGES_PER_SHARD,
        ClassInfo,
        Manifest,
        Shard,
        Split,
        read_manifest,
        shard_stem,
        write_manifest,
    )

    each, digest = images // 2 // classes, "0" * 64
    count = -(-each * classes // IMAGES_PER_SHARD)
    sizes = [IMAGES_PER_SHARD] * (count - 1) + [each * classes - IMAGES_PER_SHARD * (count - 1)]
    splits = tuple(
        Split(
            name,
            tuple(
                Shard(f"{shard_stem(name, n, count)}.rec", size, size << 15, digest, digest, digest)
                for n, size in enumerate(sizes)
            ),
            (each,) * classes,
            0,
        )
        for name in ("train", "val")
    )
    classes_named = tuple(ClassInfo(f"n{label:08}", "a name, another name") for label in range(classes))
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder), Manifest(classes_named, splits, 0, digest))
        print(f"dataset.json has {next(Path(folder).glob('*.json')).stat().st_size / 1e6:.1f} MB", file=sys.stderr)
        read_manifest(folder)


def counting(images: int, classes: int) -> None:
    """The confused pairs of half of the images, all of them wrong, in passes of 160."""
    import numpy as np

    from gluon_alexnet.evaluation.metrics import ErrorCounter

    generator = np.random.default_rng(0)
    counter = ErrorCounter(1, classes)
    for _ in range(images // 2 // 160):
        counter._pairs.add(*generator.integers(0, classes, (2, 160)))
    counter.most_confused(10)


WORK: tuple[Callable[[int, int], None], ...] = (listing, planning, order, duplicates, manifest, counting)


def main() -> None:
    """Print a line for each piece of work and each size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, help="another number of images")
    parser.add_argument("--classes", type=int, help="and of classes")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work = next(one for one in WORK if one.__name__ == given.work)
        work(20_000, 100)  # what is imported is not counted
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        work(given.images, given.classes)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps([time.process_time() - began, (after - before) / 1024]))
        return
    print(environment("numpy"))
    for images, classes in ((given.images, given.classes),) if given.images else SETS:
        for work in WORK:
            command = [sys.executable, __file__, "--work", work.__name__, f"--images={images}", f"--classes={classes}"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            seconds, megabytes = json.loads(done.stdout.splitlines()[-1])
            what = work.__doc__.split(",")[0].rstrip(".")
            print(f"{images:>10} images, {work.__name__:<10} {seconds:7.1f} s {megabytes:6.0f} MB  {what}", flush=True)


if __name__ == "__main__":
    main()
