"""Processes that render, so that what a paper contains can neither keep the server busy nor bring it down.

A process answers one paper after the other over a pipe. One that takes too long is killed, which no thread can be, and
another takes its place. A process ends by itself when its pipe does.
"""

import asyncio
import multiprocessing
import queue
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from libs.grpc_server.errors import ServiceError
from services.reconciliation.errors import PapersTooManyError, PaperTooSlowError
from services.reconciliation.papers.limits import PaperLimits
from services.reconciliation.papers.metrics import REFUSED, RENDERED_S, WAITING
from services.reconciliation.papers.rendering import Paper, RenderingError, forget, pdf

# Never fork: the server has threads, and gRPC forbids it.
_CONTEXT = multiprocessing.get_context("spawn")
_END_S_MAX = 5.0


class RenderPool:
    """A bounded number of processes, and of papers that wait for one."""

    def __init__(self, limits: PaperLimits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.processes, "papers")
        self._workers: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for _ in range(limits.processes):
            self._workers.put(_Worker(limits))
        self._waiting = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes, once each has done what it is at."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        for _ in range(self._limits.processes):
            self._workers.get_nowait().end()

    async def pdf(self, paper: Paper) -> bytes:
        """Return a paper's PDF. Raises PapersTooManyError, PaperTooSlowError, and RenderingError for a bug."""
        if self._waiting >= self._limits.waiting_max + self._limits.processes:
            REFUSED.labels(PapersTooManyError.reason).inc()
            raise PapersTooManyError(f"{self._limits.waiting_max} papers wait already; try again")
        self._count(1)
        made = asyncio.get_running_loop().run_in_executor(self._threads, self._render, paper)
        made.add_done_callback(self._is_done)
        with RENDERED_S.labels(type(paper).__name__).time():
            return await made

    def _is_done(self, made: "asyncio.Future[bytes]") -> None:
        self._count(-1)
        # Known, also where the caller has gone away.
        if not made.cancelled() and (error := made.exception()):
            REFUSED.labels(error.reason if isinstance(error, ServiceError) else "INTERNAL").inc()

    def _count(self, more: int) -> None:
        self._waiting += more
        WAITING.set(self._waiting)

    def _render(self, paper: Paper) -> bytes:
        worker = self._workers.get()
        try:
            return worker.render(paper)
        finally:
            self._workers.put(worker)


class _Worker:
    """One process, which is there while it is needed."""

    def __init__(self, limits: PaperLimits) -> None:
        self._limits = limits
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._papers = 0

    def render(self, paper: Paper) -> bytes:
        pipe = self._pipe or self._start()
        self._papers += 1
        try:
            pipe.send(paper)
            if not pipe.poll(self._limits.render_s_max):
                raise PaperTooSlowError(f"it was not set within {self._limits.render_s_max:g} s")
            made, problem = pipe.recv()
        except (EOFError, OSError):
            self.end()
            raise RenderingError("the process that rendered has died") from None
        except ServiceError:
            self.end()
            raise
        if self._papers >= self._limits.papers_a_process_max:
            self.end()
        if problem:
            raise RenderingError(problem)
        return bytes(made)

    def end(self) -> None:
        """Have the process end, whatever it is at."""
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join(_END_S_MAX)
        self._pipe = self._process = None

    def _start(self) -> Connection:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=_serve, args=(theirs, self._limits.remembered_bytes_max), name="papers", daemon=True
        )
        self._process.start()
        theirs.close()
        self._papers = 0
        return self._pipe


def _serve(pipe: Connection, remembered_bytes_max: int) -> None:
    """Render what comes, until the other end is closed."""
    made_bytes = 0
    # Whoever interrupts a terminal means the server, which ends this process when it has drained.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            paper = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = pdf(paper), ""
        except Exception as error:  # noqa: BLE001 - told to the caller, which logs it
            answer = b"", f"{type(error).__name__}: {error}"
        pipe.send(answer)
        made_bytes += len(answer[0])
        if made_bytes > remembered_bytes_max:
            forget()
            made_bytes = 0
