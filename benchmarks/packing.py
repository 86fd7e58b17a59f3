"""Images a second of packing with statistics, beside the im2rec.py of the MXNet wheel, in one run.

    python benchmarks/packing.py --train DIR

DIR has one sub-folder of images a class. im2rec.py runs with one process and with two and takes no statistics; the
better one counts. Its turns and ours alternate; what is quoted is the ratio of the medians.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from report import environment, medians, turn

# im2rec.py imports MXNet, which needs the names that backend.py puts back into NumPy.
IM2REC = "import runpy, sys, gluon_alexnet.backend as b; b.mx; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], "
IM2REC += "run_name='__main__')"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, help="images, one sub-folder a class")
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    images = sum(len(files) for _, _, files in os.walk(given.train, followlinks=True))
    script = Path(importlib.util.find_spec("mxnet").origin).parent / "tools" / "im2rec.py"
    with tempfile.TemporaryDirectory() as folder:
        theirs = [sys.executable, "-c", IM2REC, str(script)]
        words = [f"{folder}/theirs", str(given.train)]
        subprocess.run([*theirs, *words, "--list", "--recursive"], check=True, capture_output=True)
        pack = "import sys; from gluon_alexnet.tools.main import main; main(sys.argv[1:])"
        options = ["--train", given.train, "--val", given.train, "--data", f"{folder}/ours", "--overwrite"]
        sides = {"alexnet-tools pack": ([sys.executable, "-c", pack, "pack", *map(str, options)], 2 * images)}
        for processes in (1, 2):
            options = ["--resize", "256", "--quality", "95", "--num-thread", str(processes)]
            sides[f"im2rec.py, {processes} processes"] = ([*theirs, *options, *words], images)
        measured: dict[str, list] = {name: [] for name in sides}
        for number in range(given.turns):
            for name, (command, count) in sides.items():
                _, seconds, busy = turn(command)
                measured[name].append((count / seconds, 1e6 * busy / count))
                print(f"turn {number + 1}: {name} {measured[name][-1][0]:.0f} images/s", file=sys.stderr, flush=True)
    print(environment("opencv-python", "simplejpeg", "mxnet"))
    print(f"{images} images, {given.turns} turns, start and end of each program included; medians")
    rates = medians(measured)
    best = max(rate for name, rate in rates.items() if name.startswith("im2rec"))
    print(f"alexnet-tools pack / im2rec.py: {rates['alexnet-tools pack'] / best:.2f} (wanted: 2.2)")


if __name__ == "__main__":
    main()
