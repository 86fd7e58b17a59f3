"""The devices that a user names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Union

from ..errors import InvalidRequest

Devices = Union[Sequence[str], Sequence[Any], None]


def open_devices(devices: Devices, columns: int) -> list[Any]:
    """MXNet contexts of names such as ``["gpu(0)", "gpu(1)"]``; contexts are taken as they are.

    None chooses: a GPU for each column where there are so many, else one GPU, else ``cpu(0)``. Raises InvalidRequest
    for what is no device, a device named twice, and one that is not there.
    """
    from .. import backend

    if devices is None:
        return backend.contexts(*backend.default_devices(columns))
    devices = [devices] if isinstance(devices, str) else list(devices)
    if not devices:
        raise InvalidRequest('No device is named; name one or more, e.g. ["gpu(0)", "gpu(1)"].')
    if not all(isinstance(one, str) for one in devices):
        return devices
    found = [re.fullmatch(r"(cpu|gpu)(?:\((\d{1,6})\))?", one) for one in devices]
    for name, match in zip(devices, found):
        if match is None:
            raise InvalidRequest(f"{name!r} is no device; name one as gpu(0) or cpu(0).")
    kinds = {match[1] for match in found if match}
    if len(kinds) > 1:
        raise InvalidRequest(f"{', '.join(devices)}: name GPUs or CPU contexts, not both.")
    return backend.contexts(kinds.pop(), [int(match[2] or 0) for match in found if match])


def open_device(device: Any, what: str = "This") -> Any:
    """One MXNet context of "gpu(0)", "cpu(0)", a context, or a sequence of one of these; None chooses.

    Raises InvalidRequest where several are given: ``what`` runs on one device.
    """
    given = device if device is None or isinstance(device, (list, tuple)) else [device]
    if given is not None and len(given) > 1:
        raise InvalidRequest(f"{what} runs on one device, and {len(given)} are given; name one.")
    return open_devices(given, 1)[0]
