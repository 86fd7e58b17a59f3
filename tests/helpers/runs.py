"""A run without a training: its description, and checkpoints of two arrays that are no net's."""

from gluon_alexnet.backend import mx
from gluon_alexnet.recipes import presets
from gluon_alexnet.training import checkpoint, run_folder

CLASSES = [{"wnid": "n01", "name": "tench"}, {"wnid": "n02", "name": "Zürich"}]


def described_run(folder):
    """A run's folder with its description and nothing else."""
    folder.mkdir()
    run_folder.write_description(
        folder, run_folder.RunDescription(presets.PAPER, CLASSES, "data", "d" * 64, {"mxnet": "1"})
    )
    return folder


def save(run, step, best=False, position=0):
    """A checkpoint of two finished epochs; its folder."""
    state = checkpoint.State(seed=3, step=step, position=position, epochs=[{"validation_top1": 50.0}] * 2)
    arrays = {"a": mx.nd.arange(6).reshape((2, 3)) + step, "b": mx.nd.array([1e-30, -0.0])}
    return checkpoint.save(run, state, arrays, {"a": arrays["a"] * 2}, best)
