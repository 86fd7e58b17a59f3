"""Packing on a Dask cluster: one task per shard, on workers that see the same files under the same paths."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..dataset.manifest import DatasetError, SourceError
from .shard_worker import Progress, ShardJob, pack_shards
from .shard_writer import read_receipt

_TASKS_PER_THREAD = 2  # handed over ahead; few, because a job carries the list of its images
_CONNECT_SECONDS = 5
_LOOK_SECONDS = 5  # between two looks whether there are workers at all
WORKERS_SECONDS = 60  # without any worker, before that is an error


def pack_on_cluster(address: str, jobs: Iterable[ShardJob], progress: Progress | None) -> None:
    """Pack shards on the workers of the Dask scheduler at `address`; what a worker that dies was doing, another does.

    Raises :class:`SourceError` when no scheduler answers there or Dask is not installed; :class:`DatasetError` when a
    worker cannot see the files or lacks this package, when workers keep dying, or when all of them are gone.
    """
    try:
        from distributed import Client
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise SourceError("`cluster` needs Dask; install it with: pip install 'gluon-alexnet[dask]'") from error

    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, ValueError, asyncio.TimeoutError) as error:
        raise SourceError(f"{address}: no Dask scheduler answers there; name it as in tcp://10.0.0.1:8786") from error
    with _quiet(), client:
        try:
            _run(client, address, map(_absolute, jobs), progress)
        except KilledWorker as error:
            raise DatasetError(
                f"{address}: several workers died on the same shard, perhaps for want of memory"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise DatasetError(f"{address}: the scheduler is gone") from error
        except ImportError as error:
            raise DatasetError(f"{address}: a worker lacks this package or one of its parts ({error})") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask logs tracebacks of lost connections, which are told here in a sentence."""
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _run(client: Any, address: str, jobs: Iterator[ShardJob], progress: Progress | None) -> None:
    from distributed import wait

    running: set = set()
    rejected, seen = 0, time.monotonic()
    while True:
        threads = sum(client.nthreads().values())
        while len(running) < _TASKS_PER_THREAD * max(1, threads) and (job := next(jobs, None)) is not None:
            # An impure call is never answered from what another run left in the cluster's memory.
            running.add(client.submit(pack_one, job, pure=False))
        if not running:
            return
        try:
            done = wait(running, timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED").done
        except (TimeoutError, asyncio.TimeoutError):  # two of them before Python 3.11
            done = set()
        if threads or done:
            seen = time.monotonic()
        elif time.monotonic() - seen > WORKERS_SECONDS:
            raise DatasetError(f"{address}: no worker is connected to the scheduler, for {WORKERS_SECONDS} s now")
        for future in done:
            running.discard(future)
            images, here = future.result()
            rejected += here
            if progress is not None:
                progress(images + here, rejected=rejected)


def _absolute(job: ShardJob) -> ShardJob:
    sources = [source._replace(path=os.path.abspath(source.path)) for source in job.sources]
    return replace(job, folder=os.path.abspath(job.folder), sources=sources)


def pack_one(job: ShardJob) -> tuple[int, int]:
    """Pack one shard in this process, with one thread: (images, rejected). Dask runs as many of these as it has cores.

    Raises :class:`DatasetError` when the folder to write into or the images' place is not to be seen from here.
    """
    places = {
        source.path if source.offset >= 0 else source.path.removesuffix(f"/{source.key}") for source in job.sources
    }
    for place in (job.folder, *sorted(places)):
        # Without this a worker that lacks a mount would reject all its images as missing.
        if not os.path.exists(place):
            raise DatasetError(f"{place}: not to be seen on the worker {socket.gethostname()}; it needs the same paths")
    pack_shards([job], 1, None)
    packed = read_receipt(Path(job.folder) / (job.stem + ".receipt"))
    return packed.shard.images, len(packed.rejected)
