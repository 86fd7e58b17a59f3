"""Images a second that a training loop gets from packed records, beside the peers, in one run.

    python benchmarks/reading.py --jpeg DATA --raw DATA --dali PYTHON --torch PYTHON

DATA are folders of `alexnet-tools pack` with `--encoding jpeg` and `raw`; PYTHON are environments of their own that
have nvidia-dali-cuda120, and torch with opencv-python. A turn is a process for each side, one after the other, so that
all sides meet the same moods of the machine; what is quoted is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from pathlib import Path

from report import environment, medians, turn

HERE = Path(__file__).parent
BATCH = 128
WARM = 4  # batches before the clock starts: buffers are filled, files are in memory


def rate(batches, seconds: float) -> tuple[float, float]:
    """(images/s, processor microseconds an image) of an endless iterator of batches of BATCH images."""
    for _ in range(WARM):
        next(batches)
    began, busy, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        next(batches)
        images += BATCH
    return images / (time.perf_counter() - began), 1e6 * (time.process_time() - busy) / images


def ours(folder, rendered: bool, threads: int):
    """Batches of our reader: training crops, or the uint8 images."""
    from gluon_alexnet.data.augmentation import TrainingAugmentation, central_patch
    from gluon_alexnet.recipes import presets
    from gluon_alexnet.recordio.dataset.statistics import read_statistics
    from gluon_alexnet.recordio.reading.reader import Reader, epoch_order

    statistics = read_statistics(folder)
    mean = central_patch(statistics.mean_image, 224)
    augment = TrainingAugmentation(
        presets.PAPER.augmentation, 224, mean, statistics.eigenvalues, statistics.axes, seed=0
    )
    reader = Reader(folder, "train", threads)
    whole = len(reader) // BATCH * BATCH
    for epoch in itertools.count():
        order = epoch_order(len(reader), 0, epoch)[:whole]
        for batch in reader.batches(BATCH, order, transform=augment.of_epoch(epoch) if rendered else None):
            yield batch.images


def mxnet(folder, rendered: bool, threads: int):
    """Batches of MXNet's own iterators, written in C++."""
    from gluon_alexnet.backend import mx
    from gluon_alexnet.recordio.dataset.manifest import read_manifest

    (shard,) = read_manifest(folder).split("train").shards  # its iterators read one file
    options = dict(
        path_imgrec=str(folder / shard.name),
        path_imgidx=str(folder / shard.file(".idx")),
        batch_size=BATCH,
        shuffle=True,
        preprocess_threads=threads,
        verbose=False,
    )
    if rendered:
        means = dict(mean_r=123.0, mean_g=117.0, mean_b=104.0)
        iterator = mx.io.ImageRecordIter(
            data_shape=(3, 224, 224), rand_crop=True, rand_mirror=True, pca_noise=0.1, **means, **options
        )
    else:
        iterator = mx.io.ImageRecordUInt8Iter(data_shape=(3, 256, 256), **options)
    while True:
        for batch in iterator:
            batch.data[0].wait_to_read()
            yield batch.data[0]
        iterator.reset()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jpeg", type=Path, required=True, help="data set packed as JPEG, in one shard")
    parser.add_argument("--raw", type=Path, required=True, help="the same images packed raw")
    parser.add_argument("--dali", help="a Python that has nvidia-dali-cuda120")
    parser.add_argument("--torch", help="a Python that has torch and opencv-python")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=3, help="of a side's turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--side", choices=["ours", "mxnet"], help=argparse.SUPPRESS)
    parser.add_argument("--what", choices=["crops", "raw crops", "images", "raw images"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        folder = given.raw if given.what.startswith("raw") else given.jpeg
        batches = {"ours": ours, "mxnet": mxnet}[given.side](folder, "crops" in given.what, given.threads)
        print(json.dumps(rate(batches, given.seconds)), flush=True)
        os._exit(0)  # the batches are endless

    words = [f"--{name}={getattr(given, name)}" for name in ("jpeg", "raw", "threads", "seconds")]
    mine = [sys.executable, __file__, *words]
    sides = {
        "training crops": [*mine, "--side", "ours", "--what", "crops"],
        "training crops, raw records": [*mine, "--side", "ours", "--what", "raw crops"],
        "images": [*mine, "--side", "ours", "--what", "images"],
        "images, raw records": [*mine, "--side", "ours", "--what", "raw images"],
        "ImageRecordIter crops": [*mine, "--side", "mxnet", "--what", "crops"],
        "ImageRecordUInt8Iter images": [*mine, "--side", "mxnet", "--what", "images"],
    }
    stem = next(given.jpeg.glob("train-00000-of-*.rec")).with_suffix("")
    peer = [str(stem), str(given.threads), str(given.seconds)]
    if given.dali:
        for what in ("crops", "cropped decoding", "images"):
            sides[f"DALI {what}"] = [given.dali, str(HERE / "peer_dali.py"), *peer, what]
    if given.torch:
        sides["PyTorch DataLoader crops"] = [given.torch, str(HERE / "peer_dataloader.py"), *peer]
    measured: dict[str, list] = {name: [] for name in sides}
    for number in range(given.turns):
        for name, command in sides.items():
            measured[name].append(json.loads(turn(command)[0].splitlines()[-1]))
            print(f"turn {number + 1}: {name} {measured[name][-1][0]:.0f} images/s", file=sys.stderr, flush=True)

    print(environment("numpy", "opencv-python", "simplejpeg", "mxnet"))
    print(f"{given.threads} threads, batches of {BATCH}, {given.turns} turns of {given.seconds:g} s; medians")
    rates = medians(measured)
    for name, goal, against in [
        ("training crops", 4, "ImageRecordIter crops"),
        ("training crops", 1, "DALI crops"),
        ("training crops", 1, "DALI cropped decoding"),
        ("training crops", 1.5, "PyTorch DataLoader crops"),
        ("training crops, raw records", 3, "DALI crops"),
        ("training crops, raw records", 3, "DALI cropped decoding"),
        ("images", 4.5, "ImageRecordUInt8Iter images"),
    ]:
        if against in rates:
            print(f"{name} / {against}: {rates[name] / rates[against]:.2f} (wanted: {goal:g})")


if __name__ == "__main__":
    main()
