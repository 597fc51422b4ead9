"""Ends what a killed supervisor left behind, before its ports and data are used again."""

import os
import signal
import time
from collections.abc import Callable

from libs.embedded.layout import Layout
from libs.embedded.process_info import is_alive
from libs.embedded.settings import PlatformSettings
from libs.embedded.state import Orphan, forget_process, live_orphans

POLL_S = 0.05


def end_orphans(layout: Layout, settings: PlatformSettings, say: Callable[[str], None]) -> list[Orphan]:
    """End every process of an earlier supervisor that still runs, and return them. Only while holding the home's lock.

    Each is asked with its own stop signal first, and killed when its grace is over. A process that merely got the
    number of one of ours is never touched.
    """
    orphans = live_orphans(layout)
    for orphan in orphans:
        say(f"ending {orphan.name} (process {orphan.pid}), left behind by a supervisor that was killed")
        _send(orphan, orphan.stop_signal)
    deadline_s = time.monotonic() + max(settings.server_grace_s, settings.service_grace_s)
    while any(is_alive(orphan.identity) for orphan in orphans):
        if time.monotonic() > deadline_s:
            for orphan in orphans:
                _send(orphan, signal.SIGKILL)
        time.sleep(POLL_S)
    for path in layout.run.glob("*.pid"):
        forget_process(layout, path.stem)
    return orphans


def _send(orphan: Orphan, number: int) -> None:
    if is_alive(orphan.identity):
        try:
            os.kill(orphan.pid, number)
            os.kill(orphan.pid, signal.SIGCONT)  # one that is suspended takes no other signal
        except ProcessLookupError:
            return
