"""Activities of layer 7: what the last hidden layer makes of a picture, of a run or of an exported net (Sec. 6.1)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..atomic_files import sha256
from ..backend import mx
from ..data.augmentation import crop_views
from ..errors import FailedWork
from ..export import symbol as deployment
from ..model.classifier import Classifier, classify_with
from ..recipes import schema


@dataclass(frozen=True)
class Fc7:
    """A net up to what layer 8 reads: fc7 after its neuron, with dropout's test form (Sec. 4.2)."""

    activities: Callable[[np.ndarray], np.ndarray]  # uint8 (M, size, size, 3) → float32 (M, width)
    size: int  # height and width of a view, pixels
    width: int  # 4096 in the paper's net
    digest: str  # SHA-256 (hex) of the net, its layers' numbers and all its parameters

    def of_pictures(self, pictures: np.ndarray) -> np.ndarray:
        """float32 (N, width) of the centre views of uint8 (N, 256, 256, 3)."""
        return self.activities(crop_views(pictures, self.size, 1)[:, 0])


def of_classifier(classifier: Classifier, network: schema.Network, context) -> Fc7:
    """Fc7 of a run's net. Raises FailedWork where a parameter is not a finite number."""
    values = {name: parameter.data() for name, parameter in classifier.collect_params().items()}
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(network), sort_keys=True).encode())
    for name in sorted(values):
        digest.update(f"{name} {values[name].shape}".encode())
        digest.update(values[name].asnumpy())
    symbol = classifier(mx.sym.var("data", dtype=np.float32))
    return _fc7(symbol, values, network.input_size, digest.hexdigest(), context)


def of_export(path: Path, context) -> Fc7:
    """Fc7 of an exported OUT, from the inside of its graph. Raises FailedWork where a file is missing or damaged."""
    size = int(deployment.read_export(path, context)["input"]["shape"][-1])
    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(path), 0)
    files = (deployment.file_of(path, role) for role in ("symbol", "parameters"))
    digest = hashlib.sha256("".join(map(sha256, files)).encode()).hexdigest()
    return _fc7(symbol, {**arguments, **auxiliary}, size, digest, context)


def _fc7(symbol, values, size, digest, context):
    graph = symbol.get_internals()["fc8_fwd_output"].get_children()[0]
    block = mx.gluon.SymbolBlock(graph, mx.sym.var("data", dtype=np.float32))
    for name, parameter in block.collect_params().items():
        # ReLU turns NaN into 0: the activities would not tell.
        if not np.isfinite(values[name].asnumpy()).all():
            raise FailedWork(f"{name} holds what is not a number: the net is of no use; take another checkpoint.")
        parameter.grad_req = "null"
        parameter.shape = values[name].shape
        parameter.initialize(ctx=context)
        parameter.set_data(values[name])
    block.hybridize(static_alloc=True)
    return Fc7(classify_with(block, context), size, values["fc7_bias"].shape[0], digest)
