"""Every output of every command: whole or absent, a link's own file, and never in the place of a device or a FIFO."""

import ast
import errno
import os
import stat
import subprocess

import click
import pytest
from helpers.commands import all_parameters, commands
from test_house import SOURCES

from gluon_alexnet import atomic_files
from gluon_alexnet.errors import InvalidRequest
from gluon_alexnet.tools.options import OutputFile, OutputFolder, OutputNames

# Who writes files otherwise than through atomic_files, and how nothing half-written is taken for whole there.
WRITERS = {
    "gluon_alexnet.training.run_log": "a log that grows; resuming cuts it to the checkpoint's length",
    "gluon_alexnet.training.checkpoint": "a folder that gets its name when it is whole",
    "gluon_alexnet.features.npy_file": "rows in FOLDER.partial, which gets its name when it is whole",
    "gluon_alexnet.features.activation_store": "the same",
    "gluon_alexnet.features.store": "the same",
    "gluon_alexnet.features.binary_codes": "drafts of atomic_files",
    "gluon_alexnet.evaluation.predictions": "drafts of atomic_files",
    "gluon_alexnet.drawing": "drafts of atomic_files",
    "gluon_alexnet.workflows.measure_device": "a temporary folder",
    "gluon_alexnet.exporters.files": "drafts in a folder beside OUT, which get their names together",
    "gluon_alexnet.exporters.onnx": "those drafts",
    "gluon_alexnet.exporters.pytorch": "those drafts",
    "gluon_alexnet.recordio.packing.shard_writer": "shards in packing.partial, with a receipt once they are whole",
    "gluon_alexnet.recordio.packing.staging": "gives them their names",
    "gluon_alexnet.recordio.packing.merge": "links to whole shards",
    "gluon_alexnet.tools.console_callbacks": "TensorBoard's event files, which grow",
}
METHODS = {"write_bytes", "write_text", "savefig", "tofile", "symlink_to", "rename"}
FUNCTIONS = {"os.replace", "os.rename", "os.link", "shutil.move", "shutil.copyfile", "mx.nd.save", "onnx.save"}
FUNCTIONS |= {"np.save", "SummaryWriter"}
OPENERS = {"open", "os.open", "zipfile.ZipFile"}


def writing(file):
    """Calls in a source that make or replace a file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        modes = [ast.unparse(one).strip("\"'") for one in (*node.args[1:], *(key.value for key in node.keywords))]
        opened = any("O_CREAT" in mode or (len(mode) < 4 and set(mode) & set("wax+")) for mode in modes)
        method = isinstance(node.func, ast.Attribute) and node.func.attr in METHODS
        if (name in OPENERS and opened) or name in FUNCTIONS or method:
            yield ast.unparse(node)


@pytest.mark.parametrize("module", SOURCES)
def test_files_are_written_in_one_way(module):
    found = list(writing(SOURCES[module]))
    assert module == "gluon_alexnet.atomic_files" or bool(found) == (module in WRITERS), found


def test_the_check_above_sees_what_it_looks_for(tmp_path):
    file = tmp_path / "bad.py"
    bad = ["open(a, 'w')", "Path(a).write_text('')", "figure.savefig(a)", "os.replace(a, b)", "open(a, mode='ab')"]
    file.write_text("\n".join([*bad, "open(a)", "open(a, 'rb')", "name.replace(a, b)"]))
    assert list(writing(file)) == bad


@pytest.mark.parametrize("command", commands())
def test_what_a_command_writes_says_so(command):
    """A path that a command takes is either read, or of a type that looks at what is there before any work."""
    for parameter in all_parameters(command):
        written = isinstance(parameter.type, OutputFile)
        named = parameter.name in ("output", "figure", "predictions", "submission", "out") or (
            command,
            parameter.name,
        ) in (
            ("train", "run"),
            ("pack", "data"),
            ("merge", "data"),
            ("similar", "features"),
            ("doctor", "report"),
        )
        assert written == named, f"{command}: {parameter.name}"
        help_text = getattr(parameter, "help", None) or ""
        if not written and isinstance(parameter.type, click.Path):
            assert not help_text.lower().startswith(("write", "draw", "file to", "folder to", "save")), help_text


def written_parameters():
    for command in commands():
        for parameter in all_parameters(command):
            if isinstance(parameter.type, OutputFile):
                yield pytest.param(parameter, id=f"{command} {parameter.name}")


@pytest.mark.parametrize("parameter", list(written_parameters()))
def test_nothing_but_files_is_replaced(parameter, tmp_path, monkeypatch):
    """Before any work; a folder for what is a folder, a file for what is a file."""
    monkeypatch.chdir(tmp_path)
    context = click.Context(click.Command("x"))
    os.mkfifo("fifo.png")
    (tmp_path / "device.png").symlink_to("/dev/full")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to("file.png")
    (tmp_path / "dangling.png").symlink_to("new.png")
    if isinstance(parameter.type, (OutputFolder, OutputNames)):
        refused, taken = ["file.png/x", "fifo.png/x"], ["folder.png/net", "new/net"]
    else:
        refused, taken = ["fifo.png", "device.png", "folder.png", "no/x.png", "file.png/x.png"], ["link.png", "new.png"]
        taken.append("dangling.png")
    for name in refused:
        with pytest.raises(click.BadParameter, match=name.split("/")[0]):
            parameter.type.convert(name, parameter, context)
    for name in taken:
        assert str(parameter.type.convert(name, parameter, context)) == name
    assert (tmp_path / "file.png").read_bytes() == b"old" and stat.S_ISFIFO(os.stat("fifo.png").st_mode)


def test_a_link_stays_and_its_file_is_replaced_with_the_old_mode(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "a.txt", tmp_path / "b.txt"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    atomic_files.write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and target.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path / "there") == ["a.txt"]


def test_what_fails_half_way_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyError), atomic_files.written(file) as draft:
        {draft.write_text("ne"): 1}["stopped"]
    with pytest.raises(OSError, match="No space left") as found, atomic_files.written(file) as draft:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(draft))
    assert found.value.filename == str(file)
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]
    draft.write_text("left by a killed program")
    atomic_files.write_text(file, "new")
    assert file.read_text() == "new" and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("name", ["/dev/null", "/dev/full", "/dev/stdin", "/dev/fd/0", "/proc/self/mem"])
def test_devices_are_refused_by_every_name(name):
    read, write = os.pipe()
    kept = os.dup(0)
    os.dup2(read, 0)
    try:
        with pytest.raises((InvalidRequest, OSError)):
            atomic_files.write_bytes(name, b"x")
    finally:
        os.dup2(kept, 0)
        for descriptor in (read, write, kept):
            os.close(descriptor)
    assert not stat.S_ISREG(os.stat("/dev/null").st_mode)


@pytest.fixture
def full_disk(tmp_path):
    """A disk of 64 kB."""
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_keeps_the_old_file(full_disk):
    file = full_disk / "curves.png"
    file.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left") as found:
        atomic_files.write_bytes(file, bytes(2**20))
    assert found.value.filename == str(file)
    assert file.read_bytes() == b"old" and os.listdir(full_disk) == ["curves.png"]


# Who reads files otherwise than through safe_files, and why nothing that waits or never ends is read there.
READERS = {
    "gluon_alexnet.atomic_files": "a folder to be flushed, or its own draft",
    "gluon_alexnet.features.activation_store": "its own keys.txt, opened to be written before",
    "gluon_alexnet.exporters.files": "folders to be locked",
    "gluon_alexnet.exporters.processor": "/proc",
    "gluon_alexnet.exporters.pytorch": "what its own child has written",
    "gluon_alexnet.features.binary_codes": "once its digest is the right one, which safe_files read",
    "gluon_alexnet.features.npy_file": "its own file, opened to be written, too",
    "gluon_alexnet.workflows.reproduce.result_table": "/proc",
    "gluon_alexnet.reporting.document": "this package's own style sheet",
    "gluon_alexnet.serving.page": "this package's own page",
    "gluon_alexnet.workflows.check_devices": "/proc",
    "gluon_alexnet.workflows.doctor": "/proc",
    "gluon_alexnet.workflows.layer_files": "/proc",
    "gluon_alexnet.workflows.measure_device": "a temporary folder of its own",
    "gluon_alexnet.recordio.packing.staging": "a folder to be locked",
    "gluon_alexnet.recordio.sources.class_folders": "looks whether it is a regular file before",
    "gluon_alexnet.tools.process": "/dev/null",
}


def reading(file):
    """Calls in a source that open a file to read it, by its name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        method = isinstance(node.func, ast.Attribute) and node.func.attr in ("read_bytes", "read_text")
        modes = [ast.unparse(one).strip("\"'") for one in node.args[1:]]
        writes = any("O_CREAT" in mode or (len(mode) < 4 and set(mode) & set("wax")) for mode in modes)
        if method or (name in ("open", "os.open", "np.fromfile", "np.load") and not writes):
            yield ast.unparse(node)


@pytest.mark.parametrize("module", SOURCES)
def test_files_are_read_in_one_way(module):
    found = list(reading(SOURCES[module]))
    assert module == "gluon_alexnet.safe_files" or not found or module in READERS, found


def test_the_disk_holds_the_content_before_the_file_has_its_name(tmp_path, monkeypatch):
    done, replace = [], os.replace

    def fsync(number):
        assert os.fstat(number).st_size == 3
        done.append("fsync")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("replace"), replace(*names)))
    atomic_files.write_text(tmp_path / "a", "new")
    assert done == ["fsync", "replace"]
    assert (tmp_path / "a").read_text() == "new"
