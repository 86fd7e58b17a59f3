"""NVIDIA DALI's side of reading.py, its CPU pipeline over the same records: STEM THREADS SECONDS WHAT."""

import json
import os
import sys
import time

from nvidia.dali import fn, pipeline_def, types

BATCH, WARM = 128, 4


@pipeline_def(batch_size=BATCH, device_id=None, seed=1, prefetch_queue_depth=2)
def pipeline(stem, what):
    data, labels = fn.readers.mxnet(path=[stem + ".rec"], index_path=[stem + ".idx"], random_shuffle=True)
    place = dict(crop_pos_x=fn.random.uniform(range=(0, 1)), crop_pos_y=fn.random.uniform(range=(0, 1)))
    if what == "cropped decoding":  # decodes no more than the crop needs
        images = fn.decoders.image_crop(data, device="cpu", output_type=types.RGB, crop=(224, 224), **place)
        place = {}
    else:
        images = fn.decoders.image(data, device="cpu", output_type=types.RGB)
        if what == "images":
            return images, labels
        place["crop"] = (224, 224)
    crops = fn.crop_mirror_normalize(
        images,
        dtype=types.FLOAT,
        output_layout="CHW",
        mean=[123.0, 117.0, 104.0],
        std=[1.0, 1.0, 1.0],
        mirror=fn.random.coin_flip(),
        **place,
    )
    return crops, labels


def main():
    stem, threads, seconds, what = sys.argv[1:]
    pipe = pipeline(stem, what, num_threads=int(threads))
    pipe.build()
    for _ in range(WARM):
        pipe.run()
    began, busy, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < float(seconds):
        pipe.run()
        images += BATCH
    print(json.dumps([images / (time.perf_counter() - began), 1e6 * (time.process_time() - busy) / images]), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
