"""Where the time of a training step of the paper's net goes: milliseconds a step by type of operator.

    python benchmarks/profile_step.py
    python benchmarks/profile_step.py --normalization mxnet

The operators of a step come in the same order every time; of each, the fastest of all steps counts, so that what other
programs take does not. The second line profiles the net with MXNet's own response normalisation.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import tempfile
import time
from pathlib import Path

from report import environment

# The marks of begin and end in the profiler's file, for MXNet's operators and for those written in Python.
PHASES = {"operator": "BE", "Custom Operator": "be"}


def events(steps: int, batch: int, contexts: int, normalization: str) -> tuple[list[tuple[str, float]], float]:
    """The operators of all steps as (name, milliseconds), in order; and the milliseconds of the fastest step."""
    os.environ["MXNET_EXEC_BULK_EXEC_TRAIN"] = "0"  # operators run in bulk would be one event
    import numpy as np

    from gluon_alexnet import backend
    from gluon_alexnet.model import build
    from gluon_alexnet.recipes import presets
    from gluon_alexnet.training import loop, lr_schedule

    mx = backend.mx
    if normalization == "mxnet":
        build.trained_on_cpu = lambda contexts: False
    trainer = loop.Trainer(presets.PAPER, 1000, backend.contexts("cpu", range(contexts)))
    trainer.initialize(seed=0)
    rates = lr_schedule.LearningRates(1e-4, 1e-4)
    crops = np.random.default_rng(0).normal(0, 60, (batch, 3, 224, 224)).astype(np.float32)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        mx.profiler.set_config(
            profile_symbolic=True, profile_imperative=True, aggregate_stats=True, filename=str(trace)
        )
        for step in range(1 + steps):
            if step == 1:  # the first plans its memory
                mx.profiler.set_state("run")
            began = time.perf_counter()
            trainer.step(crops, np.arange(batch) % 1000, rates, step)
            mx.nd.waitall()
            seconds.append(time.perf_counter() - began)
        mx.profiler.set_state("stop")
        mx.profiler.dump()
        return operators(trace.read_text()), 1e3 * min(seconds[1:])


def operators(trace: str) -> list[tuple[str, float]]:
    """(name, milliseconds) of each operator in the profiler's file, in the order of their begins."""
    begins: dict[tuple, float] = {}
    spans = []
    for event in json.loads(trace)["traceEvents"]:
        phases = PHASES.get(event.get("cat"), "")
        if event["ph"] not in phases:
            continue
        key = event["name"], event["tid"]
        if event["ph"] == phases[0]:
            begins[key] = event["ts"]
        elif key in begins:
            began = begins.pop(key)
            spans.append((began, event["name"], (event["ts"] - began) / 1e3))
    return [(name, duration) for _, name, duration in sorted(spans)]


def fastest(spans: list[tuple[str, float]], steps: int) -> dict[str, tuple[int, float]]:
    """(calls, milliseconds) a step for each type of operator, the slowest type first."""
    durations = collections.defaultdict(list)
    for name, duration in spans:
        durations[name].append(duration)
    total = {}
    for name, values in durations.items():
        calls = len(values) // steps
        if calls:  # the same call of each step, the fastest of them
            total[name] = calls, sum(min(values[call : calls * steps : calls]) for call in range(calls))
    return dict(sorted(total.items(), key=lambda item: -item[1][1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--contexts", type=int, default=1, choices=[1, 2])
    parser.add_argument("--normalization", choices=["compiled", "mxnet"], default="compiled")
    given = parser.parse_args()
    spans, whole = events(given.steps, given.batch, given.contexts, given.normalization)
    print(environment("mxnet", "numpy", "numba"))
    print(
        f"one step of the paper's net, batch {given.batch}, {given.contexts} context(s), normalisation: "
        f"{given.normalization}; the fastest of {given.steps} for each operator"
    )
    table = fastest(spans, given.steps)
    total = sum(milliseconds for _, milliseconds in table.values())
    for name, (calls, milliseconds) in table.items():
        if milliseconds >= 1:
            print(f"{milliseconds:8.1f} ms {milliseconds / total:6.1%}  {name} × {calls}")
    print(f"{total:8.1f} ms all operators; {whole:.0f} ms the fastest step")


if __name__ == "__main__":
    main()
