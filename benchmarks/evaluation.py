"""Views a second of the deployed net, and milliseconds of a single view, beside other programs' same net, in one run.

    python benchmarks/evaluation.py --torch PYTHON --onnx PYTHON

PYTHON are environments of their own: one that has torch, one with onnxruntime, onnx, openvino and nncf; `make bench`
makes both. The net of made_net.py is exported by us (symbol/params pair, bf16, int8, ONNX) and run by all: ours from
uint8 images to probabilities, as `predict` and `serve` do it, the others from float32 arrays that are ready in memory.
A turn is a process for each side, one after the other, with all cores; what is quoted is the ratio of the medians. How
far each program's probabilities are from ours in float32 is printed, so that nobody computes another net. With --keep
the turns of several calls are counted together.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from report import environment
from sides import chosen, missing, spread, take_turns, values, versions
from training import operations

from gluon_alexnet.recipes import presets, serialization

HERE = Path(__file__).parent
WARM = 2
PEERS = ["onnxruntime", "openvino", "torch", "torch-compile"]
FORMS = ["float32", "bf16", "int8"]
NAMES = {"onnxruntime": "onnxruntime", "openvino": "OpenVINO", "torch": "PyTorch", "torch-compile": "torch.compile"}
# The fastest of channels_last or not and PyTorch's own normalisation or the composed, tried in turns.
EAGER = ["--own-lrn"]
COMPILED: list[str] = []


def ours(work: Path, form: str, steps: int) -> dict:
    """What is measured of our own exported pair, as `predict` loads and calls it."""
    from measured import timed

    from gluon_alexnet.backend import mx
    from gluon_alexnet.exporters import symbol
    from gluon_alexnet.model.classifier import classify_with

    pair = work / ("net" if form == "float32" else f"net-{form}")
    if not Path(f"{pair}-symbol.json").exists():
        return {"missing": f"this processor does not compute in {form}"}
    context = mx.cpu()
    classify = classify_with(symbol.load_pair(pair, context), context)
    result = timed(classify, np.load(work / "views.npy"), steps, WARM, work)
    return {**result, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def commands(given, work: Path, peers: list[str], forms: list[str]) -> dict[str, list[str]]:
    """The command of each side, by its name in the table: program, form."""
    numbers = ["--steps", str(given.steps), "--warm", str(WARM), "--deployed", str(work)]
    network = json.dumps(serialization.to_dict(presets.PAPER)["network"])
    torch = [given.torch, str(HERE / "peer_torch.py"), *numbers, "--network", network]
    onnx = [given.onnx, str(HERE / "peer_onnx.py"), *numbers, "--program"]
    sides = {}
    for form in forms:
        sides[f"ours, {form}"] = [sys.executable, __file__, "--own", form, "--work", str(work), *numbers[:2]]
        for peer in peers:
            if peer in ("onnxruntime", "openvino") and (peer, form) != ("onnxruntime", "bf16"):
                sides[f"{NAMES[peer]}, {form}"] = [*onnx, peer, "--form", form]
            elif form == "float32":
                chosen_ones = [*EAGER] if peer == "torch" else ["--compile", *COMPILED]
                sides[f"{NAMES[peer]}, {form}"] = [*torch, *chosen_ones]
    return {"multiply-adds": [sys.executable, str(HERE / "training.py"), "--side", "peak"], **sides}


def table(found: dict, views: int) -> None:
    """Print what was measured, each form by itself."""
    peaks = values(found.pop("multiply-adds"))
    peak = statistics.median(peaks) if peaks else None
    print(f"the paper's net, {views} views at once and single ones; medians and range; p95 of single views in brackets")
    if peak:
        limit = peak / operations(training=False)
        print(f"multiply-adds in registers {peak / 1e9:.0f} GFLOP/s: no more than {limit:.0f} views/s in float32")
    for name, printed in found.items():
        if missing(printed):
            print(f"{name:<22} {missing(printed)}")
            continue
        rates, single = values(printed), values(printed, "latencies")
        own, form = values(found[f"ours, {name.split(', ')[1]}"]), name.split(", ")[1]
        ratio = f"ours {statistics.median(own) / statistics.median(rates):.2f} ×" if own else ""
        share = f"{statistics.median(rates) / limit:4.0%} of the peak" if peak and form == "float32" else ""
        latency = f"{statistics.median(single):6.2f} ms [{np.percentile(single, 95):.2f}]"
        differs = max(one["difference"] for one in printed), min(one["same_first"] for one in printed)
        print(f"{name:<22} {spread(rates)} views/s  {ratio:<11} {share:<17} one view {latency}")
        memory = max(one["memory"] for one in printed)
        print(f"{'':<22} differs by {differs[0]:.1e}, same first class {differs[1]:.1%}, {memory:.0f} MB at the most")
    print(versions(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--onnx", default=sys.executable, help="a Python with onnxruntime, onnx, openvino and nncf")
    parser.add_argument("--peers", default=",".join(PEERS), help="which of them, separated by commas (all)")
    parser.add_argument("--forms", default=",".join(FORMS), help="which arithmetic, separated by commas (all)")
    parser.add_argument("--views", type=int, default=160, help="views at once: ten of each of 16 images")
    parser.add_argument("--steps", type=int, default=5, help="batches in a turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--work", type=Path, help="folder for the net's files (a temporary one)")
    parser.add_argument("--keep", type=Path, help="file of the turns so far, which are counted, too")
    parser.add_argument("--own", choices=FORMS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.own:
        print(json.dumps(ours(given.work, given.own, given.steps)))
        return
    peers, forms = chosen(given.peers, PEERS), chosen(given.forms, FORMS)
    with tempfile.TemporaryDirectory() as folder:
        work = given.work or Path(folder)
        if not (work / "expected.npy").exists():
            subprocess.run([sys.executable, str(HERE / "made_net.py"), str(work), str(given.views)], check=True)
        found = take_turns(commands(given, work, peers, forms), given.turns, given.keep)
        print(environment("mxnet", "numpy", "numba"))
        table(found, len(np.load(work / "expected.npy")))


if __name__ == "__main__":
    main()
