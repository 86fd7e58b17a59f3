"""One thread computes; what waits for it is computed together, in batches, and no more waits than is allowed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from time import monotonic as _clock
from typing import Any, NamedTuple

import numpy as np

# After a pass for several clients their next requests come within moments. Read together they make one large pass,
# which reads the net's weights once; begun at once it would be two small ones. So the thread waits while more comes:
_SETTLE = 0.002  # seconds without anything new, and
_PATIENCE = 0.25  # of the last pass's time at most


class Busy(RuntimeError):
    """More waits to be computed than is allowed; ``seconds``: when to try again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the server is busy")
        self.seconds = seconds


class _Task(NamedTuple):
    views: np.ndarray | None  # to be classified with others, or None
    work: Callable[[], Any] | None  # something else to compute
    future: Future


def _count(task: _Task) -> int:
    return 1 if task.views is None else len(task.views)


class Batcher:
    """Classifies views in the order in which they come, those that wait together in one pass.

    classify: uint8 (M, height, width, 3) → float32 (M, classes). batch_views: the most that one pass takes.
    waiting_views: the most that may wait. coming: how many requests are being read, which will be here in a moment.
    observe: called with the number of views and the seconds of each pass.
    parts: how many views each pass takes of so many together, see :func:`gluon_alexnet.serving.passes.plan`.
    MXNet's work is done in this one thread only, whatever the number of clients.
    """

    def __init__(
        self,
        classify: Callable[[np.ndarray], np.ndarray],
        batch_views: int,
        waiting_views: int,
        coming: Callable[[], int] = lambda: 0,
        observe: Callable[[int, float], None] = lambda views, seconds: None,
        parts: Callable[[int], Sequence[int]] | None = None,
    ) -> None:
        self._classify = classify
        self._parts = parts or (lambda count: [min(batch_views, count - k) for k in range(0, count, batch_views)])
        self._batch_views = batch_views
        self._waiting_views = waiting_views
        self._coming, self._observe = coming, observe
        self._last = (0, 0.0)  # requests and seconds of the last pass
        self._arrived = 0
        self._tasks: deque[_Task] = deque()
        self._waiting = 0  # views
        self._seconds_a_view = 0.01  # a running mean; the first pass corrects it
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="compute", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Views that wait, or what else counts as one."""
        return self._waiting

    def classify(self, views: np.ndarray) -> Future:
        """The probabilities, float32 (M, classes), of uint8 (M, height, width, 3). Raises Busy."""
        return self._submit(_Task(views, None, Future()), len(views))

    def run(self, work: Callable[[], Any]) -> Future:
        """What ``work()`` returns, computed by the same thread, in its turn. Raises Busy."""
        return self._submit(_Task(None, work, Future()), 1)

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _submit(self, task: _Task, count: int) -> Future:
        with self._changed:
            if self._closing or (self._waiting and self._waiting + count > self._waiting_views):
                raise Busy(self._waiting * self._seconds_a_view)
            self._tasks.append(task)
            self._waiting += count
            self._arrived += 1
            self._changed.notify()
        return task.future

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._tasks and not self._closing:
                    self._changed.wait()
                if not self._tasks:
                    return
                self._gather()
                tasks = self._together()
            wanted = [task for task in tasks if task.future.set_running_or_notify_cancel()]
            if wanted and wanted[0].work:
                _settle(wanted[0].future, wanted[0].work)
            elif wanted:
                self._pass(wanted)
            with self._changed:
                self._waiting -= sum(map(_count, tasks))

    def _gather(self) -> None:
        requests, seconds = self._last
        if requests < 2:
            return  # one client: nobody else is to be waited for
        end = _clock() + _PATIENCE * seconds
        while self._waiting < self._batch_views and not self._closing and _clock() < end:
            arrived = self._arrived
            self._changed.wait(_SETTLE)
            if self._arrived == arrived and not self._coming():
                return

    def _together(self) -> list[_Task]:
        """The first task, and where it is a classification all others that fit into its pass."""
        first = self._tasks.popleft()
        if first.work:
            return [first]
        tasks, views, left = [first], _count(first), deque[_Task]()
        while self._tasks and views < self._batch_views:
            task = self._tasks.popleft()
            if task.work or views + _count(task) > self._batch_views:
                left.append(task)
            else:
                tasks.append(task)
                views += _count(task)
        self._tasks.extendleft(reversed(left))
        return tasks

    def _pass(self, tasks: Sequence[_Task]) -> None:
        """Each task gets its probabilities as soon as the part with its last view is computed."""
        began = _clock()
        views = [task.views for task in tasks if task.views is not None]
        joined = views[0] if len(views) == 1 else np.concatenate(views)
        counts = np.array([len(one) for one in views])
        ends = np.cumsum(counts)
        waiting = deque(zip(tasks, ends - counts, ends))
        outputs, done = [], 0
        try:
            for part in self._parts(len(joined)):
                outputs.append(self._classify_part(joined[done : done + part]))
                done += part
                while waiting and waiting[0][2] <= done:
                    task, begin, end = waiting.popleft()
                    probabilities = outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
                    task.future.set_result(probabilities[begin:end])
        except Exception as error:
            for task, *_ in waiting:
                task.future.set_exception(error)
            return
        seconds = _clock() - began
        self._last = len(tasks), seconds
        self._seconds_a_view += 0.1 * (seconds / len(joined) - self._seconds_a_view)

    def _classify_part(self, views: np.ndarray) -> np.ndarray:
        began = _clock()
        probabilities = self._classify(views)
        self._observe(len(views), _clock() - began)
        return probabilities


def _settle(future: Future, work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
