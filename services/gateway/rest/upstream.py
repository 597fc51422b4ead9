"""Where services are called: commands and reads apart, so that no command waits behind reads."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

import grpc

from libs.resilience.turns import Turns
from services.gateway.rest.limits import RestLimits
from services.gateway.rest.problems import ProblemError, refuse

_Call = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


class Upstream:
    """Channels to one service's server, taken in turn. Reads have channels of their own, and so many turns at once."""

    def __init__(self, target: str, limits: RestLimits, reads_target: str = "") -> None:
        """`reads_target` is where reads are answered, if elsewhere."""
        self._channels = {False: _channels(target, limits), True: _channels(reads_target or target, limits)}
        self._calls: dict[tuple[str, bool], list[_Call]] = {}
        self._turn = 0
        self._reads = Turns(limits.reads_at_once_max, limits.reads_waiting_max, limits.read_wait_ms_max, _too_many)

    def turn(self, *, is_read: bool) -> AbstractAsyncContextManager[None]:
        """Hold a turn for the block: a command has it at once; raise the ProblemError 503 of too many reads."""
        return self._reads.turn() if is_read else nullcontext()

    def call(self, rpc: str, *, is_read: bool) -> _Call:
        """Return the RPC on the next channel; it takes and gives serialized messages."""
        channels = self._channels[is_read]
        calls = self._calls.get((rpc, is_read))
        if calls is None:
            calls = self._calls[rpc, is_read] = [channel.unary_unary(rpc, None, None) for channel in channels]
        self._turn = (self._turn + 1) % len(channels)
        return calls[self._turn]

    def stream_call(self, rpc: str) -> grpc.aio.StreamUnaryMultiCallable[bytes, bytes]:
        """Return a command that takes a stream of serialized messages, on the next channel."""
        channels = self._channels[False]
        self._turn = (self._turn + 1) % len(channels)
        return channels[self._turn].stream_unary(rpc, None, None)

    def streaming_call(self, rpc: str) -> grpc.aio.UnaryStreamMultiCallable[bytes, bytes]:
        """Return a read that gives a stream of serialized messages, on the next channel."""
        channels = self._channels[True]
        self._turn = (self._turn + 1) % len(channels)
        return channels[self._turn].unary_stream(rpc, None, None)

    async def close(self) -> None:
        """Close the channels."""
        await asyncio.gather(*(channel.close(None) for channels in self._channels.values() for channel in channels))


def _channels(target: str, limits: RestLimits) -> list[grpc.aio.Channel]:
    options = [
        ("grpc.max_receive_message_length", limits.response_bytes_max),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1_000),
    ]
    return [grpc.aio.insecure_channel(target, options=options) for _ in range(limits.channels)]


def _too_many() -> ProblemError:
    return refuse(503, "READS_TOO_MANY", "too many reads wait for an answer; try again")
