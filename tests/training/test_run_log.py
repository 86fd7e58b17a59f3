"""RUN/log.jsonl: what a killed run wrote after its last checkpoint happens again, and is there once."""

import json

import pytest

from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.training import run_log


def events(run):
    return [json.loads(line)["event"] for line in (run / "log.jsonl").read_text().splitlines()]


def test_what_was_written_after_the_checkpoint_is_cut_off(tmp_path):
    with run_log.Log(tmp_path, 0) as log:
        log.write("start", step=0)
        log.write("epoch", step=3)
        saved = log.bytes
        log.write("rate", step=4)
    assert saved == len(b"".join((tmp_path / "log.jsonl").read_bytes().splitlines(keepends=True)[:2]))
    with run_log.Log(tmp_path, saved) as log:  # killed after the rate, resumed from the checkpoint
        assert log.bytes == saved
        log.write("start", step=3)
        with pytest.raises(InvalidRequest, match="is being trained by another process"):
            run_log.Log(tmp_path, saved)
    assert events(tmp_path) == ["start", "epoch", "start"]
