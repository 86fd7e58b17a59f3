"""What a person sees while a net is trained: in a terminal of 80 columns, and in a log."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from gluon_alexnet.tools import progress

# A training of two epochs without a net: the callback is told what the loop tells it.
TRAINING = """
import sys, time
from pathlib import Path
from gluon_alexnet.tools import progress
from gluon_alexnet.tools.console_callbacks import ConsoleCallback
from gluon_alexnet.training.callbacks import TrainingStart
from gluon_alexnet.training.checkpoint import State
from gluon_alexnet.training.lr_schedule import LearningRates
progress.SECONDS_PER_LINE = 0.0
console, state = ConsoleCallback(), State(0)
start = TrainingStart(Path("runs/a"), 9469, 10, ["cpu(0)"], 1, {"epochs": 90, "batch_size": 128})
console.begin(start, state)
for number in (1, 2):
    with console.epoch(state) as advance:
        for step in range(1, 6):
            time.sleep(0.03)
            advance(1893 + (step == 5) * 4, 1.23456, 0.001)
            if step == 3:
                console.rate_changed(state, LearningRates(0.001, 0.001), "timetable")
                console.stalled(state)
    done = dict(epoch=number, training_loss=1.8519, validation_top1=60.1274, validation_top5=13.1974,
                validation_images=3925, learning_rate=0.001, images=9469, seconds=112.7)
    state.epochs.append(done)
    console.epoch_done(state)
console.end()
"""


def in_terminal(columns):
    """The lines that a terminal of so many columns was told to show, each as it stood when the cursor left it."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING], stdout=subprocess.DEVNULL, stderr=follower, env=environment
    )
    os.close(follower)
    found = b""
    while True:
        try:
            block = os.read(leader, 65536)
        except OSError:
            break
        if not block:
            break
        found += block
    os.close(leader)
    assert process.wait() == 0, found.decode()
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "\n", found.decode())
    return [line for line in re.split(r"[\r\n]+", plain) if line.strip()]


@pytest.mark.parametrize("columns", [80, 120])
def test_bars_and_sentences_do_not_mix_in_a_terminal(columns):
    lines = in_terminal(columns)
    assert max(map(len, lines)) <= columns
    epochs = [line for line in lines if line.startswith("epoch 2/90:") and "|" in line]
    assert epochs and all(re.search(r"\d+/9469, [\d:?]+ left, +[\d.?]+ images/s", line) for line in epochs)
    assert "loss 1.235" in epochs[-1]
    runs = [line for line in lines if line.startswith("run:")]
    assert any(re.search(r"[\d:]+ left, rate 0.001, last error 60.13 %", line) for line in runs)
    assert any(line.endswith("validating") for line in runs)
    text = " ".join(line for line in lines if "|" not in line)  # the sentences alone
    assert "step 0: the learning rate is 0.001 from now on (timetable)" in text
    assert "or --recipe as-run, whose initial weights are larger." in text
    summary = "epoch 2/90: loss 1.852, error 60.13 % (top-5 13.20 %), rate 0.001, 84.0 images/s"
    assert summary in text and len(summary) <= 80


def test_a_log_has_plain_lines():
    done = subprocess.run([sys.executable, "-c", TRAINING], capture_output=True, text=True, check=True)
    assert "\r" not in done.stderr and "\x1b" not in done.stderr
    line = next(line for line in done.stderr.splitlines() if line.startswith("epoch 2/90: 1893/9469 images"))
    told = r", [\d.]+ images/s, \d+:\d\d left, loss 1.2346, rate 0.001, error 60.13 %, run [\d:]+ left$"
    assert re.search(told, line), line


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0:00"), (61.6, "1:02"), (9065, "2:31:05"), (float("inf"), "?"), (float("nan"), "?")]
)
def test_durations(seconds, words):
    assert progress.duration(seconds) == words
