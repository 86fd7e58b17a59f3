"""Searching as many vectors as ImageNet has training images: by Euclidean distance, and by codes of 128 bits.

    python benchmarks/similar.py [--folder SCRATCH] [--images 1281167]

The vectors are made (4096 rectified mixtures of 64 numbers, 10.5 GB on disk, removed afterwards); ten of them with some
noise are the queries, so that the nearest is known. Each figure is of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from report import environment

IMAGES, WIDTH, MIXED, BITS, QUERIES = 1_281_167, 4096, 64, 128, 10
CLEAR = 10e9  # bytes of the disk that must stay free

SEARCH = """
import json, os, sys, time
import numpy as np
from pathlib import Path
def megabytes(name):
    return int(next(l for l in open("/proc/self/status") if l.startswith(name)).split()[1]) / 1024
folder, images, expected = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[4])
from gluon_alexnet import codes, features
codes.nearest(np.zeros((9, 16), np.uint8), np.zeros((1, 16), np.uint8), 1)  # Faiss is loaded
queries = np.load(folder / "queries.npy")
def timed(label, search):
    before, began, busy = megabytes("VmHWM"), time.perf_counter(), time.process_time()
    ids, distances = search()
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    right = int((ids[:, 0] == expected).sum())
    peak = megabytes("VmHWM")
    print(f"{label:<40} {seconds:7.2f} s, {busy:6.2f} s of processor; peak {peak:4.0f} MB, {peak - before:3.0f} MB of "
          f"it for the search; {right} of {len(ids)} known neighbours found", flush=True)
"""
VECTORS = """
contents = features.Contents("a" * 64, "b" * 64, "train", images, queries.shape[1])
opened = features.Features(folder / "vectors", contents)
if sys.argv[3] == "cold":
    with open(folder / "vectors" / "vectors.f16") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
timed(f"10 queries, {images} vectors, {sys.argv[3]}", lambda: opened.nearest(queries, 6))
"""
CODES = """
packed = np.fromfile(folder / "codes.bin", np.uint8).reshape(images, -1)
asked = np.load(folder / "asked.npy")
timed(f"10 queries, {images} codes of {8 * packed.shape[1]} bits", lambda: codes.nearest(packed, asked, 6))
"""


class Made:
    """Vectors in the place of a net's activations."""

    def __init__(self, seed):
        self.mixing = np.random.default_rng(seed).normal(0, 1, (MIXED, WIDTH)).astype(np.float32)

    def of_images(self, numbers):
        """float32 (N, 4096) of (N, 64) numbers."""
        return np.maximum(numbers @ self.mixing, 0)


def batches(images):
    """From an id on: (numbers in the place of images, labels, ids)."""

    def begin(start):
        for first in range(start, images, 1024):
            ids = np.arange(first, min(first + 1024, images))
            yield numbers_of(ids), ids, ids

    return begin


def numbers_of(ids):
    """float32 (N, 64), always the same for the same block of ids."""
    return np.random.default_rng(int(ids[0]) // 1024).normal(0, 1, (1024, MIXED)).astype(np.float32)[ids % 1024]


def run(code, *words):
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SEARCH + code, *map(str, words)], text=True)
    if done.returncode:
        sys.exit(done.returncode)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--images", type=int, default=IMAGES)
    given = parser.parse_args()
    from gluon_alexnet.features import store

    print(environment("numpy", "mxnet", "faiss-cpu"), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="similar-", dir=given.folder))
    try:
        contents = store.Contents("a" * 64, "b" * 64, "train", given.images, WIDTH)
        if shutil.disk_usage(folder).free - contents.bytes < CLEAR:
            sys.exit(f"{folder} would have less than {CLEAR / 1e9:.0f} GB left")
        made, draws = Made(0), np.random.default_rng(1)
        known = np.sort(draws.choice(given.images, QUERIES, replace=False))
        near = np.concatenate([made.of_images(numbers_of(known[i : i + 1])) for i in range(QUERIES)])
        np.save(folder / "queries.npy", near + draws.normal(0, 0.1, near.shape).astype(np.float32))
        packed = draws.integers(0, 256, (given.images, BITS // 8), dtype=np.uint8)
        packed.tofile(folder / "codes.bin")
        flipped = np.packbits(np.arange(BITS) % 16 == 0)  # eight bits
        np.save(folder / "asked.npy", packed[known] ^ flipped)
        began = time.perf_counter()
        store.write(folder / "vectors", contents, made, batches(given.images))
        print(f"{contents.bytes / 1e9:.1f} GB made and written in {time.perf_counter() - began:.0f} s", flush=True)
        words = json.dumps(known.tolist())
        run(VECTORS, folder, given.images, "cold", words)
        run(VECTORS, folder, given.images, "warm", words)
        run(CODES, folder, given.images, "warm", words)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
