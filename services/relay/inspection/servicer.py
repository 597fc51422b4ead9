"""StreamService: translates between the calls and what Redis knows of streams, consumers and dead letters."""

import re
from collections.abc import Iterable
from typing import Any

import redis.asyncio as redis
from google.protobuf.timestamp_pb2 import Timestamp
from lastmile.streams.v1 import stream_pb2, stream_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.streams import dead_letters, groups
from libs.streams.dead_letters import DeadLetter
from libs.streams.names import GROUPS, NO_CITY, StreamName
from services.relay.errors import ConsumerAliveError, ConsumerNotFoundError, DeadLetterNotFoundError

REPLAYED_MAX = 1_000
_PUBLIC_ID = re.compile(r"[^.]{1,16}\.\d{1,15}-\d{1,15}")


class StreamServicer(stream_pb2_grpc.StreamServiceServicer):
    """Answers StreamService."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    async def ListStreams(  # noqa: N802 - named by the proto
        self, request: stream_pb2.ListStreamsRequest, context: Any
    ) -> stream_pb2.ListStreamsResponse:
        """List the streams in the order of their keys."""
        size, after = paging.page_size(request), paging.decode(request) or ""
        names = sorted((str(name), name) for name in await self._names())
        page = [(key, name) for key, name in names if key > after][: size + 1]
        streams = [await self._stream(key, name) for key, name in page[:size]]
        token = paging.encode(request, page[size - 1][0]) if len(page) > size else ""
        return stream_pb2.ListStreamsResponse(streams=streams, next_page_token=token)

    async def ListConsumers(  # noqa: N802 - named by the proto
        self, request: stream_pb2.ListConsumersRequest, context: Any
    ) -> stream_pb2.ListConsumersResponse:
        """List the consumers in the order of their names."""
        size, after = paging.page_size(request), paging.decode(request) or ""
        page = [name for name in sorted(await self._groups()) if name > after][: size + 1]
        consumers = await self._consumers(page[:size])
        token = paging.encode(request, page[size - 1]) if len(page) > size else ""
        return stream_pb2.ListConsumersResponse(consumers=consumers, next_page_token=token)

    async def RetireConsumer(  # noqa: N802 - named by the proto
        self, request: stream_pb2.RetireConsumerRequest, context: Any
    ) -> stream_pb2.RetireConsumerResponse:
        """Forget a consumer of which no process lives."""
        group = request.consumer
        if group not in await self._groups():
            raise ConsumerNotFoundError(f"there is no consumer {group}")
        if await groups.processes_alive(self._client, group):
            raise ConsumerAliveError(f"a process of {group} lives: stop it first, and wait until it is given up")
        await self._client.srem(GROUPS, group)
        for name in await self._names():
            await self._client.xgroup_destroy(str(name), group)
        return stream_pb2.RetireConsumerResponse()

    async def ListDeadLetters(  # noqa: N802 - named by the proto
        self, request: stream_pb2.ListDeadLettersRequest, context: Any
    ) -> stream_pb2.ListDeadLettersResponse:
        """List a consumer's dead letters."""
        size = paging.page_size(request)
        page = await self._letters(request.consumer, paging.decode(request) or "", size + 1)
        found = [_proto_of(letter, with_content=False) for letter in page[:size]]
        token = paging.encode(request, _public_id(page[size - 1])) if len(page) > size else ""
        return stream_pb2.ListDeadLettersResponse(dead_letters=found, next_page_token=token)

    async def GetDeadLetter(  # noqa: N802 - named by the proto
        self, request: stream_pb2.GetDeadLetterRequest, context: Any
    ) -> stream_pb2.GetDeadLetterResponse:
        """Return one dead letter."""
        (letter,) = await self._named_letters(request.consumer, [request.dead_letter_id])
        return stream_pb2.GetDeadLetterResponse(dead_letter=_proto_of(letter, with_content=True))

    async def ReplayDeadLetters(  # noqa: N802 - named by the proto
        self, request: stream_pb2.ReplayDeadLettersRequest, context: Any
    ) -> stream_pb2.ReplayDeadLettersResponse:
        """Put dead letters back."""
        group = request.consumer
        if request.dead_letter_ids:
            letters = await self._named_letters(group, dict.fromkeys(request.dead_letter_ids))
        else:
            letters = await self._letters(group, "", REPLAYED_MAX)
        await dead_letters.replay(self._client, group, letters)
        remaining = await dead_letters.count(self._client, await self._cities(), group)
        return stream_pb2.ReplayDeadLettersResponse(replayed=len(letters), remaining=remaining)

    async def _stream(self, key: str, name: StreamName) -> stream_pb2.Stream:
        info: Any = await self._client.xinfo_stream(key)
        return stream_pb2.Stream(
            name=key,
            city_code="" if name.city_code == NO_CITY else name.city_code,
            epoch=name.epoch,
            events=info["length"],
            newest_entry_id=info["last-generated-id"].decode(),
        )

    async def _consumers(self, names: list[str]) -> list[stream_pb2.Consumer]:
        cities = await self._cities()
        found = {name: stream_pb2.Consumer(name=name) for name in names}
        for stream in await self._names():
            progress = await groups.progress(self._client, str(stream))
            length = await self._client.xlen(str(stream))
            for name, consumer in found.items():
                state = progress.get(name)
                # A stream that it has not begun is unread to it.
                consumer.unread_events += length if state is None else state["unread"] or 0
                consumer.pending_events += state["pending"] if state else 0
        for name, consumer in found.items():
            consumer.processes = await groups.processes_alive(self._client, name)
            consumer.dead_letters = await dead_letters.count(self._client, cities, name)
        return list(found.values())

    async def _letters(self, group: str, after: str, letters_max: int) -> list[DeadLetter]:
        """Return up to `letters_max` dead letters after the one of this public id, by city and age."""
        if after and not _PUBLIC_ID.fullmatch(after):
            raise InvalidArgumentError.of(FieldViolation("page_token", "names no dead letter", "page_token.foreign"))
        after_city, _, after_id = after.partition(".")
        found: list[DeadLetter] = []
        for city in await self._cities():
            if city < after_city:
                continue
            start = f"({after_id}" if city == after_city else "-"
            async for letter in dead_letters.letters(self._client, city, group, start):
                if len(found) == letters_max:
                    return found
                found.append(letter)
        return found

    async def _named_letters(self, group: str, public_ids: Iterable[str]) -> list[DeadLetter]:
        found = []
        for public_id in public_ids:
            city, _, letter_id = public_id.partition(".")
            letter = await dead_letters.letter(self._client, city, group, letter_id)
            if letter is None:
                raise DeadLetterNotFoundError(f"{group} has no dead letter {public_id}")
            found.append(letter)
        return found

    async def _names(self) -> list[StreamName]:
        return [name for names in (await groups.streams_by_city(self._client)).values() for name in names]

    async def _cities(self) -> list[str]:
        return sorted(await groups.streams_by_city(self._client))

    async def _groups(self) -> set[str]:
        members: Any = await self._client.smembers(GROUPS)
        return {member.decode() for member in members}


def _public_id(letter: DeadLetter) -> str:
    return f"{letter.city_code}.{letter.letter_id}"


def _proto_of(letter: DeadLetter, *, with_content: bool) -> stream_pb2.DeadLetter:
    died_at = Timestamp()
    died_at.FromDatetime(letter.died_at)
    return stream_pb2.DeadLetter(
        id=_public_id(letter),
        died_at=died_at,
        reason=letter.reason,
        attempts=letter.attempts,
        stream=letter.stream,
        entry_id=letter.entry_id,
        content=letter.raw if with_content else b"",
    )
