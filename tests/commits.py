"""Commits with events, one after the other for each aggregate, until they are enough."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

import asyncpg

from services.assignment.events import LOG_PREFIX
from tests.events import event_bytes

# What `libs.postgres.log_messages.emit` says, as a transaction of its own.
_EMIT = "SELECT pg_logical_emit_message(true, $1, $2)"


class Load:
    """Commits change after change of every delivery until it is told to stop, and counts them."""

    def __init__(self, dsn: str, cities: Iterable[str], deliveries_each: int, writers: int) -> None:
        self._dsn = dsn
        self._writers = writers
        self.subjects = [(f"deliveries/{city}-{n}", city) for city in cities for n in range(deliveries_each)]
        self.changes = dict.fromkeys((subject for subject, _ in self.subjects), 0)
        self.stop = asyncio.Event()

    @property
    def committed(self) -> int:
        return sum(self.changes.values())

    @property
    def expected(self) -> dict[str, list[int]]:
        """Each subject's sequences."""
        return {subject: list(range(1, changes + 1)) for subject, changes in self.changes.items()}

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for place in range(self._writers):
                group.create_task(self._write(self.subjects[place :: self._writers]))

    async def _write(self, subjects: list[tuple[str, str]]) -> None:
        connection = await asyncpg.connect(self._dsn)
        while not self.stop.is_set():
            for subject, city in subjects:
                change = event_bytes(subject, self.changes[subject] + 1, city)
                await connection.execute(_EMIT, LOG_PREFIX, change.decode())
                self.changes[subject] += 1
        await connection.close()


def by_subject(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Each subject's sequences, in the order in which they come."""
    found: dict[str, list[int]] = defaultdict(list)
    for subject, sequence in pairs:
        found[subject].append(sequence)
    return dict(found)
