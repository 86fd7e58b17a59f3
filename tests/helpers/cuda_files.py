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


class Narrow:
    """Nets built like #145 and its relatives, with so many maps of each convolution a column."""

    def __init__(self, maps=(6, 8, 8, 8, 6), hidden=(10, 10), classes=5, columns="ab"):
        self.maps, self.hidden, self.classes, self.columns = maps, hidden, classes, columns

    def files(self, pool=3, normalized=True, padding=(2, 1), apart=False, dropout=True) -> tuple[str, str]:
        """Texts of both files. padding: of conv2 and conv5; apart: the columns meet at the outputs only (#150).

        dropout: false multiplies by ``keep`` in training, too.
        """
        layers, params = [HEAD], []

        def add(text, *numbers):
            layers.append(text)
            params.extend(numbers)

        def convolution(name, below, maps, channels, size, pad, std, bias, each, **keys):
            count = len(below)
            lists = {
                "filters": maps,
                "channels": channels,
                "filterSize": size,
                "padding": pad,
                "stride": 1,
                "initW": std,
            }
            lists.update(keys.pop("lists", {}))
            text = section(
                name, type="conv", inputs=below, initB=bias, sharedBiases=1, gpu=each,
                **{key: [value] * count for key, value in lists.items()}, **keys,
            )  # fmt: skip
            add(text, weights(name, count))

        def pooled(name, below, channels, **keys):
            add(section(name, type="pool", pool="max", inputs=below, sizeX=pool, stride=2, channels=channels, **keys))

        def norm(name, below, channels, kind="cmrnorm", **numbers):
            if not normalized:
                return below
            add(
                section(name, type=kind, inputs=below, channels=channels, size=5),
                section(name, pow=0.75, **numbers),
            )
            return name

        m1, m2, m3, m4, m5 = self.maps
        cross = {"scale": 0.0001, "minDiv": 2}
        both = [f"{{}}{c}" for c in self.columns]
        for g, c in enumerate(self.columns):
            convolution(f"conv1{c}", ["data"], m1, 3, 11, 0, 0.01, 0, g, lists={"stride": 4})
            below = norm(f"rnorm1{c}", f"conv1{c}", m1, **cross)
            pooled(f"pool1{c}", below, m1, neuron="relu")
            convolution(f"conv2{c}", [f"pool1{c}"], m2, m1, 5, padding[0], 0.05, 1, g, neuron="relu")
            below = norm(f"rnorm2{c}", f"conv2{c}", m2, **cross)
            below = norm(f"cnorm2{c}", below, m2, "rnorm", scale=0.001)
            pooled(f"pool2{c}", below, m2)
        for g, c in enumerate(self.columns):
            below = [f"pool2{c}"] if apart else [name.format("pool2") for name in both]
            convolution(f"conv3{c}", below, m3, m2, 3, 1, 0.1, 0, g, neuron="relu")
            convolution(f"conv4{c}", [f"conv3{c}"], m4, m3, 3, 1, 0.1, 1, g, neuron="relu")
            convolution(f"conv5{c}", [f"conv4{c}"], m5, m4, 3, padding[1], 0.1, 1, g)
            pooled(f"pool3{c}", f"conv5{c}", m5, neuron="relu")
        tops = both
        for place, (outputs, top) in enumerate(zip(self.hidden, ("pool3", "hs1"))):
            for g, c in enumerate(self.columns):
                below = [f"{top}{c}"] if apart else [name.format(top) for name in tops]
                if place == 1 and g:  # the 2012 files name a column's own input first here
                    below = below[::-1]
                name = f"fc{place + 6}{c}"
                std = [0.1] * len(below)
                add(
                    section(name, type="fc", inputs=below, outputs=outputs, initW=std, initB=1, neuron="relu", gpu=g),
                    weights(name, len(below)),
                )
            for c in self.columns:
                add(
                    section(f"hs{place + 1}{c}", type="hs", keep=0.5, inputs=f"fc{place + 6}{c}"),
                    section(f"hs{place + 1}{c}", enable=int(dropout)),
                )
        last = [name.format("hs2") for name in both]
        add(
            tail(last, self.classes, initW=[0.1] * len(last), gpu=0),
            weights("out", len(last)),
            section("cost", coeff=1),
        )
        return "".join(layers), "".join(params)
