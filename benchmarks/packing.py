"""Images a second of packing with statistics in the steady state, beside im2rec.py and FFCV's writer, in one run.

    python benchmarks/packing.py --train DIR [--peers im2rec,im2rec-crop,im2rec-statistics,ffcv] [--ffcv PYTHON]

DIR has one sub-folder of images a class; two sets of different sizes are made of links to them. Every side packs both
in every turn, in alternation, and what counts is the difference: the images that the larger set has more, in the
seconds that it takes more, so that nobody's start-up counts. im2rec.py (of the MXNet wheel, two processes) scales
between neighbours and takes no statistics; im2rec-crop is the same with --center-crop, as pack does; im2rec-statistics
adds to that a pass of two processes over its records for mean image and covariance (peer_statistics.py), which is
pack's work. PYTHON is an environment of its own that has ffcv.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from report import environment, turn

HERE = Path(__file__).parent
PROCESSES = "2"
# im2rec.py imports MXNet, which needs the names that backend.py puts back into NumPy.
IM2REC = "import runpy, sys, gluon_alexnet.backend as b; b.mx; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], "
IM2REC += "run_name='__main__')"
PACK = "import sys; from gluon_alexnet.tools.main import main; main(sys.argv[1:])"
OURS = "alexnet-tools pack"
AIMS = {"im2rec": 0.9, "im2rec-crop": 0.9, "im2rec-statistics": 1.3, "ffcv": 1.0}


def linked(sources: list[Path], folder: Path, count: int) -> Path:
    """Class folders with `count` images: links to `sources`, over and over."""
    for number, source in zip(range(count), itertools.cycle(sources)):
        place = folder / source.parent.name
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number // len(sources)}_{source.name}").symlink_to(source.resolve())
    return folder


def im2rec_script() -> Path | None:
    """im2rec.py of the MXNet wheel, where that is installed."""
    found = importlib.util.find_spec("mxnet")
    script = Path(found.origin).parent / "tools" / "im2rec.py" if found and found.origin else None
    return script if script and script.exists() else None


def missing(peer: str, ffcv: str | None) -> str | None:
    """Why a peer cannot run here, or None."""
    if peer == "ffcv":
        if ffcv is None:
            return "not installed (--ffcv PYTHON names an environment that has it)"
        if shutil.which(ffcv) is None:
            return f"not installed ({ffcv} is no program)"
        done = subprocess.run([ffcv, "-c", "import ffcv.writer"], capture_output=True, text=True)
        return None if done.returncode == 0 else f"not installed ({done.stderr.strip().splitlines()[-1]})"
    return None if im2rec_script() else "not installed (the MXNet wheel has im2rec.py)"


def commands(side: str, images: Path, folder: Path, ffcv: str | None) -> Iterator[list[str]]:
    """The programs that a side runs on a set, one after the other."""
    python, stem = sys.executable, str(folder / f"{images.name}-{side}")
    if side == OURS:
        words = ["--train", images, "--val", folder / "val", "--data", stem, "--overwrite"]
        yield [python, "-c", PACK, "pack", *map(str, words)]
    elif side == "ffcv":
        yield [str(ffcv), str(HERE / "peer_ffcv.py"), str(images), stem]
    else:
        crop = [] if side == "im2rec" else ["--center-crop"]
        words = [*crop, "--resize", "256", "--quality", "95", "--num-thread", PROCESSES, stem, str(images)]
        yield [python, "-c", IM2REC, str(im2rec_script()), *words]
        if side == "im2rec-statistics":
            yield [python, str(HERE / "peer_statistics.py"), stem, PROCESSES]


def prepare(side: str, images: Path, folder: Path) -> None:
    """im2rec.py's list of files: made before the clock starts."""
    if side.startswith("im2rec"):
        words = [str(im2rec_script()), str(folder / f"{images.name}-{side}"), str(images), "--list", "--recursive"]
        subprocess.run([sys.executable, "-c", IM2REC, *words], check=True, capture_output=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="images, one sub-folder a class")
    parser.add_argument("--sizes", type=int, nargs=2, default=(6000, 14000), help="images of the two sets")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peers", default=",".join(AIMS), help=f"of {', '.join(AIMS)}")
    parser.add_argument("--ffcv", help="a Python that has ffcv")
    parser.add_argument("--folder", help="where to write two gigabytes for a while")
    given = parser.parse_args()
    peers = [name for name in given.peers.split(",") if name]
    for name in peers:
        if name not in AIMS:
            parser.exit(2, f"There is no peer {name}; give some of {', '.join(AIMS)}.\n")
    if not 0 < given.sizes[0] < given.sizes[1]:
        parser.exit(2, "The second set must be larger than the first.\n")
    sources = sorted(path for path in given.train.glob("*/*") if path.is_file())
    if not sources:
        parser.exit(2, f"{given.train} has no class folders with images.\n")
    random.Random(0).shuffle(sources)  # each set has the same mix
    absent = {name: reason for name in peers if (reason := missing(name, given.ffcv))}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        sets = {size: linked(sources, folder / f"of{size}", size) for size in given.sizes}
        linked(sources, folder / "val", 1)  # a data set needs one: the same for both sizes
        rates = measured([OURS, *(peer for peer in peers if peer not in absent)], sets, folder, given)
    print(environment("opencv-python", "simplejpeg", "numba", "mxnet"))
    small, large = given.sizes
    print(f"{len(sources)} images, linked into sets of {small} and {large}; {given.turns} turns; medians of")
    print(f"({large} - {small}) images / (seconds of {large} - seconds of {small})")
    for side in (OURS, *peers):
        if side in absent:
            print(f"{side:<20} {absent[side]}")
            continue
        found = rates[side]
        print(f"{side:<20} {statistics.median(found):6.0f} images/s  ({min(found):.0f} to {max(found):.0f})")
    for side in (peer for peer in peers if peer not in absent):
        ratio = statistics.median(rates[OURS]) / statistics.median(rates[side])
        print(f"{OURS} / {side}: {ratio:.2f} (wanted: {AIMS[side]:g})")


def measured(
    sides: list[str], sets: dict[int, Path], folder: Path, given: argparse.Namespace
) -> dict[str, list[float]]:
    """Images/s of each side in each turn."""
    for side, images in itertools.product(sides, sets.values()):
        prepare(side, images, folder)
    rates: dict[str, list[float]] = {side: [] for side in sides}
    (small, of_small), (large, of_large) = sets.items()
    for number in range(given.turns):
        for side in sides:
            seconds = [
                sum(turn(command)[1] for command in commands(side, images, folder, given.ffcv))
                for images in (of_small, of_large)
            ]
            rates[side].append((large - small) / (seconds[1] - seconds[0]))
            said = f"turn {number + 1}: {side} {rates[side][-1]:.0f} images/s ({seconds[0]:.1f}, {seconds[1]:.1f} s)"
            print(said, file=sys.stderr, flush=True)
    return rates


if __name__ == "__main__":
    main()
