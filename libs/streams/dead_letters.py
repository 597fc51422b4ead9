"""What a group could not handle: kept with its bytes and the reason, looked at, and replayed to that group alone."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import redis.asyncio as redis

from libs.streams.names import FIELD, PREFIX, dead_key, replay_key

REASON_CHARACTERS_MAX = 2_000
_PAGE = 500


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that a group gave up on."""

    city_code: str
    # Its id among the dead letters of its city and group.
    letter_id: str
    died_at: datetime
    stream: str
    entry_id: str
    reason: str
    attempts: int
    raw: bytes


async def bury(
    client: redis.Redis,
    city_code: str,
    group: str,
    letter: tuple[str, str, bytes],
    reason: str,
    attempts: int,
    letters_max: int,
) -> None:
    """Move an entry, `letter` = (stream, entry id, bytes), from the group's work to its dead letters, at once."""
    stream, entry_id, raw = letter
    fields: Any = {
        FIELD: raw,
        b"stream": stream,
        b"entry_id": entry_id,
        b"reason": reason[:REASON_CHARACTERS_MAX],
        b"attempts": attempts,
    }
    async with client.pipeline(transaction=True) as pipeline:
        pipeline.xadd(dead_key(city_code, group), fields, maxlen=letters_max, approximate=True)
        pipeline.xack(stream, group, entry_id)
        await pipeline.execute()


async def count(client: redis.Redis, city_codes: Sequence[str], group: str) -> int:
    """Return how many dead letters the group has in these cities."""
    async with client.pipeline(transaction=False) as pipeline:
        for city_code in city_codes:
            pipeline.xlen(dead_key(city_code, group))
        return sum(await pipeline.execute())


async def letters(client: redis.Redis, city_code: str, group: str, start: str = "-") -> AsyncIterator[DeadLetter]:
    """Yield the dead letters of a city and group, oldest first; "(" and an id as `start` begins after that one."""
    while True:
        page: Any = await client.xrange(dead_key(city_code, group), min=start, count=_PAGE)
        for letter_id, fields in page:
            yield _letter(city_code, letter_id.decode(), fields)
        if len(page) < _PAGE:
            return
        start = f"({page[-1][0].decode()}"


async def letter(client: redis.Redis, city_code: str, group: str, letter_id: str) -> DeadLetter | None:
    """Return one dead letter, or None when there is none of that id."""
    found: Any = await client.xrange(dead_key(city_code, group), min=letter_id, max=letter_id)
    return _letter(city_code, found[0][0].decode(), found[0][1]) if found else None


async def replay(client: redis.Redis, group: str, letters_to_replay: Sequence[DeadLetter]) -> None:
    """Put dead letters back for their group, and no other, to handle; they are dead letters no longer."""
    for dead in letters_to_replay:
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.xadd(replay_key(dead.city_code, group), {FIELD: dead.raw})
            pipeline.xdel(dead_key(dead.city_code, group), dead.letter_id)
            await pipeline.execute()


def is_replay(stream: str) -> bool:
    """Whether a stream holds replayed dead letters."""
    return stream.startswith(f"{PREFIX}:{{") and "}:replay:" in stream


def _letter(city_code: str, letter_id: str, fields: dict[bytes, bytes]) -> DeadLetter:
    milliseconds = int(letter_id.partition("-")[0])
    return DeadLetter(
        city_code,
        letter_id,
        datetime.fromtimestamp(milliseconds / 1000, tz=UTC),
        fields[b"stream"].decode(),
        fields[b"entry_id"].decode(),
        fields[b"reason"].decode(),
        int(fields[b"attempts"]),
        fields[FIELD],
    )
