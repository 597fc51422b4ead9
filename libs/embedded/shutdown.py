"""Stops a platform from another process."""

import os
import signal
import time

from libs.embedded.errors import NotReadyError
from libs.embedded.layout import Layout
from libs.embedded.orphans import end_orphans
from libs.embedded.settings import PlatformSettings
from libs.embedded.state import home_lock, is_locked
from libs.embedded.status import live_state

POLL_S = 0.05
# Services, standby and primary stop one after the other.
LEVELS = 4


def stop_platform(settings: PlatformSettings, layout: Layout) -> str:
    """Stop whatever runs in this LASTMILE_HOME, return when it is gone, and say what was stopped.

    Raises NotReadyError when the supervisor does not end in time.
    """
    if not layout.run.is_dir():
        return f"nothing was running in {layout.home}"
    if is_locked(layout):
        return _stop_supervisor(settings, layout)
    with home_lock(layout):
        ended = end_orphans(layout, settings, lambda _: None)
    if ended:
        return f"no supervisor was running; ended what one had left behind: {', '.join(one.name for one in ended)}"
    return f"nothing was running in {layout.home}"


def _stop_supervisor(settings: PlatformSettings, layout: Layout) -> str:
    deadline_s = time.monotonic() + LEVELS * max(settings.server_grace_s, settings.service_grace_s)
    asked: int | None = None
    while is_locked(layout):
        # One that has only just begun has not written its number yet.
        state = live_state(layout)
        if state is not None and asked is None:
            asked = state.pid
            os.kill(asked, signal.SIGTERM)
        if time.monotonic() > deadline_s:
            raise NotReadyError(f"supervisor {asked or ''} has not stopped; see {layout.logs}/lastmile.log")
        time.sleep(POLL_S)
    return f"stopped supervisor {asked or ''} and everything it ran"
