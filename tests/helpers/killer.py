"""Runs `alexnet-tools` again and again in children of its own, kills each with SIGKILL and resumes it.

python killer.py OUT OLD REFERENCE steps STRIDE -- ARGUMENTS   dies before every STRIDE-th change of a file in OUT
python killer.py OUT OLD REFERENCE times KILLS SEED -- ARGUMENTS   dies at KILLS random moments

OLD is the data set that OUT holds at the beginning of each try, or a folder that does not exist. Prints the number of
kills; exit code 1 and a sentence when what a resumed command ended with is not byte for byte REFERENCE.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

# Imported before the children begin.
from gluon_alexnet.tools.commands import merge, pack  # noqa: F401
from gluon_alexnet.tools.main import main
from gluon_alexnet.workflows import merge as _merge  # noqa: F401
from gluon_alexnet.workflows import pack as _pack  # noqa: F401

# What changes files, as Python tells its audit hooks.
CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink")


def child(arguments: list[str], hook=None) -> int:
    """Begin the command in a child; its process id."""
    pid = os.fork()
    if pid:
        return pid
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    os.fsync = lambda number: None  # what a killed process has written is not lost: only a power cut asks for it
    if hook:
        sys.addaudithook(hook)
    try:
        main(arguments)
    except SystemExit as done:
        os._exit(done.code if isinstance(done.code, int) else 0)
    os._exit(99)


def ended(pid: int) -> int:
    """Exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def dies_at(step: int, out: str):
    """An audit hook that kills its process before the step-th change below `out`."""
    seen = 0

    def hook(event, values):
        nonlocal seen
        if event in CHANGES and isinstance(values[0], (str, os.PathLike)) and os.fspath(values[0]).startswith(out):
            if event == "open" and not values[2] & (os.O_WRONLY | os.O_RDWR):
                return
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook


def contents(folder: Path):
    return {path.name: path.read_bytes() if path.is_file() else "a folder" for path in folder.iterdir()}


def begin_again(out: Path, old: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    if old.exists():
        shutil.copytree(old, out)


def prove(out: Path, reference: Path, arguments: list[str], where: str) -> None:
    """Resume to the end, and compare."""
    code = ended(child(arguments))
    if code != 0:
        sys.exit(f"{where}: resuming ended with {code}")
    if contents(out) != contents(reference):
        sys.exit(f"{where}: another result: {sorted(os.listdir(out))}")


def steps(out, old, reference, arguments, resume, stride):
    kills = 0
    for step in range(1, 10**6, stride):
        begin_again(out, old)
        code = ended(child(arguments, dies_at(step, str(out))))
        if code == 0:
            break
        if code != -signal.SIGKILL:
            sys.exit(f"step {step}: ended with {code}")
        kills += 1
        prove(out, reference, resume, f"killed at step {step}")
    return kills


def times(out, old, reference, arguments, resume, kills, seed):
    random.seed(seed)
    begin_again(out, old)
    began = time.monotonic()
    ended(child(arguments))
    whole = time.monotonic() - began
    done = 0
    while done < kills:
        begin_again(out, old)
        command = arguments
        while True:  # killed again while it is resumed
            pid = child(command)
            time.sleep(random.uniform(0, whole))
            os.kill(pid, signal.SIGKILL)
            if ended(pid) == 0:
                break
            done += 1
            command = resume
            if random.random() < 0.3:
                break
        prove(out, reference, resume, f"kill {done}, seed {seed}")
    return done


if __name__ == "__main__":
    split = sys.argv.index("--")
    folders, how, numbers = [Path(p) for p in sys.argv[1:4]], sys.argv[4], [int(n) for n in sys.argv[5:split]]
    command = sys.argv[split + 1 :]
    resume = [*command, "--resume"] if command[0] == "pack" else command
    print({"steps": steps, "times": times}[how](*folders, command, resume, *numbers))
