"""Classify images with an exported net and plain MXNet: python examples/predict_mxnet.py OUT IMAGE..."""

import json
import os
import sys

import cv2
import numpy as np

if len(sys.argv) < 3:
    sys.exit("usage: python examples/predict_mxnet.py OUT IMAGE...")
out, files = sys.argv[1], sys.argv[2:]
for file in (f"{out}.json", f"{out}-symbol.json", f"{out}-0000.params", *files):
    if not os.path.isfile(file):
        sys.exit(f"{file} is not there; give OUT of alexnet-tools export, and image files.")

for name in ("bool", "int", "float", "complex", "object", "str"):  # MXNet 1.9.1 was written for NumPy before 1.24
    vars(np).setdefault(name, getattr(__builtins__, name))

os.environ.setdefault("MXNET_SUBGRAPH_VERBOSE", "0")
import mxnet as mx  # noqa: E402

symbol, arguments, auxiliary = mx.model.load_checkpoint(out, 0)
with open(f"{out}.json", encoding="utf-8") as stream:
    description = json.load(stream)
size = description["input"]["shape"][-1]

for file in files:
    image = cv2.imread(file)
    if image is None:
        sys.exit(f"{file} is no image that OpenCV reads.")
    image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    scale = 256 / min(image.shape[:2])  # shorter side to 256, then the centre
    shape = [int(side * scale + 0.5) for side in image.shape[1::-1]]
    image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = ((side - 256) // 2 + (256 - size) // 2 for side in image.shape[:2])
    data = mx.nd.array(image[top : top + size, left : left + size].transpose(2, 0, 1)[None])
    net = symbol.bind(mx.cpu(), {**arguments, "data": data}, aux_states=auxiliary)
    probabilities = net.forward()[0].asnumpy()[0]
    best = np.argsort(-probabilities)[:5]
    print(file, ", ".join(f"{description['classes'][i]['name']} {probabilities[i]:.3f}" for i in best))
