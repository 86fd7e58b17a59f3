"""Short binary codes of fc7's activations, made by an auto-encoder, and the nearest of them (Sec. 6.1).

    FOLDER/codes-128.json     what they are of, the auto-encoder's numbers, and how many true neighbours they keep
    FOLDER/codes-128.bin      uint8 (images, bits / 8): row i is record id i's code, its first bit the highest
    FOLDER/codes-128.params   the auto-encoder's weights, and what its input is scaled with

FOLDER is that of the vectors (:mod:`.store`). A code neuron is logistic, and 0 or 1 on the way forward;
on the way back the rounding counts for nothing (the straight-through gradient). Noise on its input drives it to the
ends of the logistic function, where rounding loses least.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import safe_json
from ..atomic_files import sha256, write_text, written
from ..backend import mx
from ..errors import InvalidRequest, OperationFailed
from ..safe_files import read_text
from . import config
from .store import Features, faiss_library

nn = mx.gluon.nn

FORMAT = "alexnet-codes"
FORMAT_VERSION = 1
TRUE_NEIGHBOURS = 6  # a row of Fig. 4 right
DEPTHS = (6, 50)  # of the list by Hamming distance in which the true neighbours are looked for
FEWEST = 64  # vectors that a tenth can be kept out of


class AutoEncoder(mx.gluon.HybridBlock):
    """Activations → code → activations; every layer fully connected. Input and output: (N, width), scaled."""

    def __init__(self, width: int, bits: int, numbers: config.AutoEncoder, **kwargs: Any) -> None:
        super().__init__(prefix="", **kwargs)
        self._noise = numbers.noise
        with self.name_scope():
            self.encoder = nn.HybridSequential(prefix="encoder_")
            self.decoder = nn.HybridSequential(prefix="decoder_")
            for part, inputs, outputs in ((self.encoder, width, bits), (self.decoder, bits, width)):
                with part.name_scope():
                    part.add(nn.Dense(numbers.hidden, activation="relu", in_units=inputs, prefix="hidden_"))
                    part.add(nn.Dense(outputs, in_units=numbers.hidden, prefix="output_"))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        inputs = self.encoder(x)  # bits
        likely = F.sigmoid(inputs + self._noise * F.random.normal_like(inputs))
        bits = likely + F.BlockGrad((likely > 0.5) - likely)
        return self.decoder(2 * bits - 1)


class Codes:
    """The codes of all vectors of a :class:`Features`, and the encoder that made them.

    kept: among the ``depth`` nearest by code, the share of the true ``TRUE_NEIGHBOURS`` nearest, for each of DEPTHS,
    over ``judged`` vectors that the auto-encoder did not learn from.
    Raises InvalidRequest where there are none, OperationFailed where a file is damaged, of other vectors, or newer.
    """

    def __init__(self, features: Features, bits: int):
        file, packed, weights = _files(features.folder, bits)
        header, numbers = _read_header(file, features, bits)
        self.kept = {depth: header["kept"][str(depth)] for depth in DEPTHS}
        self.judged = header["judged"]
        for part, role in ((packed, "codes"), (weights, "parameters")):
            if not part.exists() or sha256(part) != header["sha256"][role]:
                raise OperationFailed(_damaged(part))
        self.bits = bits
        self.packed = np.fromfile(packed, np.uint8).reshape(len(features), bits // 8)
        values = mx.nd.load(str(weights))
        self._encoder = _Encoder(features.contents.width, bits, numbers, values)

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """uint8 (N, bits / 8) of float32 activations (N, width)."""
        return self._encoder(vectors)

    def nearest(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The ``count`` nearest of the codes uint8 (Q, bits / 8) by Hamming distance: ids int64, bits int32 (Q, count).

        Equally distant ones come in the order of their ids; which of them come in at the end of the list is open.
        """
        return nearest(self.packed, queries, count)


def nearest(packed: np.ndarray, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """:meth:`Codes.nearest` among uint8 (N, bits / 8)."""
    index = faiss_library().IndexBinaryFlat(8 * packed.shape[1])
    index.add(packed)
    distances, ids = index.search(queries, count)
    order = np.lexsort((ids, distances), axis=1)
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(distances, order, axis=1)


def learn(
    features: Features,
    bits: int,
    numbers: config.AutoEncoder = config.AUTO_ENCODER,
    seed: int = 0,
    report: Callable[[int, float], None] = lambda update, loss: None,
) -> Codes:
    """Train the auto-encoder on the vectors themselves, code all of them, judge the codes, and write the three files.

    report: called with 1 and the loss after each update. Raises InvalidRequest for a number of bits that is no
    multiple of 8 or for too few vectors, OperationFailed where the loss is not a finite number.
    """
    check_bits(bits)
    if len(features) < FEWEST:
        raise InvalidRequest(
            f"An auto-encoder needs {FEWEST} images or more to learn from, and there are {len(features)}."
        )
    draws = np.random.default_rng(seed)
    sample = np.sort(draws.choice(len(features), min(numbers.sample, len(features) // 10), replace=False))
    values = _trained(features, bits, numbers, seed, draws, np.setdiff1d(np.arange(len(features)), sample), report)
    encode = _Encoder(features.contents.width, bits, numbers, values)
    packed = np.concatenate([encode(vectors) for _, vectors in features.blocks()])
    kept = _kept(features, packed, sample)
    file, codes_file, weights_file = _files(features.folder, bits)
    with written(codes_file) as draft:
        packed.tofile(draft)
    with written(weights_file) as draft:
        mx.nd.save(str(draft), values)
    header = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "bits": bits,
        "vectors": dataclasses.asdict(features.contents),
        "numbers": dataclasses.asdict(numbers),
        "seed": seed,
        "judged": len(sample),
        "kept": kept,
        "sha256": {"codes": sha256(codes_file), "parameters": sha256(weights_file)},
    }
    write_text(file, json.dumps(header, indent=1) + "\n")  # last: it names the digests of the others
    return Codes(features, bits)


def check_bits(bits: int) -> None:
    """Raises InvalidRequest for a number of bits that does not fill bytes."""
    if bits < 8 or bits % 8:
        raise InvalidRequest(f"A code of {bits} bits does not fill bytes; give a multiple of 8, such as 128.")


def exist(features: Features, bits: int) -> bool:
    """Whether codes of so many bits have been made of these vectors."""
    return _files(features.folder, bits)[0].exists()


def _trained(
    features: Features,
    bits: int,
    numbers: config.AutoEncoder,
    seed: int,
    draws: np.random.Generator,
    ids: np.ndarray,
    report: Callable[[int, float], None],
) -> dict:
    """The auto-encoder's parameters by name, and ``mean`` and ``deviation`` of its input."""
    mean, deviation = _moments(features)
    mx.random.seed(seed)
    net = AutoEncoder(features.contents.width, bits, numbers)
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True)
    parameters = list(net.collect_params().items())
    trainer = mx.gluon.Trainer([p for _, p in parameters], "adam", {"learning_rate": numbers.rate}, kvstore=None)
    order = np.empty(0, np.int64)
    for done in range(numbers.updates):
        if not len(order):
            order = draws.permutation(ids)
        batch, order = order[: numbers.batch_size], order[numbers.batch_size :]
        x = mx.nd.array((features.rows(batch) - mean) / deviation)
        with mx.autograd.record():
            loss = ((net(x) - x) ** 2).mean()
        loss.backward()
        value = float(loss.asscalar())
        if not math.isfinite(value):
            raise OperationFailed(
                f"The auto-encoder's loss is {value} after {done} updates: these vectors cannot be coded."
            )
        trainer.set_learning_rate(numbers.rate * (1 - done / numbers.updates))
        trainer.step(1)  # the loss is a mean already
        report(1, value)
    values = {name: parameter.data() for name, parameter in parameters}
    return {**values, "mean": mx.nd.array(mean), "deviation": mx.nd.array([deviation])}


def _moments(features: Features) -> tuple[np.ndarray, float]:
    """(mean of each activity, float32 (width,); standard deviation over all of them about those means)."""
    total = np.zeros(features.contents.width)
    squares = np.zeros(features.contents.width)
    for _, vectors in features.blocks():
        total += vectors.sum(axis=0, dtype=np.float64)
        squares += np.einsum("nw,nw->w", vectors, vectors, dtype=np.float64)
    mean = total / len(features)
    variance = float(np.maximum(squares / len(features) - mean**2, 0).mean())
    return mean.astype(np.float32), max(math.sqrt(variance), float(np.finfo(np.float32).tiny))


class _Encoder:
    def __init__(self, width: int, bits: int, numbers: config.AutoEncoder, values: dict) -> None:
        net = AutoEncoder(width, bits, numbers)
        net.initialize()
        for name, parameter in net.collect_params().items():
            parameter.set_data(values[name])
        self._net = net.encoder
        self._net.hybridize()
        self._mean, self._deviation = values["mean"].asnumpy(), values["deviation"].asscalar()

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        inputs = self._net(mx.nd.array((vectors - self._mean) / self._deviation)).asnumpy()
        return np.packbits(inputs > 0, axis=1)


def _kept(features: Features, packed: np.ndarray, sample: np.ndarray) -> dict[int, float]:
    """Depth → share of the true nearest of the sample among that many nearest by code; nobody is his own neighbour."""
    true = _others(features.nearest(features.rows(sample), TRUE_NEIGHBOURS + 1)[0], sample, TRUE_NEIGHBOURS)
    deepest = min(max(DEPTHS), len(features) - 1)
    by_code = _others(nearest(packed, packed[sample], deepest + 1)[0], sample, deepest)
    return {depth: float(np.mean(shares(true, by_code[:, :depth]))) for depth in DEPTHS}


def shares(true: np.ndarray, found: np.ndarray) -> np.ndarray:
    """For each row of ids, which share of the true ones (Q, T) is among those found (Q, F)."""
    return (true[:, :, None] == found[:, None, :]).any(axis=2).mean(axis=1)


def _others(ids: np.ndarray, own: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` ids of each row without the row's own."""
    return np.stack([row[row != number][:count] for row, number in zip(ids, own)])


def _files(folder: Path, bits: int) -> tuple[Path, Path, Path]:
    description, codes, weights = (folder / f"codes-{bits}{end}" for end in (".json", ".bin", ".params"))
    return description, codes, weights


def _read_header(file: Path, features: Features, bits: int) -> tuple[dict, config.AutoEncoder]:
    try:
        header = safe_json.parse(read_text(file))
        ours = header["format"] == FORMAT and header["bits"] == bits
        ours &= header["vectors"] == dataclasses.asdict(features.contents)
        ours &= set(header["kept"]) == {str(depth) for depth in DEPTHS} and set(header["sha256"]) == _ROLES
        ours &= all(0 <= share <= 1 for share in header["kept"].values()) and header["judged"] > 0
        numbers = config.AutoEncoder(**header["numbers"])
        newer = header["version"] > FORMAT_VERSION
    except FileNotFoundError as error:
        raise InvalidRequest(f"{features.folder} has no codes of {bits} bits.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise OperationFailed(_damaged(file)) from error
    if newer:
        raise OperationFailed(
            f"{file} has version {header['version']}; this program reads {FORMAT_VERSION}: update it."
        )
    if not ours:
        raise OperationFailed(_damaged(file))
    return header, numbers


_ROLES = {"codes", "parameters"}


def _damaged(file: Path) -> str:
    return f"{file} is damaged or of other vectors; remove it, and the codes are made again."
