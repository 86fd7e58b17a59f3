"""Opening a data set of 15 million records, and peak memory of packing and reading as the set grows tenfold.

    python benchmarks/scale.py --train DIR [--folder SCRATCH]

DIR has one sub-folder of images a class. The 15 million records are a manifest, real indexes and files that are all
hole: what opening touches is real. Each figure is of a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from report import environment

RECORDS, SHARD, BYTES = 15_000_000, 2**15, 30_000  # records, in a shard, and bytes of each

PEAK = """
import json, resource, time
def megabytes():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
"""
OPEN = """
import sys
from gluon_alexnet.recordio import reader
before, began = megabytes(), time.perf_counter()
opened = reader.Reader(sys.argv[1], "train")
print(json.dumps([time.perf_counter() - began, megabytes() - before]))
"""
INDEXES = """
for number in range(0, 15_000_000, 20_000):
    opened._records._place(*opened._records._locate(number))
print(json.dumps([time.perf_counter() - began, megabytes() - before]))
"""
MXNET = """
import glob, sys
from gluon_alexnet.backend import mx
stems = sorted(path[:-4] for path in glob.glob(sys.argv[1] + "/*.rec"))
before, began = megabytes(), time.perf_counter()
opened = [mx.recordio.MXIndexedRecordIO(stem + ".idx", stem + ".rec", "r") for stem in stems]
print(json.dumps([time.perf_counter() - began, megabytes() - before]))
import os
sys.stdout.flush()
os._exit(0)
"""
READ = """
import sys
from gluon_alexnet.recordio.reading.reader import Reader, epoch_order
reader = Reader(sys.argv[1], "train")
count = sum(len(batch.ids) for batch in reader.batches(128, epoch_order(len(reader), 0, 0)))
print(json.dumps([count, megabytes()]))
"""
PACK = """
import sys
from gluon_alexnet.tools.main import main
main(["pack", "--train", sys.argv[1], "--val", sys.argv[2], "--data", sys.argv[3]], standalone_mode=False)
print(json.dumps([0, megabytes()]))
"""


def run(code, *words):
    done = subprocess.run([sys.executable, "-c", PEAK + code, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def hollow(folder: Path) -> None:
    """A data set of RECORDS records that are not there."""
    from gluon_alexnet.recordio.dataset.manifest import ClassInfo, Manifest, Shard, Split, shard_stem, write_manifest

    count, shards = -(-RECORDS // SHARD), []
    for number in range(count):
        images = min(SHARD, RECORDS - number * SHARD)
        index = b"".join(b"%d\t%d\n" % (position, position * BYTES) for position in range(images))
        stem = folder / shard_stem("train", number, count)
        stem.with_suffix(".idx").write_bytes(index)
        stem.with_suffix(".rec").touch()
        os.truncate(stem.with_suffix(".rec"), images * BYTES)
        shards.append(Shard(stem.name + ".rec", images, images * BYTES, "", hashlib.sha256(index).hexdigest(), ""))
    split = Split("train", tuple(shards), (RECORDS,), 0)
    write_manifest(folder, Manifest((ClassInfo("n00000001", "one"),), (split,), 0, ""))


def repeated(images: Path, folder: Path, times: int) -> Path:
    """The class folders of `images` with each image `times` times, as links."""
    for source in sorted(path for path in images.glob("*/*") if path.is_file()):
        place = folder / source.parent.name
        place.mkdir(parents=True, exist_ok=True)
        for number in range(times):
            (place / f"{number}_{source.name}").symlink_to(source.resolve())
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="images, one sub-folder a class")
    parser.add_argument("--folder", help="where to write a gigabyte for a while")
    given = parser.parse_args()
    print(environment("mxnet"))
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        (folder / "hollow").mkdir()
        hollow(folder / "hollow")
        for label, code in [
            ("Reader, opened", OPEN),
            ("Reader, opened and every index read", OPEN + INDEXES),
            ("MXIndexedRecordIO of each shard", MXNET),
        ]:
            seconds, megabytes = run(code, folder / "hollow")
            print(f"{RECORDS} records, {label}: {seconds:.2f} s, {megabytes:.0f} MB", flush=True)
        one = repeated(given.train, folder / "one", 1)
        ten = repeated(given.train, folder / "ten", 10)
        for label, images in (("the set", one), ("ten times the set", ten)):
            packing = run(PACK, images, one, folder / f"{images.name}.packed")[1]
            count, reading = run(READ, folder / f"{images.name}.packed")
            print(f"{label}, {count} images: packing {packing:.0f} MB, reading {reading:.0f} MB at the most")


if __name__ == "__main__":
    main()
