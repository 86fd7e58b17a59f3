"""PyTorch's side of training.py and evaluation.py: images/s of each step, and the most memory it took (MB)."""

import argparse
import itertools
import json
import os
import resource
import time

import torch
from torch import nn
from torch_net import AlexNet


def training_step(net, optimizer, images, labels):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(images), labels).backward()
    optimizer.step()


@torch.inference_mode()
def evaluation_step(net, images):
    return nn.functional.softmax(net(images), dim=1)


def attached(records, batch):
    """Batches without end, from a DataLoader with a process for each core."""
    from peer_dataloader import Records

    processes = len(os.sched_getaffinity(0))
    loader = torch.utils.data.DataLoader(
        Records(records), batch, shuffle=True, num_workers=processes, persistent_workers=True, drop_last=True
    )
    while True:
        yield from loader


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warm", type=int, required=True, help="steps before the clock starts")
    parser.add_argument("--network", required=True, help="the recipe's network as JSON")
    parser.add_argument("--records", help="packed records to read, without their suffix; else one batch in memory")
    parser.add_argument("--evaluate", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    net = AlexNet(json.loads(given.network), 1000).train(not given.evaluate)
    fixed = 60 * torch.randn(given.batch, 3, 224, 224), torch.arange(given.batch) % 1000
    batches = attached(given.records, given.batch) if given.records else itertools.repeat(fixed)
    if not given.evaluate:
        optimizer = torch.optim.SGD(net.parameters(), lr=1e-5, momentum=0.9, weight_decay=0.0005)
    rates = []
    for _ in range(given.warm + given.steps):
        began = time.perf_counter()
        images, labels = next(batches)
        if given.evaluate:
            evaluation_step(net, images)
        else:
            training_step(net, optimizer, images, labels)
        rates.append(given.batch / (time.perf_counter() - began))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rates": rates[given.warm :], "memory": memory}), flush=True)
    if given.records:
        batches.close()


if __name__ == "__main__":
    main()
