"""PyTorch's side of reading.py, a DataLoader over the same records with OpenCV: STEM THREADS SECONDS."""

import json
import os
import sys
import time

import cv2
import numpy as np
import torch

BATCH, WARM = 128, 4


class Records(torch.utils.data.Dataset):
    """Random crop, mirror, colour shift, mean; float32 (3, 224, 224) and label."""

    def __init__(self, stem):
        self.stem, self.file = stem, None
        with open(stem + ".idx") as index:
            self.begins = [int(line.split()[1]) for line in index] + [os.path.getsize(stem + ".rec")]
        self.mean = np.array([123, 117, 104], np.float32)

    def __len__(self):
        return len(self.begins) - 1

    def __getitem__(self, number):
        if self.file is None:  # in the worker process
            cv2.setNumThreads(1)
            self.file = os.open(self.stem + ".rec", os.O_RDONLY)
        begin = self.begins[number]
        record = os.pread(self.file, self.begins[number + 1] - begin, begin)
        label = int(np.frombuffer(record, np.float32, 1, 12)[0])
        image = cv2.imdecode(np.frombuffer(record, np.uint8, offset=32), cv2.IMREAD_COLOR)
        top, left = np.random.randint(0, 33, 2)
        crop = cv2.cvtColor(image[top : top + 224, left : left + 224], cv2.COLOR_BGR2RGB)
        if np.random.randint(2):
            crop = cv2.flip(crop, 1)
        shift = np.random.normal(0, 10, 3).astype(np.float32)
        return torch.from_numpy((crop.astype(np.float32) + (shift - self.mean)).transpose(2, 0, 1).copy()), label


def main():
    stem, threads, seconds = sys.argv[1:]
    torch.set_num_threads(1)
    loader = torch.utils.data.DataLoader(
        Records(stem), BATCH, shuffle=True, num_workers=int(threads), persistent_workers=True, drop_last=True
    )

    def endless():
        while True:
            yield from loader

    batches = endless()
    for _ in range(WARM):
        next(batches)
    began, images = time.perf_counter(), 0
    while time.perf_counter() - began < float(seconds):
        next(batches)
        images += BATCH
    rate = images / (time.perf_counter() - began)
    print(json.dumps([rate, 1e6 * int(threads) / rate]), flush=True)  # its workers are busy all the time
    batches.close()


if __name__ == "__main__":
    main()
