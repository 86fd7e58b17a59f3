"""The steps of rehearsal.py: what each runs, and what it must have done."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import ilsvrc_replica

UPDATES = 10
BATCH = 128
LEAST_TO_TRAIN = 100 * BATCH  # images of an epoch in which a run is stopped three times, while lines of progress lag
PATIENCE = 3600.0  # seconds until a step of training must have shown its updates
# Each step, and the steps whose results it needs.
STEPS: dict[str, tuple[str, ...]] = {
    "make": (),
    "pack": ("make",),
    "read": ("pack",),
    "verify": ("pack",),
    "stats": ("pack",),
    "train": ("pack",),
    "killed": ("train",),
    "resumed": ("killed",),
    "eval": ("train",),
    "export": ("train",),
}

Stop = Callable[[str], "signal.Signals | None"]  # asked now and then with what was printed; which signal to send


class Failed(Exception):
    """A step did not do what it should."""


class Paused(Exception):
    """A step was interrupted as asked, and can go on."""


class Rehearsal:
    """The work, in a folder."""

    def __init__(
        self, folder: Path, official: ilsvrc_replica.Kit, devkit: Path, share: int, pause: float | None
    ) -> None:
        self._official, self._devkit, self._share, self._pause = official, devkit, share, pause
        self._source, self._data, self._run, self._out = (
            folder / name for name in ("downloads", "data", "run", "exported/net")
        )
        self._again = False

    def do(self, name: str, again: bool) -> str:
        """Do a step, once more if it was begun before; returns what to say of it. Raises Failed or Paused."""
        self._again = again
        return getattr(self, f"_{name}")()

    def remove(self) -> None:
        """Remove all but the journal."""
        for path in (self._source, self._data, self._run, self._out.parent):
            shutil.rmtree(path)

    def _make(self) -> str:
        if self._again:
            shutil.rmtree(self._source, ignore_errors=True)
        with ProcessPoolExecutor(1) as pool:  # a child, so that it is watched
            made = pool.submit(ilsvrc_replica.make, self._devkit, self._source, self._share).result()
        if made != self.wanted:
            raise Failed(f"made {made} where the kit says {self.wanted}")
        return json.dumps(made)

    @property
    def wanted(self) -> dict[str, int]:
        """Images of each split that must be there."""
        train = sum(-(-count // self._share) for count in self._official.train_images.values())
        return {"train": train, "val": len(self._official.val_ids) // self._share}

    def _pack(self) -> str:
        words = [] if self._share == 1 else ["--allow-missing"]
        words += ["--resume"] if self._again else []
        began = time.monotonic()

        def stop(_: str) -> signal.Signals | None:
            return signal.SIGTERM if self._pause and time.monotonic() - began > self._pause else None

        said, ended = program(
            "pack", "--ilsvrc", 2012, "--source", self._source, "--data", self._data, *words, stop=stop
        )
        if not ended:
            raise Paused(last(said))
        if f"packed {self.wanted['train']} train, {self.wanted['val']} val; rejected 0" not in said:
            raise Failed(f"pack: {last(said)}")
        return last(said)

    def _read(self) -> str:
        with ProcessPoolExecutor(1) as pool:
            return pool.submit(audit, self._data, self._official, self.wanted).result()

    def _verify(self) -> str:
        said = last(program("verify", "--data", self._data)[0])
        if f"{sum(self.wanted.values())} images are what was packed" not in said:
            raise Failed(f"verify: {said}")
        return said

    def _stats(self) -> str:
        return last(program("stats", "--data", self._data)[0])

    def _train(self) -> str:
        return self._trained(signal.SIGTERM, UPDATES, resume=self._again)

    def _killed(self) -> str:
        return self._trained(signal.SIGKILL, UPDATES, resume=True)

    def _resumed(self) -> str:
        return self._trained(signal.SIGTERM, 1, resume=True)

    def _trained(self, how: signal.Signals, updates: int, resume: bool) -> str:
        saved = self._position() if resume else 0
        words = ["--resume"] if resume else ["--data", self._data, "--cpus", "0,1"]
        words += ["--run", self._run, "--checkpoint-minutes", 0.2]
        said, ended = program("train", *words, stop=after_updates(updates, how))
        if ended:
            raise Failed(f"train ended by itself: {last(said)}")
        begun, seen = _progress(said)[0], _progress(said)[-1]
        position = self._position()
        if begun < saved:
            raise Failed(f"train went on after {begun} images where {saved} were saved")
        if (
            how == signal.SIGTERM
            and f"Stopped in epoch 1 after {position} of {self.wanted['train']} images" not in said
        ):
            raise Failed(f"train saved {position} images and says: {last(said)}")
        if how == signal.SIGKILL and not saved < position:
            raise Failed(f"train saved {position} images, as many as before, in {seen - begun} images")
        return f"{how.name} after {seen} images; it had gone on after {saved} and saved {position}"

    def _position(self) -> int:
        """Images of the epoch that the last checkpoint has learned from, where the run was stopped within the first."""
        state = json.loads((self._run / "latest" / "state.json").read_text())["state"]
        if state["epochs"]:
            raise Failed("an epoch ended before the run was stopped; take a smaller --share")
        return state["position"]

    def _eval(self) -> str:
        said, _ = program("eval", "--model", self._run, "--data", self._data, "--views", 1, "--json", "--quiet")
        found = json.loads(said[said.index("{") :])
        if (found["images"], found["skipped"]) != (self.wanted["val"], 0):
            raise Failed(f"eval counted {found['images']} images of {self.wanted['val']}")
        rate = found["images"] / found["seconds"]
        return f"{found['images']} images in {found['seconds']:.1f} s, {rate:.1f} images/s, the centre view"

    def _export(self) -> str:
        if self._again:
            shutil.rmtree(self._out.parent, ignore_errors=True)
        self._out.parent.mkdir()
        said = last(program("export", self._run, self._out)[0])
        if not all(self._out.with_name(f"net{end}").is_file() for end in ("-symbol.json", "-0000.params")):
            raise Failed(f"export: {said}")
        return said


def program(*words: object, stop: Stop = lambda said: None) -> tuple[str, bool]:
    """Run the program: (what it printed, whether it ended by itself). Raises Failed where it ended with an error."""
    sent = None
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gluon_alexnet.tools.main", *map(str, words)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                time.sleep(0.2)
                if sent is None and (sent := stop(_content(log))) is not None:
                    process.send_signal(sent)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        said = _content(log)
    if process.returncode and sent is None:
        raise Failed(f"{words[0]} ended with exit code {process.returncode}: {last(said)}")
    return said, sent is None or process.returncode == 0


def _content(log: object) -> str:
    """All that is in a file, whose place for writing stays where it is."""
    size = os.fstat(log.fileno()).st_size  # type: ignore[attr-defined]
    return os.pread(log.fileno(), size, 0).decode(errors="replace")  # type: ignore[attr-defined]


def after_updates(count: int, how: signal.Signals) -> Stop:
    """Send a signal once the progress shows so many updates of this process."""
    began = time.monotonic()

    def stop(said: str) -> signal.Signals | None:
        done = _progress(said)
        if done and done[-1] - done[0] >= count * BATCH:
            return how
        if time.monotonic() - began > PATIENCE:
            raise Failed(f"after {PATIENCE:.0f} s there are not {count} updates: {said[-300:]}")
        return None

    return stop


def _progress(said: str) -> list[int]:
    """Images of the first epoch, as the lines of progress tell them."""
    return [int(number) for number in re.findall(r"epoch 1[^:\n]*: (\d+)/", said)]


def last(said: str) -> str:
    """The last line."""
    return said.strip().splitlines()[-1] if said.strip() else ""


def audit(data: Path, official: ilsvrc_replica.Kit, made: dict[str, int]) -> str:
    """Read every record independently of the program. Raises Failed unless each image is there once, with its label."""
    order = {wnid: label for label, wnid in enumerate(sorted(official.wnids.values()))}
    labels = {class_id: order[wnid] for class_id, wnid in official.wnids.items()}
    words = []
    for split, name in enumerate(("train", "val")):
        seen, unreadable, wrong = set(), 0, 0
        shards = sorted(data.glob(f"{name}-*.rec"))
        with ProcessPoolExecutor() as pool:
            for found, bad, mistaken in pool.map(
                ilsvrc_replica.audit, shards, [labels] * len(shards), [split] * len(shards)
            ):
                if seen & set(found) or len(set(found)) < len(found):
                    raise Failed(f"{name}: an image is there twice")
                seen.update(found)
                unreadable, wrong = unreadable + bad, wrong + mistaken
        if (len(seen), unreadable, wrong) != (made[name], 0, 0):
            raise Failed(f"{name}: {len(seen)} of {made[name]} images, {unreadable} unreadable, {wrong} wrong labels")
        words.append(f"{name}: {len(seen)} images, each once, no wrong label, {len(shards)} shards")
    return "; ".join(words)
