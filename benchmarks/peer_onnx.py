"""onnxruntime's and OpenVINO's side of evaluation.py, on our own ONNX file: float32, bfloat16, int8; prints JSON."""

import argparse
import json
import os
import resource
import sys
from pathlib import Path

import numpy as np
from measured import timed

CORES = len(os.sched_getaffinity(0))


def by_onnxruntime(work, form):
    """(function of float32 (N, 3, size, size), words)."""
    import onnxruntime

    file = work / "net.onnx"
    if form == "int8":
        file = _quantized(work)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    words = f"onnxruntime {onnxruntime.__version__}, {CORES} threads, all optimisations, {form}"
    return lambda images: session.run(None, {"data": images})[0], words


def _quantized(work):
    file = work / "onnxruntime-int8.onnx"
    if not file.exists():
        import onnx  # noqa: F401  quantising needs it
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        class Views(CalibrationDataReader):
            left = iter(calibration(work))

            def get_next(self):
                views = next(self.left, None)
                return None if views is None else {"data": views}

        settings = {"quant_format": QuantFormat.QDQ, "weight_type": QuantType.QInt8, "per_channel": True}
        quantize_static(str(work / "net.onnx"), str(file), Views(), activation_type=QuantType.QUInt8, **settings)
    return file


def calibration(work):
    """Batches of float32 (16, 3, size, size)."""
    views = np.load(work / "calibration.npy")
    return [network_order(views[start : start + 16]) for start in range(0, len(views), 16)]


def by_openvino(work, form):
    """(function of float32 (N, 3, size, size), words)."""
    import openvino

    core = openvino.Core()
    model = core.read_model(work / "net.onnx")
    words = f"openvino {openvino.__version__.partition('-')[0]}, {CORES} threads, one stream, {form}"
    if form == "int8":
        import nncf

        file = work / "openvino-int8.xml"
        if not file.exists():
            openvino.save_model(nncf.quantize(model, nncf.Dataset(calibration(work))), file, compress_to_fp16=False)
        model, words = core.read_model(file), f"{words} by nncf {nncf.__version__}"
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": CORES,
        "INFERENCE_PRECISION_HINT": "bf16" if form == "bf16" else "f32",
    }
    compiled = core.compile_model(model, "CPU", settings)
    request = compiled.create_infer_request()
    return lambda images: request.infer(images, share_inputs=True)[0], words


def network_order(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", choices=["onnxruntime", "openvino"], required=True)
    parser.add_argument("--form", choices=["float32", "bf16", "int8"], default="float32")
    parser.add_argument("--deployed", type=Path, required=True, help="folder of made_net.py")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warm", type=int, required=True)
    given = parser.parse_args()
    try:
        run, words = {"onnxruntime": by_onnxruntime, "openvino": by_openvino}[given.program](given.deployed, given.form)
    except ImportError as error:
        print(json.dumps({"missing": f"not installed ({error.name})"}))
        sys.exit()
    images = network_order(np.load(given.deployed / "views.npy"))
    result = timed(run, images, given.steps, given.warm, given.deployed)
    result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**result, "how": words}), flush=True)


if __name__ == "__main__":
    main()
