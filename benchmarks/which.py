"""What each difference between the AlexNets does to the output of one image with the same weights.

    python benchmarks/which.py --run RUN --data DATA --photographs FOLDER

RUN is a training of the full `paper` net, DATA the set it learned from, FOLDER photographs of its classes in folders.
Each difference is made by itself; only those that leave the weights' shapes alone can be compared so. Writes
benchmarks/results/which-DATE.json, which the page "Which AlexNet?" shows.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import crop_views, network_order
from gluon_alexnet.model.alexnet import AlexNet, set_parameters
from gluon_alexnet.recipes.schema import MapNormalization, Network, Pooling
from gluon_alexnet.recordio.dataset.images import decode, shorter_side_256
from gluon_alexnet.recordio.dataset.statistics import read_statistics
from gluon_alexnet.training import checkpoint

HERE = Path(__file__).parent


def lrn(network: Network, **numbers: Any) -> dict[str, Any]:
    """The field of a network whose normalisation has other numbers."""
    return {"normalization": dataclasses.replace(network.normalization, **numbers)}


def differences(network: Network) -> list[tuple[str, list[str], dict[str, Any]]]:
    """(words, recipes that have it, fields of the network)."""
    border = dataclasses.replace(network.conv1, padding=(2, 2))
    return [
        ("LRN: α divided by n", ["as-run", "bvlc", "caffenet"], lrn(network, alpha_divided_by_n=True)),
        ("LRN: k 1", ["bvlc", "caffenet", "korean-summary-code"], lrn(network, k=1.0)),
        ("LRN: k 1, α/n", ["bvlc", "caffenet"], lrn(network, k=1.0, alpha_divided_by_n=True)),
        ("LRN: k 1, α 0.001", ["korean-summary-code"], lrn(network, k=1.0, alpha=1e-3)),
        ("LRN over both columns", ["printed", "bvlc", "caffenet"], lrn(network, both_columns=True)),
        ("no LRN", ["one-weird-trick"], {"normalization": None}),
        ("pooling before LRN", ["caffenet"], {"pool_before_normalization": True}),
        ("layer 1: LRN, pooling, ReLU", ["as-run"], {"relu_before_normalization": False}),
        ("second normalisation in layer 2", ["as-run"], {"map_normalization": MapNormalization()}),
        ("conv1: 2 zeros on each side", ["one-weird-trick"], {"conv1": border}),
        ("pooled sizes round up", ["net-147"], {"pooling": Pooling(3, 2, round_up=True)}),
    ]


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax of (N, classes)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


class Nets:
    """Nets with the run's weights and one difference each."""

    def __init__(self, parameters: dict, network: Network, classes: int) -> None:
        self._parameters = {name: value for name, value in parameters.items() if name != "mean"}
        self._network, self._classes = network, classes

    def logits(self, inputs: np.ndarray, **changes: Any) -> np.ndarray:
        """Outputs before the softmax, (N, classes), of float32 (N, 3, size, size)."""
        net = AlexNet(dataclasses.replace(self._network, **changes), self._classes)
        net.initialize()
        set_parameters(net, self._parameters)
        net.hybridize()
        return np.concatenate(
            [net(mx.nd.array(part)).asnumpy() for part in np.array_split(inputs, max(1, len(inputs) // 20))]
        )


def inputs_of(images: np.ndarray, mean: np.ndarray, size: int, at: int | None = None) -> np.ndarray:
    """The centre view, less the mean; at: another size, whose pixels beyond the mean's patch lose its edge's mean."""
    views = network_order(crop_views(images, at or size, 1)[:, 0])
    return views - mean


def measure(run: Path, data: Path, files: list[Path]) -> dict[str, Any]:
    """Everything that the page shows; the first file is the image, all are the photographs."""
    description, _, parameters, _ = checkpoint.load_run(run)
    network, statistics = description.recipe.alexnet, read_statistics(data)
    images = np.stack([shorter_side_256(decode(file.read_bytes(), file.name)) for file in files])
    whole = statistics.mean_image.transpose(2, 0, 1).astype(np.float32)
    centre = whole[:, 16:240, 16:240]
    nets = Nets(parameters, network, len(description.classes))
    inputs = inputs_of(images, centre, 224)
    base = nets.logits(inputs)
    rows = []

    def add(words: str, recipes: list[str], logits: np.ndarray) -> None:
        first = int(base[0].argmax())
        rows.append(
            {
                "difference": words,
                "nets": recipes,
                "relative": float(np.linalg.norm(logits[0] - base[0]) / np.linalg.norm(base[0])),
                "before": float(probabilities(base)[0, first]),
                "after": float(probabilities(logits)[0, first]),
                "same_class": float((logits.argmax(axis=1) == base.argmax(axis=1)).mean()),
            }
        )

    for words, recipes, changes in differences(network):
        add(words, recipes, nets.logits(inputs, **changes))
    bare = dataclasses.replace(network.conv1, padding=(0, 0))
    larger = inputs_of(images, whole[:, 14:241, 14:241], 224, 227)
    add("227 pixels without a border", ["bvlc", "caffenet"], nets.logits(larger, conv1=bare, input_size=227))
    colour = whole.mean(axis=(1, 2)).reshape(3, 1, 1)
    add("mean of each colour, not of each pixel", ["one-weird-trick"], nets.logits(inputs + centre - colour))
    add("no mean subtracted", ["korean-summary-code"], nets.logits(inputs + centre))
    add("blue, green, red instead of red, green, blue", [], nets.logits(inputs[:, ::-1]))
    top1 = float((base.argmax(axis=1) == [_label(file, description.classes) for file in files]).mean())
    return {
        "date": str(datetime.date.today()),
        "weights": f"Weights of a training of `paper` on ten classes ({100 * top1:.0f} % of these photographs right)",
        "image": files[0].name,
        "photographs": len(files) - 1,
        "outputs": rows,
        "deviations": [float(value) for value in np.sqrt(statistics.eigenvalues)],
        "colours_of": f"{int(statistics.images):,} photographs of ten ImageNet classes",
    }


def _label(file: Path, classes: list[dict]) -> int:
    return [one["wnid"] for one in classes].index(file.parent.name)


def main() -> None:
    """Measure, and write the file of the day."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--each", type=int, default=20, help="photographs of each class")
    options = parser.parse_args()
    folders = sorted(path for path in options.photographs.iterdir() if path.is_dir())
    files = [file for folder in folders for file in sorted(folder.iterdir())[: options.each]]
    found = measure(options.run, options.data, files)
    out = HERE / "results" / f"which-{found['date']}.json"
    out.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for row in found["outputs"]:
        print(f"{row['difference']}: {100 * row['relative']:.2g} %, first class stays {100 * row['same_class']:.0f} %")


if __name__ == "__main__":
    main()
