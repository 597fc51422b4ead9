"""ProviderService: the providers of every channel, and how they fare by what all senders say."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import redis.asyncio as redis
from lastmile.notification.v1 import provider_pb2, provider_pb2_grpc
from redis.exceptions import RedisError

from libs.grpc_server.call import current_call
from libs.resilience.board import Report, read_board
from libs.resilience.circuit import CircuitState
from services.notification.database import Database
from services.notification.enums.codec import CHANNEL_NUMBERS
from services.notification.errors import CircuitsUnavailableError
from services.notification.routes import Routes
from services.notification.status import store

COUNTED_MAX = 10_000
_STATES = {state: provider_pb2.CircuitState.Value(f"CIRCUIT_STATE_{state.name}") for state in CircuitState}
# The worst one first.
_ORDER = (CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.RETURNING, CircuitState.CLOSED)


class ProviderServicer(provider_pb2_grpc.ProviderServiceServicer):
    """Answers ProviderService."""

    def __init__(self, database: Database, client: redis.Redis, routes: Routes) -> None:
        self._database = database
        self._client = client
        self._routes = routes

    async def ListProviders(  # noqa: N802 - named by the proto
        self, request: provider_pb2.ListProvidersRequest, context: Any
    ) -> provider_pb2.ListProvidersResponse:
        """List the providers."""
        try:
            reports = await read_board(self._client)
        except (RedisError, OSError) as error:
            raise CircuitsUnavailableError("what senders say of providers cannot be read; try again") from error
        async with self._database.query(current_call()) as connection:
            backlog = await store.backlog(connection, sorted(self._routes), datetime.now(UTC), COUNTED_MAX)
        providers = [
            _provider(name, channel, place, reports)
            for channel, names in sorted(self._routes.items())
            for place, name in enumerate(names, 1)
        ]
        return provider_pb2.ListProvidersResponse(
            providers=providers, messages_due=backlog.due, outcomes_unknown=backlog.unknown
        )


def _provider(name: str, channel: str, place: int, reports: Iterable[Report]) -> provider_pb2.Provider:
    own = [report for report in reports if report.dependency == f"notification.{name}"]
    worst = min(own, key=lambda report: _ORDER.index(report.state), default=None)
    said = provider_pb2.Provider(name=name, channel=CHANNEL_NUMBERS[channel], place=place)
    if worst is not None:
        said.circuit, said.share = _STATES[worst.state], worst.share
        said.cause = "" if worst.state is CircuitState.CLOSED else worst.cause
    return said
