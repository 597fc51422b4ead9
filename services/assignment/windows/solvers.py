"""Processes that solve the components of large windows side by side, started when the first window needs them.

They come from a fork server, which has loaded the solver and nothing else: neither threads nor connections of the
matcher are in them, and they share the pages of what is loaded. They end with the matcher, however it ends. Where one
dies, the window is solved to its end in the matcher itself, and the next large window starts them anew.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any, TypeVar

from services.assignment.matching import assignment

log = logging.getLogger("matcher")
Result = TypeVar("Result")


# A container's share of the processors is not seen from inside: whoever has more to give says so.
DEFAULT_PROCESSES_MAX = 8


def default_processes() -> int:
    """Return how many solver processes fit beside the matcher on the processors that it may use."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cpus - 1, DEFAULT_PROCESSES_MAX)


class SolverProcesses(Executor):
    """An executor that hands work out to `count` processes, and does itself what a process that died leaves undone.

    A count of 0 or 1 means no process: another one alone would be no quicker than this one. Only pure functions may be
    handed to it: one may run twice. Any number of threads may share it.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._closed = False
        # How often processes died, and how many results are still awaited.
        self.deaths = 0
        self.waiting = 0

    @property
    def running(self) -> bool:
        """Say whether processes have been started."""
        return self._pool is not None

    def map(
        self, fn: Callable[..., Result], *iterables: Iterable[Any], timeout: float | None = None, chunksize: int = 1
    ) -> Iterator[Result]:
        """Return the results in order. `timeout` and `chunksize` are the interface's, and have no effect."""
        tasks = list(zip(*iterables, strict=True))
        pool, futures = self._handed_out(fn, tasks)
        return self._results(fn, tasks, pool, futures)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes; what is handed over from now on is done in this one."""
        with self._lock:
            pool, self._pool, self._closed = self._pool, None, True
        if pool is not None:
            pool.shutdown(wait, cancel_futures=cancel_futures)

    def _handed_out(
        self, fn: Callable[..., Result], tasks: list[tuple[Any, ...]]
    ) -> tuple[ProcessPoolExecutor | None, list["Future[Result]"]]:
        pool = self._started() if tasks else None
        if pool is None:
            return None, []
        try:
            return pool, [pool.submit(fn, *task) for task in tasks]
        # RuntimeError: broken, or shut down meanwhile. OSError: no memory or no number for another process.
        except (RuntimeError, OSError) as error:
            self._give_up(pool, error)
            return None, []

    def _results(
        self,
        fn: Callable[..., Result],
        tasks: list[tuple[Any, ...]],
        pool: ProcessPoolExecutor | None,
        futures: list["Future[Result]"],
    ) -> Iterator[Result]:
        self._wait_for(len(futures))
        left = len(futures)
        try:
            for place, task in enumerate(tasks):
                try:
                    result = futures[place].result() if pool is not None else fn(*task)
                except BrokenExecutor as error:
                    self._give_up(pool, error)
                    pool, result = None, fn(*task)
                yield result
        finally:
            self._wait_for(-left)

    def _wait_for(self, count: int) -> None:
        with self._lock:
            self.waiting += count

    def _started(self) -> ProcessPoolExecutor | None:
        with self._lock:
            if self._pool is None and self._count > 1 and not self._closed:
                context = multiprocessing.get_context("forkserver")
                context.set_forkserver_preload([assignment.__name__])
                self._pool = ProcessPoolExecutor(self._count, context, initializer=_end_with_the_matcher)
                log.info("solver processes started", extra={"processes": self._count})
            return self._pool

    def _give_up(self, pool: ProcessPoolExecutor | None, error: Exception) -> None:
        with self._lock:
            if pool is None or self._pool is not pool:
                return
            self._pool = None
            self.deaths += 1
        log.warning("solver process died", extra={"error": repr(error), "deaths": self.deaths})
        pool.shutdown(wait=False, cancel_futures=True)


def _end_with_the_matcher() -> None:
    """Run first in every solver process."""
    # Whoever interrupts the matcher from a terminal interrupts its whole group: the matcher ends its own processes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    matcher = multiprocessing.parent_process()
    assert matcher is not None  # noqa: S101 - this runs in no other process

    def follow() -> None:
        matcher.join()
        os._exit(1)

    # A matcher that is killed ends nobody, and a process that waits for work would wait for ever.
    threading.Thread(target=follow, daemon=True).start()
