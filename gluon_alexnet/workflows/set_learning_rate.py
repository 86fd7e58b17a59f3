"""Changing the learning rate of a run while it is being trained, as the author did by hand (Sec. 5)."""

from __future__ import annotations

import getpass
import math
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import InvalidRequest, OperationFailed
from ..recipes.timetable import RateRequest
from ..training import run_folder, run_log
from .learning_options import check_layers

SECONDS = 120.0  # to wait until the run takes the rate
POLL = 0.2


def set_learning_rate(run: Path, rate: float, layers: Sequence[str] = (), biases: bool = False) -> bool:
    """Set the rate of a run that another process trains; waits until it is taken, two minutes at most.

    layers: of these alone, such as ("conv1", "conv2"); 0 stops them. biases: of biases in place of weights. Returns
    whether the run has taken it: if not, in a validation say, it will after its next step. Raises InvalidRequest for
    what is no rate or no run that is being trained, OperationFailed where the training ended in the meantime.
    """
    special = bool(layers) or biases
    if not (math.isfinite(rate) and (rate > 0 or (special and rate == 0))):
        raise InvalidRequest(f"`rate` is {rate:g}, which is no learning rate; give a number above 0.")
    check_layers(run_folder.read_description(run).recipe, layers)
    if not run_log.is_running(run):
        raise InvalidRequest(
            f"{run} is not being trained at the moment; go on with it by `resume` and another `learning_rate`."
        )
    asked = run_folder.ask_rate(run, RateRequest(rate, f"{_user()}@{socket.gethostname()}", tuple(layers), biases))
    began = time.monotonic()
    while asked.exists():
        if time.monotonic() - began > SECONDS:
            return False
        if not run_log.is_running(run):
            raise OperationFailed(f"{run} ended before it took the rate; when it is resumed, it will.")
        time.sleep(POLL)
    return True


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
