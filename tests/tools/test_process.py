"""The process around a command: signals that end it, closed streams, numbers of threads in the environment."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from helpers.images import class_tree, contents
from helpers.runner import attempt, run

from gluon_alexnet.recordio.packing import shard_worker
from gluon_alexnet.tools.process import exit_code
from gluon_alexnet.training.callbacks import CheckpointWriter

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROGRAM = [sys.executable, "-c", "from gluon_alexnet.tools.main import main; main()"]
NARROW = ["--recipe", "narrow", "--batch-size", 6, "--cpus", 0]


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    return class_tree(folder / "train", images=8), class_tree(folder / "val", images=2, seed=500)


@pytest.fixture(scope="module")
def data(trees, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "data"
    run("pack", "--train", trees[0], "--val", trees[1], "--data", folder)
    return folder


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C raises KeyboardInterrupt, also where the tests were begun in the background and SIGINT is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def at_call(monkeypatch, place, name, number, act):
    """Call `act` before the call with this number of a function."""
    function, calls = getattr(place, name), []

    def counted(*given, **named):
        calls.append(name)
        if len(calls) == number:
            act()
        return function(*given, **named)

    monkeypatch.setattr(place, name, counted)


def invoke(*words):
    code, _, err = attempt(*words)
    return code, err


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stopped_pack_says_what_is_kept_and_how_to_go_on(trees, tmp_path, monkeypatch, number):
    words = ["pack", "--train", trees[0], "--val", trees[1], "--shards", 4]
    run(*words, "--data", tmp_path / "whole")
    with monkeypatch.context() as patched:
        at_call(patched, shard_worker, "write_receipt", 3, lambda: signal.raise_signal(number))
        code, said = invoke(*words, "--data", tmp_path / "out")
    assert code == 128 + number
    assert f"Stopped by {number.name}: the finished shards are kept: add --resume to go on with them." in said
    assert "12 images had been done before" in run(*words, "--data", tmp_path / "out", "--resume")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    with monkeypatch.context() as patched:
        at_call(patched, shard_worker, "write_receipt", 1, lambda: signal.raise_signal(number))
        code, said = invoke(*words, "--data", tmp_path / "none")
    assert code == 128 + number and f"Stopped by {number.name}: nothing was packed." in said
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_stopped_training_is_saved(data, tmp_path, monkeypatch, number):
    words = ["train", "--data", data, *NARROW, "--epochs", 2]
    with monkeypatch.context() as patched:
        at_call(patched, CheckpointWriter, "due", 3, lambda: signal.raise_signal(number))
        code, said = invoke(*words, "--run", tmp_path / "run")
    assert code == 128 + number
    assert "Saving a checkpoint and stopping" in said and "Stopped in epoch 1 after 18 of 24 images" in said
    assert (tmp_path / "run" / "latest").resolve().name == "step-00000003"


def test_a_run_that_is_killed_before_its_first_checkpoint_resumes_from_its_seed(data, tmp_path, monkeypatch):
    words = ["train", "--data", data, *NARROW, "--epochs", 1]
    run(*words, "--seed", 5, "--run", tmp_path / "whole")
    for name, more, killed in (("run", ["--seed", 5], "whole"), ("from", ["--init-from", tmp_path / "whole"], "other")):
        if killed == "other":
            run(*words, *more, "--run", tmp_path / "other")
        with monkeypatch.context() as patched:
            at_call(patched, CheckpointWriter, "save", 1, lambda: signal.raise_signal(signal.SIGTERM) or sys.exit(9))
            patched.setattr("gluon_alexnet.tools.console_callbacks.stop_signals", lambda: ())
            assert invoke(*words, *more, "--run", tmp_path / name)[0] == 128 + signal.SIGTERM
        assert (tmp_path / name / "recipe.json").exists() and not (tmp_path / name / "latest").exists()
        said = run("train", "--resume", "--run", tmp_path / name, "--cpus", 0)
        assert "was stopped before its first checkpoint: it begins again, with seed" in said
        for file in ("parameters.params", "momentum.params"):
            ours, theirs = (tmp_path / one / "latest" / file for one in (name, killed))
            assert ours.read_bytes() == theirs.read_bytes()


def test_a_run_that_goes_on_elsewhere_says_so(data, tmp_path):
    run("train", "--data", data, *NARROW, "--epochs", 1, "--run", tmp_path / "run")
    said = run("train", "--resume", "--run", tmp_path / "run", "--cpus", "0,1", "--epochs", 2)
    assert "was trained on cpu(0) and goes on on cpu(0), cpu(1): each device draws its own masks of dropout" in said
    said = run("train", "--resume", "--run", tmp_path / "run", "--cpus", "0,1", "--epochs", 3)
    assert "goes on on" not in said


def test_eval_says_which_checkpoint_it_takes(data, tmp_path):
    folder = tmp_path / "run"
    run("train", "--data", data, *NARROW, "--epochs", 2, "--run", folder)
    latest, best = ((folder / link).resolve().name for link in ("latest", "best"))
    (folder / "best").unlink()
    words = ["eval", "--model", folder, "--views", 1, "--cpus", 0]
    assert f"{folder}: {latest}, its latest checkpoint." in run(*words)
    assert "has no best checkpoint" in run(*words, "--checkpoint", "best", code=2)
    other = next(one.name for one in sorted((folder / "checkpoints").iterdir()) if one.name != latest)
    (folder / "best").symlink_to(f"checkpoints/{other}")
    assert f"{folder}: {latest}, its latest checkpoint; --checkpoint best takes {other}." in run(*words)
    assert f"{folder}: {other}, the checkpoint with the least validation error." in run(*words, "--checkpoint", "best")
    said = run("export", folder, tmp_path / "net", "--checkpoint", "best", "--cpus", 0)
    assert other in said and '"run": "run"' in (tmp_path / "net.json").read_text()
    assert "is not a run" in run("eval", "--model", tmp_path / "net", "--checkpoint", "best", code=2)
    assert best.startswith("step-")


def test_a_layer_that_the_net_has_not_is_refused(data, tmp_path):
    words = ["train", "--data", data, *NARROW, "--run", tmp_path / "run"]
    said = run(*words, "--layer-rates", "conv6=1", code=2)
    assert "This net has no layer conv6; it has conv1, conv2, conv3, conv4, conv5, fc6, fc7, fc8." in said
    (tmp_path / "table").write_text("3: conv6 0.1\n")
    assert "conv6" in run(*words, "--timetable", tmp_path / "table", code=2)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MXNET_CPU_WORKER_NTHREADS", "NUMBA_NUM_THREADS"])
@pytest.mark.parametrize("value", ["lots", "100000", "0", "-4", "4,2", "99999999999999999999", "1.5", "²"])
def test_what_is_no_number_of_threads_is_refused_before_anything_is_loaded(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    code, said = invoke("stats")
    assert code == 2 and said == (
        f"Error: The environment variable {name} is {value!r}, which is no number of threads from 1 to 4096; give one, "
        "or unset it.\n"
    )


@pytest.mark.parametrize("number", ["99999999999", "2147483648", "1000000", "-1", "1,x", ""])
@pytest.mark.parametrize("kind", ["--cpus", "--gpus"])
def test_device_numbers_that_there_are_not(data, tmp_path, kind, number):
    code, said = invoke("train", "--data", data, "--run", tmp_path / "run", f"{kind}={number}")
    assert code == 2 and said.count("Error: ") == 1 and not (tmp_path / "run").exists()


@pytest.mark.parametrize("closed", ["0", "2", "01", "012"])
def test_closed_streams_are_opened_and_no_file_takes_their_place(tmp_path, closed):
    code = (
        "import os, sys\n"
        "from gluon_alexnet.tools.process import open_streams\n"
        "open_streams()\n"
        f"with open({str(tmp_path / 'file')!r}, 'w') as file:\n"
        "    print('for nobody', file=sys.stderr)\n"
        "    os._exit(0 if file.fileno() > 2 and sys.stdin.read() == '' else 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: [os.close(int(one)) for one in closed],
    )
    assert done.returncode == 0 and (tmp_path / "file").read_text() == ""


def test_names_on_a_closed_stdin_are_none(tmp_path):
    done = subprocess.run(
        [*PROGRAM, "predict", tmp_path / "none", "-"], capture_output=True, text=True, preexec_fn=lambda: os.close(0)
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_the_exit_code_is_that_of_the_signal():
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(None) == 130


@pytest.mark.slow
def test_a_terminal_that_is_closed_does_not_keep_a_training_from_saving(data, tmp_path):
    words = ["train", "--data", data, *NARROW, "--epochs", 2000, "--lr", 0.0001, "--run", tmp_path / "run"]
    pid, terminal = pty.fork()
    if not pid:
        os.execv(PROGRAM[0], [*PROGRAM, *map(str, words)])
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "best").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert int((tmp_path / "run" / "latest").resolve().name.split("-")[1]) > 0
