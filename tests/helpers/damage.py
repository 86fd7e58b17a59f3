"""Kinds of damage to a file, and what is wrong with a command's answer to it."""

import contextlib
import io
import json
import os
import signal
import zipfile
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from gluon_alexnet.tools.main import main

SECONDS = 20  # for one command; a FIFO that is waited for takes for ever
DEEP = b"[" * 200_000 + b"]" * 200_000


def huge_header() -> bytes:
    """A .npy that says it has 38 GB."""
    stream = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (40000, 40000, 3)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + bytes(100)


def huge_archive(content: bytes) -> bytes:
    """A .npz with the names of this one, each of 38 GB, as it says."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(made, "w") as archive:
        for name in given.namelist():
            archive.writestr(name, huge_header())
    return made.getvalue()


def other_version(content: bytes) -> bytes:
    """The same with a version of the future."""
    try:
        document = json.loads(content)
        for key in ("version", "schema_version"):
            if key in document:
                document[key] = 999
        return json.dumps(document).encode()
    except ValueError:
        return content[:4] + b"\xff\xff" + content[6:]


def replaced(content: bytes):
    return lambda path: path.write_bytes(content)


def damages(path: Path, other: bytes) -> dict:
    """Name → function that puts the damage in the place of a file. other: a file of another kind of ours."""
    content = path.read_bytes()
    return {
        "empty": replaced(b""),
        "cut": replaced(content[: len(content) // 2]),
        "a folder": lambda path: path.mkdir(),
        "a FIFO": os.mkfifo,
        "an endless device": lambda path: path.symlink_to("/dev/zero"),
        "an empty device": lambda path: path.symlink_to("/dev/null"),
        "a link to nothing": lambda path: path.symlink_to("nothing"),
        "deep JSON": replaced(DEEP),
        "a huge header": replaced(huge_archive(content) if content[:2] == b"PK" else huge_header()),
        "another version": replaced(other_version(content)),
        "another kind": replaced(other),
        "noise": replaced(np.random.default_rng(len(content)).bytes(5000)),
    }


@contextlib.contextmanager
def in_time():
    def late(*_):
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def complaint(words, may_pass) -> str | None:
    """What is wrong with the answer to a command with a damaged file; None where it is as it should be."""
    with in_time():
        result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"traceback: {result.exception!r:.300}"
    if result.exit_code not in ((0, 1, 2) if may_pass else (1, 2)):
        return f"exit code {result.exit_code}: {result.output[-300:]}"
    if "Traceback" in result.output or (result.exit_code and result.stderr.count("Error: ") != 1):
        return f"not one sentence: {result.stderr[-400:]}"
    return None
