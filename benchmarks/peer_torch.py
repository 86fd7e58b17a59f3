"""PyTorch's side of the benchmarks: rates of each step, latencies, and the most memory it took (MB), as JSON."""

import argparse
import itertools
import json
import os
import resource
import sys
import time
from pathlib import Path

try:
    import numpy as np
    import torch
except ImportError as error:
    print(json.dumps({"missing": f"not installed ({error.name})"}))
    sys.exit()
from torch import nn
from torch_net import AlexNet

# glibc's malloc as it keeps large arrays that are freed: PyTorch frees them in each step, and new pages must be zeroed.
KEPT = {"GLIBC_TUNABLES": "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=17179869184"}


def training_step(net, optimizer, images, labels):
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(images), labels).backward()
    optimizer.step()


class Deployed(nn.Module):
    """Grey levels in, probabilities out, as our exported net."""

    def __init__(self, net, mean):
        super().__init__()
        self.net = net
        self.register_buffer("mean", mean)

    def forward(self, images):
        return nn.functional.softmax(self.net(images - self.mean), dim=1)


def attached(records, batch):
    """Batches without end, from a DataLoader with a process for each core."""
    from peer_dataloader import Records

    processes = len(os.sched_getaffinity(0))
    loader = torch.utils.data.DataLoader(
        Records(records), batch, shuffle=True, num_workers=processes, persistent_workers=True, drop_last=True
    )
    while True:
        yield from loader


def trained(given, net):
    """Images/s of each training step."""
    fixed = 60 * torch.randn(given.batch, 3, 224, 224), torch.arange(given.batch) % 1000
    batches = attached(given.records, given.batch) if given.records else itertools.repeat(fixed)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-5, momentum=0.9, weight_decay=0.0005)
    step = torch.compile(net) if given.compile else net
    rates = []
    for _ in range(given.warm + given.steps):
        began = time.perf_counter()
        images, labels = next(batches)
        if given.channels_last:
            images = images.to(memory_format=torch.channels_last)
        training_step(step, optimizer, images, labels)
        rates.append(given.batch / (time.perf_counter() - began))
    if given.records:
        batches.close()
    return {"rates": rates[given.warm :]}


@torch.inference_mode()
def deployed(given, net):
    """Views/s of batches of the made net's views, milliseconds of single ones, and what it gives for them."""
    work = Path(given.deployed)
    arrays = np.load(work / "parameters.npz")
    mean = torch.tensor(arrays["mean"])
    net.load_state_dict({name.replace("_", "."): torch.tensor(arrays[name]) for name in arrays if name != "mean"})
    run = Deployed(net, mean).eval()
    form = torch.channels_last if given.channels_last else torch.contiguous_format
    if given.channels_last:
        run.to(memory_format=torch.channels_last)
    if given.compile:
        from torch._inductor import config

        config.freezing = True
        run = torch.compile(run)
    images = torch.tensor(np.load(work / "views.npy")).permute(0, 3, 1, 2).float().contiguous(memory_format=form)
    from measured import timed

    return timed(lambda some: run(some).numpy(), images, given.steps, given.warm, work)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--warm", type=int, required=True, help="steps before the clock starts")
    parser.add_argument("--network", required=True, help="the recipe's network as JSON")
    parser.add_argument("--records", help="packed records to read, without their suffix; else one batch in memory")
    parser.add_argument("--deployed", help="folder of made_net.py: views instead of training")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--own-lrn", action="store_true", help="PyTorch's local_response_norm instead of the composed")
    parser.add_argument(
        "--keep-memory", action="store_true", help="do not give memory back to the system between steps"
    )
    given = parser.parse_args()
    if given.keep_memory and not KEPT.items() <= os.environ.items():  # glibc reads it as a program begins
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEPT})
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    torch.manual_seed(0)
    net = AlexNet(json.loads(given.network), 1000, composed=not given.own_lrn)
    if given.channels_last:
        net = net.to(memory_format=torch.channels_last)
    result = deployed(given, net) if given.deployed else trained(given, net)
    result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    words = [f"torch {torch.__version__}", f"{cores} threads", "float32"]
    words += ["channels_last" if given.channels_last else "contiguous"]
    words += ["torch.compile" + (" with freezing" if given.deployed else "")] if given.compile else ["eager"]
    words += ["local_response_norm" if given.own_lrn else "response normalisation of slices and rsqrt"]
    words += ["memory kept"] if given.keep_memory else []
    result["how"] = ", ".join(words)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
