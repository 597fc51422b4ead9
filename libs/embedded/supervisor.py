"""Starts processes in the order of their needs, starts what dies again, and stops all of them in reverse order.

Invariant: a process of ours never outlives the supervisor by more than its own shutdown. Each asks the kernel for a
death signal (launch.py), and is written down so that the next supervisor can end it if even that failed.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from libs.embedded.backoff import BackoffPolicy
from libs.embedded.commands import launched
from libs.embedded.errors import NotReadyError, PlatformError
from libs.embedded.layout import Layout
from libs.embedded.log_stream import Console, LineCutter, LogFile
from libs.embedded.nodes import ProcessSpec, StepSpec, depths_of
from libs.embedded.polling import until
from libs.embedded.process_info import identify
from libs.embedded.settings import PlatformSettings
from libs.embedded.state import PlatformState, ProcessState, forget_process, remember_process, write_state

SUPERVISOR = "lastmile"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READ_BYTES = 65_536
PROBE_EVERY_S = 0.05
DRAIN_TIMEOUT_S = 1.0


@dataclass
class _Supervised:
    spec: ProcessSpec
    log: LogFile
    state: str = "waiting"
    process: asyncio.subprocess.Process | None = None
    started_at_s: float | None = None
    restarts: int = 0
    failures: int = 0
    last_exit: str | None = None
    stopping: bool = False
    task: asyncio.Task[None] | None = None


@dataclass
class Supervisor:
    """One run of the platform: give it the nodes, await `run()`."""

    settings: PlatformSettings
    layout: Layout
    console: Console
    nodes: Sequence[ProcessSpec | StepSpec]
    on_ready: Callable[[], None]
    servers_only: bool = False
    watchers: list[Callable[[], Coroutine[None, None, None]]] = field(default_factory=list)
    _processes: dict[str, _Supervised] = field(default_factory=dict)
    _ready: dict[str, asyncio.Event] = field(default_factory=dict)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _failure: PlatformError | None = None
    _started_at_s: float = field(default_factory=time.time)
    _ready_at_s: float | None = None
    _stop_requests: int = 0

    def __post_init__(self) -> None:
        settings = self.settings
        self._own_log = self._log_file(SUPERVISOR)
        self._policy = BackoffPolicy(
            settings.restart_backoff_s_min, settings.restart_backoff_s_max, settings.stable_run_s
        )
        # Spreads restarts; nothing about it has to be repeatable or secret.
        self._random = random.Random()  # noqa: S311 - not secret
        self.console.register(SUPERVISOR)
        for node in self.nodes:
            self._ready[node.name] = asyncio.Event()
            if isinstance(node, ProcessSpec):
                self.console.register(node.name)
                self._processes[node.name] = _Supervised(node, self._log_file(node.name))

    async def run(self) -> None:
        """Keep everything running until a signal asks to stop; then stop everything in order.

        Raises the PlatformError of a step that failed, after everything is stopped.
        """
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.request_stop)
        self._write_state()
        async with asyncio.TaskGroup() as group:
            tasks = []
            for node in self.nodes:
                if isinstance(node, ProcessSpec):
                    supervised = self._processes[node.name]
                    supervised.task = group.create_task(self._keep_running(supervised))
                else:
                    tasks.append(group.create_task(self._run_step(node)))
            tasks.append(group.create_task(self._announce()))
            tasks += [group.create_task(watch()) for watch in self.watchers]
            await self._stop.wait()
            for task in tasks:
                task.cancel()
            await self._stop_all()
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
        self.say("stopped")
        if self._failure is not None:
            raise self._failure

    def request_stop(self) -> None:
        """Begin to stop; asked a second time, kill what is still there."""
        self._stop_requests += 1
        if self._stop_requests == 1:
            self.say("stopping")
        elif self._stop_requests == 2:
            self.say("asked twice: killing what is left")
            for supervised in self._processes.values():
                _send(supervised.process, signal.SIGKILL)
        self._stop.set()

    def restart(self, name: str) -> None:
        """Stop a process with its own signal; it is started again like one that died."""
        supervised = self._processes[name]
        _send(supervised.process, supervised.spec.stop_signal)

    def is_ready(self, name: str) -> bool:
        """Whether a process is ready now."""
        return self._processes[name].state == "ready"

    def failures(self, name: str) -> int:
        """How often in a row a process has died young."""
        return self._processes[name].failures

    def say(self, text: str) -> None:
        """A line of the supervisor's own."""
        self._own_log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}")
        for line in text.splitlines():
            self.console.line(SUPERVISOR, line)

    async def _run_step(self, step: StepSpec) -> None:
        await self._wait_for(step.needs)
        try:
            await step.run()
        except PlatformError as error:
            self._failure = error
            self.request_stop()
        else:
            self._ready[step.name].set()

    async def _announce(self) -> None:
        try:
            async with asyncio.timeout(self.settings.ready_timeout_s):
                await self._wait_for(tuple(self._ready))
        except TimeoutError:
            missing = ", ".join(name for name, ready in self._ready.items() if not ready.is_set())
            self.say(
                f"not ready after {self.settings.ready_timeout_s:.0f} s: {missing}. Still trying; "
                f"see {self.layout.logs} and `lastmile doctor`"
            )
            await self._wait_for(tuple(self._ready))
        self._ready_at_s = time.time()
        self._write_state()
        self.on_ready()

    async def _wait_for(self, names: Sequence[str]) -> None:
        for name in names:
            await self._ready[name].wait()

    async def _keep_running(self, supervised: _Supervised) -> None:
        spec = supervised.spec
        await self._wait_for(spec.needs)
        while not supervised.stopping:
            began_s = time.monotonic()
            self._set_state(supervised, "preparing")
            try:
                await spec.prepare()
                await self._run_once(supervised)
            except (PlatformError, OSError) as error:
                supervised.last_exit = str(error)
            if supervised.stopping:
                break
            supervised.failures = self._policy.failures_after(supervised.failures, time.monotonic() - began_s)
            delay_s = self._policy.delay_s(supervised.failures, self._random)
            self.say(f"{spec.name}: {supervised.last_exit}; starting it again in {delay_s:.1f} s")
            self._set_state(supervised, "backoff")
            await asyncio.sleep(delay_s)
            supervised.restarts += 1

    async def _run_once(self, supervised: _Supervised) -> None:
        """One life of a process, from its start to its end."""
        spec = supervised.spec
        read_end, write_end = os.pipe()
        try:
            supervised.process = process = await self._spawn(spec, write_end)
        finally:
            os.close(write_end)
        # Not asyncio's own pipe: waiting for the process would then also wait for whoever inherited its output.
        output = asyncio.create_task(self._show_output(supervised, read_end))
        identity = identify(process.pid)
        if identity is not None:
            remember_process(self.layout, spec.name, identity, spec.stop_signal)
        supervised.started_at_s = time.time()
        self._set_state(supervised, "starting")
        exited = asyncio.create_task(process.wait())
        becoming_ready = asyncio.create_task(self._become_ready(supervised))
        try:
            await asyncio.wait({exited, becoming_ready}, return_when=asyncio.FIRST_COMPLETED)
            if becoming_ready.done():
                becoming_ready.result()
            code = await exited
        finally:
            becoming_ready.cancel()
            if process.returncode is None:
                await self._terminate(supervised)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(output, DRAIN_TIMEOUT_S)
            supervised.process = None
            forget_process(self.layout, spec.name)
        supervised.last_exit = _describe_exit(code)

    async def _spawn(self, spec: ProcessSpec, output: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *launched(spec.arguments, spec.account, spec.stop_signal),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=spec.cwd,
            env=dict(spec.environment),
            # A Ctrl-C of the terminal is for the supervisor, which then stops its processes in order.
            start_new_session=True,
        )

    async def _become_ready(self, supervised: _Supervised) -> None:
        spec, process = supervised.spec, supervised.process
        assert process is not None  # noqa: S101 - just spawned
        try:
            async with asyncio.timeout(spec.ready_timeout_s):
                await until(lambda: spec.is_ready(process.pid), PROBE_EVERY_S)
        except TimeoutError:
            raise NotReadyError(f"was not ready within {spec.ready_timeout_s:.0f} s") from None
        self._set_state(supervised, "ready")
        self._ready[spec.name].set()

    async def _show_output(self, supervised: _Supervised, read_end: int) -> None:
        reader = asyncio.StreamReader(limit=READ_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
        )
        cutter = LineCutter(self.settings.log_line_bytes_max)
        try:
            while data := await reader.read(READ_BYTES):
                self._show_lines(supervised, cutter.feed(data))
        finally:
            self._show_lines(supervised, cutter.finish())
            transport.close()

    def _show_lines(self, supervised: _Supervised, lines: Sequence[str]) -> None:
        for line in lines:
            supervised.log.write(line)
            self.console.line(supervised.spec.name, line)

    async def _stop_all(self) -> None:
        """Stop level by level: whoever needs others stops before them."""
        depths = depths_of(self.nodes)
        for depth in sorted({depths[name] for name in self._processes}, reverse=True):
            level = [supervised for name, supervised in self._processes.items() if depths[name] == depth]
            await asyncio.gather(*(self._stop_one(supervised) for supervised in level))

    async def _stop_one(self, supervised: _Supervised) -> None:
        supervised.stopping = True
        self._set_state(supervised, "stopping")
        if supervised.process is not None:
            await self._terminate(supervised)
        if supervised.task is not None:
            if supervised.process is None:
                supervised.task.cancel()  # it waits for something: its needs, a delay, a copy of the primary
            await asyncio.wait({supervised.task})
        self._set_state(supervised, "stopped")

    async def _terminate(self, supervised: _Supervised) -> None:
        """Ask the process to end; kill it when its grace is over."""
        process, spec = supervised.process, supervised.spec
        if process is None:
            return
        _send(process, spec.stop_signal)
        _send(process, signal.SIGCONT)  # one that is suspended takes no other signal
        try:
            await asyncio.wait_for(process.wait(), spec.grace_s)
        except TimeoutError:
            self.say(f"{spec.name} did not stop within {spec.grace_s:.0f} s: killing it")
            _send(process, signal.SIGKILL)
            await process.wait()

    def _set_state(self, supervised: _Supervised, state: str) -> None:
        if supervised.state != state:
            supervised.state = state
            self._write_state()

    def _write_state(self) -> None:
        own = identify(os.getpid())
        state = PlatformState(
            pid=os.getpid(),
            token=own.token if own else "",
            started_at_s=self._started_at_s,
            ready_at_s=self._ready_at_s,
            home=str(self.layout.home),
            servers=str(self.layout.servers),
            servers_only=self.servers_only,
            processes=tuple(_process_state(supervised) for supervised in self._processes.values()),
        )
        try:
            write_state(self.layout, state)
        except OSError as error:  # a full disk: the platform goes on, `status` lags behind
            self.say(f"cannot write the state: {error}")

    def _log_file(self, name: str) -> LogFile:
        path = self.layout.logs / f"{name}.log"
        return LogFile(path, self.settings.log_file_bytes_max, self.settings.log_files_max)


def _process_state(supervised: _Supervised) -> ProcessState:
    pid = supervised.process.pid if supervised.process else None
    identity = identify(pid) if pid else None
    return ProcessState(
        name=supervised.spec.name,
        state=supervised.state,
        pid=pid,
        token=identity.token if identity else None,
        started_at_s=supervised.started_at_s if pid else None,
        restarts=supervised.restarts,
        ports=supervised.spec.ports,
        last_exit=supervised.last_exit,
    )


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _send(process: asyncio.subprocess.Process | None, number: signal.Signals) -> None:
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
