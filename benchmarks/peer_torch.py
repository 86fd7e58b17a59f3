"""PyTorch's side of training.py: images/s of each training step."""

import argparse
import json
import os
import time

import torch
from torch import nn
from torch_net import AlexNet


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--network", required=True, help="the recipe's network as JSON")
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    net = AlexNet(json.loads(given.network), 1000)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-5, momentum=0.9, weight_decay=0.0005)
    images = 60 * torch.randn(given.batch, 3, 224, 224)
    labels = torch.arange(given.batch) % 1000
    rates = []
    for _ in range(given.steps + 1):
        began = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()
        rates.append(given.batch / (time.perf_counter() - began))
    print(json.dumps(rates[1:]))


if __name__ == "__main__":
    main()
