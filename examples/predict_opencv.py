"""Classify images with OUT.onnx and OpenCV alone: python examples/predict_opencv.py OUT IMAGE..."""

import json
import os
import sys

import cv2

if len(sys.argv) < 3:
    sys.exit("usage: python examples/predict_opencv.py OUT IMAGE...")
out, files = sys.argv[1], sys.argv[2:]
for file in (f"{out}.json", f"{out}.onnx", *files):
    if not os.path.isfile(file):
        sys.exit(f"{file} is not there; give OUT of alexnet-tools export --onnx, and image files.")
net = cv2.dnn.readNetFromONNX(f"{out}.onnx")
with open(f"{out}.json", encoding="utf-8") as stream:
    description = json.load(stream)
size = description["input"]["shape"][-1]

for file in files:
    image = cv2.imread(file)
    if image is None:
        sys.exit(f"{file} is no image that OpenCV reads.")
    scale = 256 / min(image.shape[:2])  # shorter side to 256, then the centre
    shape = [int(side * scale + 0.5) for side in image.shape[1::-1]]
    image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = ((side - 256) // 2 + (256 - size) // 2 for side in image.shape[:2])
    net.setInput(cv2.dnn.blobFromImage(image[top : top + size, left : left + size], swapRB=True))
    probabilities = net.forward()[0]
    best = (-probabilities).argsort()[:5]
    print(file, ", ".join(f"{description['classes'][i]['name']} {probabilities[i]:.3f}" for i in best))
