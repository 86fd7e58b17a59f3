"""Several processes that train one net (Sec. 3.2's two GPUs, taken further): MXNet's parameter server.

A job is one scheduler, one or more servers and the workers. The recipe's batch is the whole job's: each worker learns
from its part of every batch.

``dist_sync``: the servers add up the gradients of all workers, and each worker makes the same update as the others.
``dist_async``: nobody waits. Each worker makes its own update with its share of the rate and sends the change of the
weights, which the servers add to theirs. Together that is the same rule, with gradients some updates old. They meet
every few updates to count what was done and to agree on what is next.

MXNet's own server unpickles what it is sent; ours (:func:`.process_group.serve`) knows one word, which chooses
between the two rules.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from ..errors import InvalidRequest
from ..recipes.timetable import LAYERS, RateRequest
from .compression import TwoBit

ASYNCHRONOUS = "asynchronous"  # what the first worker tells the servers
FIRST_WEIGHT = 1000  # the keys of sums are below, those of weights are from here
FIRST_PACKED = 100_000  # and those of compressed gradients from here
MEETING = 8  # updates between two meetings of asynchronous workers

_SMALL = 64  # numbers in a small sum
_DIGEST = 8  # bytes that stand for one thing to agree on


Asked = Optional[RateRequest]  # a learning rate that somebody wants


class Counted(NamedTuple):
    """What one batch, or the batches since the last meeting, came to."""

    images: int
    skipped: int
    loss: float  # mean over the images


class SingleWorker:
    """The only worker there is."""

    rank = 0
    count = 1
    synchronous = False  # whether gradients are those of all workers
    asynchronous = False
    share_of_rate = 1.0
    together = False  # whether what ends the work now ends it in every worker
    compressed = False  # whether gradients travel in two bits
    residuals: Sequence[Any] = ()  # of each gradient, what compression has kept back

    def own_seed(self, seed: int) -> int:
        """A seed of this worker alone, made of one that all share."""
        return seed

    def part(self, ids: np.ndarray) -> np.ndarray:
        """This worker's part of a batch."""
        return ids

    def add_gradients(self, gradients: list, loss: Callable[[], float], images: int) -> tuple[float, int]:
        """Make each gradient the sum over all workers; returns (sum of losses, images) of all workers."""
        return loss(), images

    def gather_residuals(self) -> list[list]:
        """The residuals of every worker, in the first one; all of them call this together, and the others get none."""
        return []

    def reduce_counts(self, counted: Counted, last: bool) -> Counted | None:
        """The same of all workers; None where they do not meet after this batch. last: of the epoch."""
        return counted

    def broadcast_requests(self, asked: Asked, due: bool, stop: bool) -> tuple[Asked, bool, bool]:
        """What the first worker was asked for and wants, and whether any of them is to stop."""
        return asked, due, stop

    def add_counts(self, counts: Sequence[int]) -> Sequence[int]:
        """Sums of at most 32 whole numbers over all workers."""
        return counts


class WorkerGroup(SingleWorker):
    """This worker among the others of its job, whose store MXNet made."""

    def __init__(self, kind: str, store: Any) -> None:
        from ..backend import mx

        self._store = store
        self.rank, self.count = self._store.rank, self._store.num_workers
        self.asynchronous = kind == "dist_async"
        self.synchronous = not self.asynchronous
        self.share_of_rate = 1 / self.count if self.asynchronous else 1.0
        self._kind, self._sums, self._batches = kind, 0, 0
        self._pending = np.zeros(3)
        self._rule: TwoBit | None = None
        if self.asynchronous and self.rank == 0:
            self._store._send_command_to_servers(0, ASYNCHRONOUS)
        # Two, in turn: nobody can be two sums ahead of a worker that still reads the last one.
        self._store.init([0, 1], [mx.nd.zeros((_SMALL,))] * 2)
        self._mx = mx

    def close(self) -> None:
        """Leave the job: with the others, who come here, too, if this happens ``together``, or alone."""
        base = self._mx.base
        if self.together:
            self._mx.nd.waitall()
        else:
            base.check_call(base._LIB.MXKVStoreSetBarrierBeforeExit(self._store.handle, 0))
        del self._store

    def wait_for_others(self) -> None:
        """Return once every worker is here."""
        self._store._barrier()

    def own_seed(self, seed: int) -> int:
        if self.rank == 0:
            return seed
        return int(np.random.SeedSequence([seed, self.rank]).generate_state(1)[0] >> 1)

    def part(self, ids: np.ndarray) -> np.ndarray:
        return np.array_split(ids, self.count)[self.rank]

    def agree(self, **things: str) -> None:
        """Raises InvalidRequest, in every worker, that names the things in which the workers differ."""
        digests = [hashlib.sha256(text.encode()).digest()[:_DIGEST] for text in (self._kind, *things.values())]
        own = np.frombuffer(b"".join(digests), np.uint8).astype(np.float64)
        same = (self._sum(own, meet=True) == self.count * own).reshape(-1, _DIGEST).all(axis=1)
        differing = [name for name, one in zip(("`kvstore`", *things), same) if not one]
        self.together = True
        # What one worker sees as equal to the mean of all, another may not: they compare notes.
        if self._sum([len(differing)], meet=True)[0]:
            raise InvalidRequest(
                f"The workers of this job differ in {', '.join(differing) or 'what another worker names'}; start all "
                "of them with the same command, data set and run folder."
            )
        self.together = False

    def begin(self, values: list) -> None:
        """Give these arrays the first worker's values, and keep a place for each on the servers."""
        self._weights = [FIRST_WEIGHT + place for place in range(len(values))]
        self._momentum = [2 + place for place in range(len(values))]
        self._store.init(self._weights, values)
        if self.asynchronous:
            self._store.init(self._momentum, [self._mx.nd.zeros_like(value) for value in values])
        self._pull(self._weights, values)

    def compress(self, threshold: float, values: list) -> None:
        """From now on send gradients of the form of ``values`` in two bits, by :class:`.compression.TwoBit`."""
        self._rule, self.compressed = TwoBit(threshold, self.count), True
        self.residuals = [self._mx.nd.zeros_like(value) for value in values]
        self._packed = [FIRST_PACKED + place for place in range(len(values))]
        sizes = [self._rule.packed_size(value.size) for value in values]
        self._store.init(self._packed, [self._mx.nd.zeros((size,)) for size in sizes])

    def add_gradients(self, gradients: list, loss: Callable[[], float], images: int) -> tuple[float, int]:
        if self.asynchronous:
            return loss(), images
        keys, sent = self._weights, gradients
        if self._rule is not None:
            keys = self._packed
            sent = [self._rule.pack(gradient, kept) for gradient, kept in zip(gradients, self.residuals)]
        self._push(keys, sent)  # before the loss is waited for: they travel as they are ready
        total, images = self._sum([loss(), images])[:2]
        self._pull(keys, sent)
        if self._rule is not None:
            for packed, gradient in zip(sent, gradients):
                self._rule.unpack(packed, gradient)
        return float(total), int(images)

    def gather_residuals(self) -> list[list]:
        found: list[list] = []
        for rank in range(self.count if self.compressed else 0):
            sums = [kept.copy() if rank == self.rank else self._mx.nd.zeros_like(kept) for kept in self.residuals]
            self._push(self._weights, sums)
            self._pull(self._weights, sums)
            for one in sums:
                one.wait_to_read()  # or the servers add what this worker sends next to what they still gather
            if self.rank == 0:
                found.append(sums)
        return found

    def contribute(self, changes: list, values: list) -> None:
        """Add these changes to the servers' weights and take those, with what other workers have added."""
        # Copies: MXNet pulls into the array that was pushed, on its way to the one that is asked for.
        self._push(self._weights, [change.copy() for change in changes])
        self._pull(self._weights, values)

    def sync_weights(self, values: list) -> None:
        """Take the weights once everybody's changes are in them. All workers call this together."""
        self._mx.nd.waitall()
        self._store._barrier()
        self._pull(self._weights, values)

    def add_momentum(self, velocities: list) -> None:
        """Make each of the asynchronous workers' velocities the sum over all. They call this together."""
        self._push(self._momentum, velocities)
        self._pull(self._momentum, velocities)
        self._mx.nd.waitall()
        self._store._barrier()
        self._pull(self._momentum, velocities)

    def reduce_counts(self, counted: Counted, last: bool) -> Counted | None:
        self._batches += 1
        self._pending += [counted.images, counted.skipped, counted.loss * counted.images]
        if self.asynchronous and not last and self._batches % MEETING:
            return None
        images, skipped, loss_sum = self._sum(self._pending)[:3]
        self._pending[:], self._batches = 0, 0
        return Counted(int(images), int(skipped), float(loss_sum / images) if images else 0.0)

    def broadcast_requests(self, asked: Asked, due: bool, stop: bool) -> tuple[Asked, bool, bool]:
        words = np.zeros(12 + len(LAYERS))
        if self.rank == 0:
            if asked is not None:  # as bytes: each is exact in a sum of float32
                words[:9] = [1, *struct.pack(">d", asked.rate)]
                words[11:] = [asked.biases, *(layer in asked.layers for layer in LAYERS)]
            words[9] = due
        words[10] = stop
        words = self._sum(words)
        if words[0] and self.rank:
            rate = struct.unpack(">d", bytes(words[1:9].astype(np.uint8)))[0]
            layers = tuple(layer for layer, named in zip(LAYERS, words[12:]) if named)
            asked = RateRequest(rate, "the first worker", layers, bool(words[11]))
        return asked, bool(words[9]), bool(words[10])

    def add_counts(self, counts: Sequence[int]) -> Sequence[int]:
        # Two halves of each number, so that a float32 holds them.
        own = np.asarray(counts)
        high, low = np.split(self._sum(np.concatenate([own >> 12, own & 0xFFF]).astype(float)), 2)
        return ((high.astype(np.int64) << 12) + low.astype(np.int64)).tolist()

    def _sum(self, numbers: Sequence[float] | np.ndarray, meet: bool = False) -> np.ndarray:
        """Sums over all workers of float32 numbers, (at most _SMALL,)."""
        key, self._sums = self._sums % 2, self._sums + 1
        sent = np.zeros(_SMALL, np.float32)
        sent[: len(numbers)] = numbers
        array = self._mx.nd.array(sent)
        self._store.push(key, array)
        self._store.pull(key, out=array)
        if meet or self.asynchronous:  # then the servers answer before all have sent theirs
            array.wait_to_read()
            self._store._barrier()
            self._store.pull(key, out=array)
        return array.asnumpy()[: len(numbers)].astype(np.float64)

    def _push(self, keys: list[int], arrays: list) -> None:
        for place, (key, array) in enumerate(zip(keys, arrays)):
            self._store.push(key, array, priority=place)  # the last layer's gradient is the first to be ready

    def _pull(self, keys: list[int], arrays: list) -> None:
        for place, (key, array) in enumerate(zip(keys, arrays)):
            self._store.pull(key, out=array, priority=-place)
