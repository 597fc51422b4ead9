"""Takes quarantined chunks again, and notes in the audit trail who wanted that and why."""

import json
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.reconciliation.errors import ChunksNotReplayedError, RunNotFoundError
from services.reconciliation.exceptions.auditing import store as audit
from services.reconciliation.runs import store
from services.reconciliation.runs.reading import store as reading
from services.reconciliation.runs.replaying import store as replaying


@dataclass(frozen=True, slots=True)
class Replay:
    """Which chunks of which run, all for none named; who wants it, and why."""

    run_no: int
    chunks: frozenset[int]
    by: str
    note: str


async def take_again(connection: asyncpg.Connection, wanted: Replay, now: datetime) -> list[int]:
    """Let workers take the chunks again, within the caller's transaction; return which.

    Raises RunNotFoundError, and ChunksNotReplayedError unless all that are named are.
    """
    # The run is closed before, or only when they are done.
    await store.lock(connection)
    if await reading.get(connection, wanted.run_no) is None:
        raise RunNotFoundError(f"there is no run {wanted.run_no}")
    found = await replaying.replay(connection, wanted.run_no, sorted(wanted.chunks))
    if not found or (wanted.chunks and wanted.chunks != frozenset(found)):
        left = sorted(wanted.chunks - frozenset(found))
        raise ChunksNotReplayedError(
            f"chunks {left or 'of it'} are not quarantined, or what they held is with a later run"
        )
    content = json.dumps({"chunks": found, "note": wanted.note}, ensure_ascii=False, sort_keys=True)
    await audit.add(connection, now, wanted.by, "replay", [(f"runs/{wanted.run_no}", content)])
    return found
