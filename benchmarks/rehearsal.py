"""All of ImageNet, rehearsed: 1,281,167 + 50,000 small images in the official files, from the tars to the exported net.

    python benchmarks/rehearsal.py --devkit ILSVRC2012_devkit_t12 --folder SCRATCH [--share 100] [--steps pack,verify]

Makes the files, then runs the program as a user would: pack (nothing may be missing), verify, stats, ten updates of
training, SIGTERM, a resume that is killed with SIGKILL, a resume again, eval of the validation set over the centre
view, export. All records are read by a reader that knows nothing of the program, too: each image must be there once,
with its label. --share 100 takes a hundredth of the images, to try it.

SCRATCH/rehearsal.jsonl has a line for each step: time, processor, peak memory of all its processes, what is on the
disk. The same command goes on after the last step that was done; --steps does only those named, as far as they are not
done; --pause 280 interrupts a longer pack (SIGTERM, exit code 3), which the next call resumes; --remove removes all
images at the end and keeps the lines.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import ilsvrc_replica
from rehearsal_steps import LEAST_TO_TRAIN, STEPS, Failed, Paused, Rehearsal
from report import environment
from watch import Watch

GIGABYTES = {"files": 1.5, "shards": 10.0}  # of all images
GIGABYTES_OF_A_RUN = 3.0
JOURNAL = "rehearsal.jsonl"


def main() -> None:
    """Rehearse, and print one line of JSON a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devkit", type=Path, required=True, help="the official kit, unpacked")
    parser.add_argument("--folder", type=Path, required=True, help="scratch folder: a new one, or one to go on with")
    parser.add_argument("--share", type=int, default=1, help="take one image in so many")
    parser.add_argument("--steps", help=f"some of {','.join(STEPS)}  [default: all]")
    parser.add_argument("--pause", type=float, metavar="SECONDS", help="interrupt a pack that takes longer")
    parser.add_argument("--remove", action="store_true", help="remove the images and the run at the end")
    parser.add_argument("--output", type=Path, help="write the report there, too")
    given = parser.parse_args()
    wanted = list(STEPS) if given.steps is None else given.steps.split(",")
    if unknown := set(wanted) - set(STEPS):
        refuse(f"--steps: there is no {min(unknown)!r}; name some of {','.join(STEPS)}.")
    if given.share < 1:
        refuse("--share must be 1 or more.")
    for name in ("meta.mat", "ILSVRC2012_validation_ground_truth.txt"):
        if not (given.devkit / "data" / name).is_file():
            refuse(f"{given.devkit} is not the unpacked kit: it has no data/{name}.")
    journal = Journal(given.folder / JOURNAL, given.share)
    check_room(given.folder, given.share)
    journal.begin()
    try:
        rehearse(given, journal, [name for name in STEPS if name in wanted])
    except Paused as paused:
        print(f"Paused: {paused}", file=sys.stderr)
        sys.exit(3)
    except Failed as error:
        sys.exit(f"Rehearsal failed: {error}")
    finally:
        if given.output:
            given.output.write_text(journal.report())


def rehearse(given: argparse.Namespace, journal: Journal, wanted: list[str]) -> None:
    """Every step that is wanted and not done, each call's line added to the journal."""
    work = Rehearsal(given.folder, ilsvrc_replica.kit(given.devkit), given.devkit, given.share, given.pause)
    for name in wanted:
        if name in journal.done:
            continue
        if lacking := [one for one in STEPS[name] if one not in journal.done]:
            refuse(f"{name} needs the step {lacking[0]}, which is not done.")
        if name == "train" and work.wanted["train"] < LEAST_TO_TRAIN:
            refuse(f"{name}: {work.wanted['train']} images end before the run is stopped; take a smaller --share.")
        state, said = "failed", ""
        watch = Watch()
        try:
            with watch:
                said = work.do(name, again=name in journal.begun)
            state = "done"
        except (Failed, Paused) as stopped:
            said, state = str(stopped), "paused" if isinstance(stopped, Paused) else "failed"
            raise
        finally:
            journal.add(name, state, said, watch, size_of(given.folder))
    if given.remove and set(STEPS) <= journal.done:
        work.remove()


class Journal:
    """The lines of what was done so far, in a file."""

    def __init__(self, path: Path, share: int) -> None:
        self._path, self._share = path, share
        self._lines: list[dict] = []
        if path.is_file():
            self._lines = [json.loads(line) for line in path.read_text().splitlines()]
            if self._lines[0]["share"] != share:
                refuse(f"{path.parent} was begun with --share {self._lines[0]['share']}; give that, or a new folder.")
        elif path.parent.exists() and any(path.parent.iterdir()):
            refuse(f"{path.parent} is there already, and no rehearsal's; name a new folder.")

    @property
    def begun(self) -> set[str]:
        """Steps that were called."""
        return {line["step"] for line in self._lines[1:]}

    @property
    def done(self) -> set[str]:
        """Steps that were done."""
        return {line["step"] for line in self._lines[1:] if line["state"] == "done"}

    def begin(self) -> None:
        """Write the first line, where there is none yet."""
        if not self._lines:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._write({"environment": environment("mxnet"), "share": self._share})

    def add(self, name: str, state: str, said: str, watch: Watch, size: int) -> None:
        """A call of a step."""
        self._write(
            {
                "step": name,
                "state": state,
                "ended": time.strftime("%H:%M:%S"),
                "seconds": round(watch.seconds, 1),
                "processor_seconds": round(watch.processor, 1),
                "peak_mb": round(watch.peak / 1e6),
                "gigabytes": round(size / 1e9, 2),
                "said": said,
            }
        )

    def _write(self, line: dict) -> None:
        self._lines.append(line)
        print(json.dumps(line), flush=True)
        with open(self._path, "a") as file:
            file.write(json.dumps(line) + "\n")

    def report(self) -> str:
        """A line for each step, the calls of one that was interrupted put together."""
        lines = [json.dumps(self._lines[0])]
        for name in (name for name in STEPS if name in self.begun):
            calls = [line for line in self._lines[1:] if line["step"] == name]
            whole = {**calls[-1], "calls": len(calls), "peak_mb": max(call["peak_mb"] for call in calls)}
            for field in ("seconds", "processor_seconds"):
                whole[field] = round(sum(call[field] for call in calls), 1)
            lines.append(json.dumps(whole))
        return "\n".join(lines) + "\n"


def check_room(folder: Path, share: int) -> None:
    """Say it before the first file where the disk cannot hold what is still to be made."""
    need = sum(GIGABYTES.values()) / share + GIGABYTES_OF_A_RUN - size_of(folder) / 1e9
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free / 1e9
    if free < need:
        sys.exit(f"The rehearsal takes {need:.1f} GB more and {place} has {free:.1f} GB free; name another folder.")


def size_of(folder: Path) -> int:
    """Bytes on the disk below a folder."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def refuse(sentence: str) -> None:
    """Wrong use."""
    print(sentence, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
