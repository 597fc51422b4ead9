"""Appends events to their cities' streams. A stream refuses an id that is not above its last: that is a replay."""

from collections.abc import Sequence

from redis.exceptions import ResponseError

from libs.streams.codec import UndecodableEventError, city_of
from libs.streams.names import EPOCHS, FIELD, NO_CITY, STREAMS, StreamName
from services.relay import metrics
from services.relay.errors import StreamsAheadError
from services.relay.publishing.redis_session import Command, RedisSession

_REFUSED = "equal or smaller than the target stream top item"


class Appender:
    """Appends through one session of Redis."""

    def __init__(self, session: RedisSession, epoch: int) -> None:
        self._session = session
        self._epoch = epoch
        self._names: dict[str, str] = {}

    async def epoch_is_kept(self) -> bool:
        """Whether Redis has streams of this epoch."""
        return bool(await self._session.ask("SISMEMBER", EPOCHS, self._epoch))

    async def begin_epoch(self) -> None:
        """Say that streams of this epoch are to come."""
        await self._session.ask("SADD", EPOCHS, self._epoch)

    async def refuse_streams_ahead(self, end_lsn: int) -> None:
        """Raise StreamsAheadError when a stream has an id beyond the end of the log."""
        members: list[bytes] = await self._session.ask("SMEMBERS", STREAMS)
        for name in filter(None, (StreamName.parse(member.decode()) for member in members)):
            if name.epoch != self._epoch:
                continue
            newest = await self._session.ask("XREVRANGE", str(name), "+", "-", "COUNT", 1)
            if newest and int(newest[0][0].partition(b"-")[0]) > end_lsn:
                raise StreamsAheadError(str(name), newest[0][0].decode(), end_lsn)

    async def append(self, entries: Sequence[tuple[str, bytes]]) -> int:
        """Append `entries`, (id, content), all or none; return how many the streams did not have yet.

        All or none, because a later event must not be in its stream without the ones before it: those would be refused.
        """
        new: list[Command] = []
        commands: list[Command] = []
        for entry_id, content in entries:
            city = _city(content)
            stream = self._names.get(city)
            if stream is None:
                stream = self._names[city] = str(StreamName(city, self._epoch))
                new.append(("SADD", STREAMS, stream))
            commands.append(("XADD", stream, entry_id, FIELD, content))
        try:
            answers = await self._session.transaction([*new, *commands])
        except BaseException:
            self._names.clear()
            raise
        refused = 0
        for answer in answers:
            if isinstance(answer, ResponseError):
                if _REFUSED not in str(answer):
                    raise answer
                refused += 1
        metrics.APPENDED.inc(len(entries) - refused)
        metrics.REPLAYED.inc(refused)
        return len(entries) - refused

    async def prove_alive(self) -> None:
        """Return if the Redis that was appended to has lived until now."""
        await self._session.ask("PING")


def _city(content: bytes) -> str:
    try:
        return city_of(content) or NO_CITY
    except UndecodableEventError:
        # Not lost, and nobody's to stop for: each consumer finds it, and keeps it as a dead letter.
        return NO_CITY
