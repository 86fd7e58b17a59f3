"""Layer files in cuda-convnet's format, of our own writing: nets like those of the 2012 repository, but narrow."""

from __future__ import annotations

from pathlib import Path

from gluon_alexnet.importers import cuda_convnet

HEAD = "[data]\ntype=data\ndataIdx=0\n\n[labels]\ntype=data\ndataIdx=1\n"


def section(name: str, **keys) -> str:
    """One section of a file; a list is written with commas."""
    lines = (
        f"{key}={','.join(map(str, value)) if isinstance(value, (list, tuple)) else value}"
        for key, value in keys.items()
    )
    return f"\n[{name}]\n" + "\n".join(lines) + "\n"


def tail(below: str, classes: int = 5, **keys) -> str:
    """The output layer, its softmax and its cost."""
    return (
        section("out", type="fc", inputs=below, outputs=classes, **{"initW": 0.1, **keys})
        + section("probs", type="softmax", inputs="out")
        + section("cost", type="cost.logreg", inputs="labels,probs")
    )


def weights(name: str, inputs: int = 1, rate: float = 0.01, bias_rate: float = 0.02, **keys) -> str:
    """The section of a layer with weights in a parameter file."""
    numbers = {"epsW": [rate] * inputs, "epsB": bias_rate, "momW": [0.9] * inputs, "momB": 0.9, "wc": [0.0005] * inputs}
    return section(name, **{**numbers, **keys})


PARAMS = weights("out") + section("cost", coeff=1)


def write(folder: Path, layers: str, params: str) -> tuple[Path, Path]:
    """The pair of files."""
    files = folder / "layers-own.cfg", folder / "layer-params-own.cfg"
    for file, text in zip(files, (layers, params)):
        file.write_text(text)
    return files


def read(folder: Path, layers: str, params: str, size: int) -> cuda_convnet.ConvNet:
    """The net of these texts."""
    return cuda_convnet.read(*write(folder, layers, params), size)
