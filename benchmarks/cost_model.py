"""What a training by several workers costs: a model of one update, beside what was measured, and tables made of it.

    python benchmarks/cost_model.py benchmarks/results/cost-model-2026-11-24.json --gpu 1000

The file holds what was measured (`benchmarks/workers.py --rates …`). An update of W workers of G GPUs each and S
servers on hosts of their own, with B images in all, links of R bytes/s in each direction and M bytes of gradients there
and back, takes

    compute    B / (W G r)                r: images/s of a GPU, or of the worker's processor; --gpu, yours to give
    copies     M / C, with two GPUs       C: bytes/s between GPUs of a worker, assumed
    exchange   the longest of
      network  2 max(1, W / S) M / R      all gradients go before the sums come: requests wait behind them
      summing  W M / (S s)                s: bytes/s that a server takes, adds and gives back, without a network
      packing  p                          with gradients in two bits, where M is smaller

one after the other: that the network begins before the backward pass has ended is left out.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from gluon_alexnet.distributed.compression import TwoBit

WORKERS = (1, 2, 4, 8, 16, 32, 64)
RATES = {"1 Gbit/s": 1.0, "10 Gbit/s": 10.0, "100 Gbit/s": 100.0}
PARAMETERS = 60_965_224
ON_THE_WIRE = 0.95  # of a link's bits, what is left for data beside the headers of Ethernet, IP and TCP
BETWEEN_GPUS = 8e9  # bytes/s, assumed: half of what PCIe 3 of 16 lanes promises


@dataclass(frozen=True)
class Measured:
    """Constants of the machine."""

    server: float  # bytes/s
    packing: float  # seconds of an update
    compute: float  # seconds of the benchmark's step beside its exchange


def message(workers, compressed):
    """Bytes of an update's gradients."""
    return 4 * PARAMETERS / (TwoBit(1.0, workers).digits if compressed else 1)


def exchange(measured, workers, servers, gbit, compressed):
    """Seconds of sending the gradients and taking the sums; one worker has nobody to exchange with."""
    if workers == 1:
        return 0.0
    size = message(workers, compressed)
    network = 0.0 if gbit is None else 2 * max(1, workers / servers) * size / (gbit * 1e9 / 8 * ON_THE_WIRE)
    return max(network, workers * size / (servers * measured.server), measured.packing if compressed else 0.0)


def calibrated(runs):
    """The constants, from the runs whose links had no limit; the others are what the model is checked against."""
    free = {run["compress"]: run for run in runs if run["gbit"] is None}
    server = 2 * message(2, False) / free["none"]["exchange"]
    return Measured(server, free["2bit"]["exchange"], free["none"]["step"] - free["none"]["exchange"])


def check(measured, runs):
    print(
        "| link | gradients | exchange, predicted | measured | step, predicted | measured |\n|---|---|---|---|---|---|"
    )
    for run in runs:
        took = exchange(measured, 2, 1, run["gbit"], run["compress"] == "2bit")
        link = "no limit (constants are taken here)" if run["gbit"] is None else f"{run['gbit']:g} Gbit/s"
        print(
            f"| {link} | {run['compress']} | {took:.2f} s | {run['exchange']:.2f} s | {measured.compute + took:.2f} s "
            f"| {run['step']:.2f} s |"
        )


def table(measured, rate, each):
    """Images/s by workers, links, servers and the form of the gradients, with ``each`` images a worker in an update."""
    columns = [(link, servers, two) for link in RATES for servers in ("1", "W") for two in (False, True)]
    heads = " | ".join(
        f"{link}, {servers} server{'s' * (servers == 'W')}{', 2bit' * two}" for link, servers, two in columns
    )
    print(f"| workers | {heads} |\n|{'---|' * (len(columns) + 1)}")
    for workers in WORKERS:
        cells = []
        for link, servers, two in columns:
            count = workers if servers == "W" else 1
            seconds = each / rate + exchange(measured, workers, count, RATES[link], two)
            cells.append(f"{workers * each / seconds:,.0f}")
        print(f"| {workers} | {' | '.join(cells)} |")


def servers_needed(measured, rate, each):
    """For each number of workers and link, the fewest servers with 90 % of the images/s of a server a worker."""
    print(f"| workers | {' | '.join(RATES)} |\n|{'---|' * (len(RATES) + 1)}")
    for workers in WORKERS[1:]:
        cells = []
        for gbit in RATES.values():
            took = [each / rate + exchange(measured, workers, count, gbit, False) for count in range(1, workers + 1)]
            cells.append(next(count for count, one in enumerate(took, 1) if took[-1] >= 0.9 * one))
        print(f"| {workers} | {' | '.join(map(str, cells))} |")


def second_gpu(measured, rate, each):
    """Images/s of as many GPUs, two in a worker or one in each, with one server and with as many as GPUs."""
    print(
        "| GPUs | link | 1 server: one a worker | two | a server a GPU: one a worker | two |\n|---|---|---|---|---|---|"
    )
    copies = message(1, False) / BETWEEN_GPUS
    for gpus in (2, 8, 64):
        for link, gbit in RATES.items():
            cells = []
            for servers in (1, gpus):
                for workers in (gpus, gpus // 2):
                    seconds = each / rate + exchange(measured, workers, servers, gbit, False)
                    cells.append(f"{gpus * each / (seconds + copies * (workers < gpus)):,.0f}")
            print(f"| {gpus} | {link} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("measured", type=Path)
    parser.add_argument("--gpu", type=float, default=1000, help="images/s of a GPU, or of a worker: yours to give")
    parser.add_argument("--batch", type=int, default=128, help="images of a worker's GPU in an update")
    given = parser.parse_args()
    content = json.loads(given.measured.read_text())
    measured = calibrated(content["runs"])
    print(f"measured on {content['machine']}: a server takes, adds and gives back {measured.server / 1e6:.0f} MB/s,")
    print(
        f"packing and unpacking take {measured.packing:.2f} s, a step without its exchange {measured.compute:.2f} s\n"
    )
    check(measured, content["runs"])
    print(f"\nimages/s, with {given.gpu:g} images/s of a worker (given) and {given.batch} images each in an update\n")
    table(measured, given.gpu, given.batch)
    print("\nfewest servers with 90 % of the images/s of a server a worker\n")
    servers_needed(measured, given.gpu, given.batch)
    print("\nimages/s of as many GPUs, one or two in a worker\n")
    second_gpu(measured, given.gpu, given.batch)


if __name__ == "__main__":
    main()
