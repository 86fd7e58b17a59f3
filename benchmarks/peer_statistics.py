"""The pass over im2rec.py's records that pack makes besides: STEM, PROCESSES; prints the number of images.

Mean image and 3x3 covariance of the central 256x256, in exact integers, as a careful user of NumPy and OpenCV would
write it.
"""

import itertools
import json
import multiprocessing
import os
import sys

import cv2
import numpy as np

SIZE = 256
HEADER = 32  # bytes of RecordIO's frame and MXNet's header before the image


def sums(task):
    """(images, sum of the images, sums of products) of a range of records."""
    path, begins = task
    cv2.setNumThreads(1)
    image_sum, products = np.zeros((SIZE, SIZE, 3), np.uint32), np.zeros((3, 3), np.int64)
    with open(path, "rb") as file:
        for begin, end in itertools.pairwise(begins):
            file.seek(begin)
            image = cv2.imdecode(np.frombuffer(file.read(end - begin), np.uint8, offset=HEADER), cv2.IMREAD_COLOR)
            top, left = ((side - SIZE) // 2 for side in image.shape[:2])
            image = image[top : top + SIZE, left : left + SIZE]
            image_sum += image
            planes = cv2.split(image)
            squares = [round(cv2.norm(plane, cv2.NORM_L2SQR)) for plane in planes]
            for i in range(3):
                products[i, i] += squares[i]
                for j in range(i):
                    product = (squares[i] + squares[j] - round(cv2.norm(planes[i], planes[j], cv2.NORM_L2SQR))) // 2
                    products[i, j] += product
                    products[j, i] += product
    return len(begins) - 1, image_sum.astype(np.int64), products


def main():
    stem, processes = sys.argv[1], int(sys.argv[2])
    with open(stem + ".idx") as index:
        begins = [int(line.split()[1]) for line in index] + [os.path.getsize(stem + ".rec")]
    share = -(-(len(begins) - 1) // processes)
    tasks = [(stem + ".rec", begins[first : first + share + 1]) for first in range(0, len(begins) - 1, share)]
    with multiprocessing.Pool(processes) as pool:
        counts, image_sums, products = zip(*pool.map(sums, tasks))
    images, pixels = sum(counts), sum(counts) * SIZE * SIZE
    mean = sum(image_sums) / images
    colours = mean.mean(axis=(0, 1))
    covariance = sum(products) / pixels - np.outer(colours, colours)
    print(json.dumps([images, colours[::-1].tolist(), covariance[::-1, ::-1].tolist()]))


if __name__ == "__main__":
    main()
