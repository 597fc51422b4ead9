"""AlertService: outages of what the company depends on, who is at them, and which merchants are told."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lastmile.notification.v1 import alert_pb2, alert_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.grpc_server.identity import Principal
from services.notification.alerts import store
from services.notification.alerts.codec import alert_to, changed_event
from services.notification.alerts.lifecycle import AlertState
from services.notification.database import Database
from services.notification.errors import AlertNotFoundError, AlertRecoveredError

_ID_MAX = UUID(int=(1 << 128) - 1)


class AlertServicer(alert_pb2_grpc.AlertServiceServicer):
    """Answers AlertService."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ListAlerts(  # noqa: N802 - named by the proto
        self, request: alert_pb2.ListAlertsRequest, context: Any
    ) -> alert_pb2.ListAlertsResponse:
        """List alerts."""
        size, before_id = paging.page_size(request), paging.decode_id(request) or _ID_MAX
        async with self._database.query(current_call()) as connection:
            found = await store.search(connection, before_id, size + 1, open_only=request.open_only)
        token = paging.encode(request, str(found[size - 1].id)) if len(found) > size else ""
        return alert_pb2.ListAlertsResponse(alerts=map(alert_to, found[:size]), next_page_token=token)

    async def AcknowledgeAlert(  # noqa: N802 - named by the proto
        self, request: alert_pb2.AcknowledgeAlertRequest, context: Any
    ) -> alert_pb2.AcknowledgeAlertResponse:
        """Say that somebody is at it."""
        call, alert_id, now = current_call(), UUID(request.alert_id), datetime.now(UTC)
        async with self._database.command(call) as connection:
            alert = await store.acknowledge(connection, alert_id, call.principal.subject, now)
            if alert is not None:
                await store.tell(connection, [changed_event(alert, now)])
            else:
                alert = await store.get(connection, alert_id)
        if alert is None:
            raise AlertNotFoundError(f"no alert has the id {request.alert_id}")
        if alert.state is AlertState.RECOVERED:
            raise AlertRecoveredError(f"alert {request.alert_id} is over")
        return alert_pb2.AcknowledgeAlertResponse(alert=alert_to(alert))

    async def SetOutageNews(  # noqa: N802 - named by the proto
        self, request: alert_pb2.SetOutageNewsRequest, context: Any
    ) -> alert_pb2.SetOutageNewsResponse:
        """Say whether a merchant is told of outages."""
        call = current_call()
        merchant_id = _merchant_of(request.merchant_id, call.principal)
        async with self._database.command(call) as connection:
            await store.set_news(connection, merchant_id, datetime.now(UTC), wanted=request.wanted)
        return alert_pb2.SetOutageNewsResponse(wanted=request.wanted)

    async def GetOutageNews(  # noqa: N802 - named by the proto
        self, request: alert_pb2.GetOutageNewsRequest, context: Any
    ) -> alert_pb2.GetOutageNewsResponse:
        """Return whether a merchant is told of outages."""
        call = current_call()
        merchant_id = _merchant_of(request.merchant_id, call.principal)
        async with self._database.query(call) as connection:
            wanted = await store.wants_news(connection, merchant_id)
        return alert_pb2.GetOutageNewsResponse(wanted=wanted)


def _merchant_of(named: str, principal: Principal) -> UUID:
    own = principal.merchant_id
    if own is not None and named.lower() not in ("", own.lower()):
        raise InvalidArgumentError.of(FieldViolation("merchant_id", "is not you; leave it empty", "merchant.own"))
    if own is None and not named:
        raise InvalidArgumentError.of(FieldViolation("merchant_id", "says which merchant", "merchant.named"))
    return UUID(own or named)
