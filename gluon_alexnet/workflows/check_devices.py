"""Whether training can be trusted on devices: a net on them beside the same on ``cpu(0)`` (`doctor --check`).

The reference is the whole net on ``cpu(0)`` with the same parameters and images; the tests hold that one against NumPy
and PyTorch. Each measurement is a process of its own, see :mod:`.measure_device`.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from .. import backend
from ..errors import InvalidRequest, OperationFailed
from .measure_device import Measurement, Order

REFERENCE = ("cpu(0)",)
# Largest relative L2 difference of a layer that is rounding, in a batch of 128. Another order of summation changes the
# last bits of an output, and a ReLU or a maximum that was close to a tie then passes another gradient on: among fewer
# images one such weighs more.
LIMITS_BATCH = 128
FLOAT32_LIMITS = {"outputs": 1e-4, "gradients": 1e-2, "updates": 2e-2, "ten views": 1e-3}
# TF32 keeps 10 bits of each factor's mantissa, float32 keeps 23. Rounding the input and the weights alone so, on a CPU,
# moved the gradients by 0.036 and the third update by 0.055 (batch 32).
TF32_LIMITS = {"outputs": 2e-2, "gradients": 0.1, "updates": 0.15, "ten views": 2e-2}
LOSS_LIMIT = 1e-3  # relative, of the losses before each update; ten times as much with TF32
TAKEN_MB = 512  # of a GPU's memory, taken by others, that is worth a word


@dataclass(frozen=True)
class DeviceResult:
    """One row of the check: devices, with TF32 or without, and what was found there."""

    devices: tuple[str, ...]
    tf32: bool
    measurement: Measurement | None  # None: it could not be measured
    problem: str | None  # why training is not to be trusted there, one sentence

    @property
    def name(self) -> str:
        """Such as "gpu(0), gpu(1), TF32"."""
        return ", ".join(self.devices) + (", TF32" if self.tf32 else "")


@dataclass(frozen=True)
class DeviceCheck:
    """What :func:`check_devices` found."""

    date: str
    machine: dict[str, str]  # versions of libraries, driver, processor, GPUs
    recipe: str
    batch_size: int
    reference: Measurement
    results: list[DeviceResult]
    notes: list[str]  # what a user should know, and is no fault
    seconds: float

    @property
    def problems(self) -> list[str]:
        """A sentence for each row that failed."""
        return [f"{result.name}: {result.problem}" for result in self.results if result.problem]

    @property
    def trusted(self) -> bool:
        """Whether every row agreed with the reference."""
        return not self.problems

    def write(self, path: Path) -> None:
        """Write the report, JSON, to hand on."""
        from ..atomic_files import write_text

        write_text(path, json.dumps({**asdict(self), "trusted": self.trusted}, indent=1) + "\n")


def check_devices(
    devices: Sequence[str] | None = None,
    *,
    recipe: str = "paper",
    batch_size: int = 128,
    timed_updates: int = 10,
    progress: Callable[[str], None] = lambda what: None,
) -> DeviceCheck:
    """Run a net on these devices and on ``cpu(0)``, and compare (Sec. 3.2, 5).

    devices: names such as ``["gpu(0)", "gpu(1)"]`` (default: the best two here); of two, the first alone
    and both, one column on each, are tried. Outputs, the gradients of one update, three updates, and the probabilities
    over ten views are compared; images/s, memory and the copies between the columns are measured. On GPUs all of it
    without TF32 and with it. Where the memory does not suffice for ``batch_size``, half of it is tried, and so on, and
    the notes name what fits.
    progress(what): called before each measurement. Raises InvalidRequest for devices that cannot be used.
    """
    from .devices import open_devices

    began = time.monotonic()
    names = tuple(str(context) for context in open_devices(devices, 2))
    if len(names) > 2:
        raise InvalidRequest(f"The paper's net has two columns; check one or two devices at a time, not {len(names)}.")
    rows = _rows(names)
    if not rows:
        raise InvalidRequest(
            "cpu(0) is the reference itself; name what is to be compared with it, such as cpu(0),cpu(1)."
        )
    notes, size = _taken(names), batch_size
    while True:
        with tempfile.TemporaryDirectory(prefix="alexnet-check-") as scratch:
            order = Order(REFERENCE, scratch, None, recipe, size, timed_updates)
            progress(f"{REFERENCE[0]}, the reference, batch {size}")
            reference = _run(order, tf32=False)
            try:
                results = []
                for row, tf32 in rows:
                    results.append(_compared(replace(order, devices=row, reference=scratch), tf32, reference, progress))
                break
            except MemoryError as error:
                if size == 1:
                    raise OperationFailed(f"Not even one image fits: {error}") from error
                size //= 2
                notes.append(
                    f"A batch of {2 * size} does not fit ({error}); tried {size}: train with a `batch_size` of {size}."
                )
    return DeviceCheck(
        datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S%z"),
        _machine(),
        recipe,
        size,
        reference,
        results,
        notes,
        time.monotonic() - began,
    )


def _rows(names: tuple[str, ...]) -> list[tuple[tuple[str, ...], bool]]:
    """(devices, whether with TF32) of each measurement: the first device alone, then both."""
    rows = []
    for row in dict.fromkeys([names[:1], names]):
        if row[0].startswith("gpu"):
            rows += [(row, False), (row, True)]
        elif row != REFERENCE:
            rows.append((row, False))
    return rows


def _compared(order: Order, tf32: bool, reference: Measurement, progress: Callable[[str], None]) -> DeviceResult:
    progress(", ".join(order.devices) + (", TF32" if tf32 else ""))
    try:
        found = _run(order, tf32)
    except OperationFailed as error:
        return DeviceResult(order.devices, tf32, None, str(error))
    return DeviceResult(order.devices, tf32, found, fault(found, reference, tf32))


def fault(found: Measurement, reference: Measurement, tf32: bool) -> str | None:
    """Why a measurement is more than rounding away from the reference, in one sentence; None if it is not."""
    fewer = math.sqrt(max(1.0, LIMITS_BATCH / found.batch_size))
    for what, limit in (TF32_LIMITS if tf32 else FLOAT32_LIMITS).items():
        limit *= fewer
        difference = found.differences.get(what, math.nan)
        if not difference <= limit:
            return f"{what} differ by {difference:.1e} ({found.worst.get(what)}), more than {limit:g}"
    limit = LOSS_LIMIT * (10 if tf32 else 1)
    for update, (loss, exact) in enumerate(zip(found.losses, reference.losses)):
        if not abs(loss - exact) <= limit * abs(exact):
            return f"the loss before update {update + 1} is {loss:.6g}, and {exact:.6g} on {reference.devices[0]}"
    if not found.copies_equal:
        return f"a copy from {found.devices[0]} to {found.devices[1]} and back is not what was sent"
    return None


def _run(order: Order, tf32: bool) -> Measurement:
    """One measurement in a process of its own. Raises MemoryError where its batch does not fit."""
    environment = {**os.environ, "MXNET_CUDNN_AUTOTUNE_DEFAULT": "0"}
    environment.pop("DMLC_ROLE", None)  # not a process of a distributed job
    if not tf32:
        environment["NVIDIA_TF32_OVERRIDE"] = "0"
    else:
        environment.pop("NVIDIA_TF32_OVERRIDE", None)
    command = [sys.executable, "-m", f"{__package__}.measure_device", json.dumps(asdict(order))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    try:
        found = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise OperationFailed(f"the process ended with exit code {done.returncode}: {last}") from None
    if "error" not in found:
        return Measurement(**{**found, "devices": tuple(found["devices"])})
    if found.get("memory"):
        raise MemoryError(found["error"])
    raise (InvalidRequest if found.get("wrong_use") else OperationFailed)(found["error"])


def _taken(names: Sequence[str]) -> list[str]:
    """A sentence for each GPU part of whose memory other programs have taken."""
    notes = []
    for name in names:
        if name.startswith("gpu"):
            free, total = (size / 2**20 for size in backend.mx.context.gpu_memory_info(int(name[4:-1])))
            if total - free > TAKEN_MB:
                notes.append(
                    f"{total - free:.0f} of {total:.0f} MB of {name} are taken, by other programs too: "
                    "its speed is not its own, and less fits (nvidia-smi names them)."
                )
    return notes


def _machine() -> dict[str, str]:
    """What a report must name."""
    found = {"Python": platform.python_version(), "system": platform.platform(), "processor": _processor()}
    found.update(backend.versions())
    for index, gpu in enumerate(backend.gpus()):
        found[f"gpu({index})"] = f"{gpu.name}, compute capability {gpu.capability[0]}.{gpu.capability[1]}"
    driver = Path("/proc/driver/nvidia/version")
    if driver.exists():
        found["driver"] = driver.read_text().splitlines()[0].strip()
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{model}, {backend.usable_cores()} cores"
