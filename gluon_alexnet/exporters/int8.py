"""A deployed net in 8-bit integers for oneDNN: MXNet's own quantisation, calibrated on images.

MXNet 1.9.1 computes convolutions in groups wrongly in int8: a tenth to a third of what comes out is error, where a
convolution in one group is right to a hundredth (`tests/exporters/test_int8.py` measures both). So the net is written
as Fig. 2 draws it before it is quantised: each column by itself, joined where the columns meet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from ..backend import mx
from ..data.augmentation import network_order
from ..errors import InvalidRequest
from . import ungroup
from .reduced_precision import Pair

CALIBRATION_BATCH = 16  # images a forward pass
CALIBRATION = "entropy"  # a layer's range is the one that loses least of what it says; "naive": all that it says
_ENGINE = "MKLDNN_QUANTIZE"  # oneDNN's old name, which MXNet 1.9.1 has kept
_HOW = {"quantized_dtype": "auto", "quantize_mode": "smart", "quantize_granularity": "channel-wise"}


def quantize(net: Pair, images: np.ndarray) -> Pair:
    """The net in int8, for oneDNN on a CPU; the batch size stays free.

    images: uint8 (N, size, size, 3), whose activations set the range of each layer. The arrays stay float32: oneDNN
    rounds the weights when the net is loaded. Raises InvalidRequest where there is no image.
    """
    if not len(images):
        raise InvalidRequest("Without images to calibrate with, a net cannot be quantised.")
    tools = mx.contrib.quantization
    tools.stats = stats  # which MXNet was not shown when it was imported: see backend.OPTIONAL_FOR_MXNET
    symbol, arguments = ungroup.write_out(net.symbol, net.arguments)
    symbol = symbol.get_backend_symbol(_ENGINE)
    quantized, _, _, collector = tools.quantize_graph(
        symbol, arguments, net.auxiliary, excluded_op_names=[], calib_mode=CALIBRATION, **_HOW
    )
    module = mx.mod.Module(symbol, data_names=["data"], label_names=None)
    batch = min(CALIBRATION_BATCH, len(images))
    module.bind(for_training=False, data_shapes=[("data", (batch, 3, *images.shape[1:3]))])
    module.set_params(arguments, net.auxiliary)
    for start in range(0, len(images) - batch + 1, batch):  # what is left over is less than a batch
        _observe(module, collector, images[start : start + batch])
    quantized, arguments, auxiliary = tools.calib_graph(
        quantized, arguments, net.auxiliary, collector, calib_mode=CALIBRATION, quantized_dtype=_HOW["quantized_dtype"]
    )
    return Pair(quantized.get_backend_symbol(_ENGINE), arguments, auxiliary)


def _observe(module: Any, collector: Any, images: np.ndarray) -> None:
    """One forward pass whose layers the collector watches."""
    module._exec_group.execs[0].set_monitor_callback(collector.collect, monitor_all=True)
    module.forward(mx.io.DataBatch([mx.nd.array(network_order(images))]), is_train=False)
    mx.nd.waitall()
