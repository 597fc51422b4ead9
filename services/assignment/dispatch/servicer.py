"""NetworkWebhookService: verifies webhooks, and translates between them and what networks tell."""

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from lastmile.assignment.v1 import network_webhook_pb2 as pb
from lastmile.assignment.v1 import network_webhook_pb2_grpc
from pydantic import BaseModel, ConfigDict, Field

from libs.grpc_server.errors import InvalidArgumentError, NotFoundError, UnauthenticatedError
from services.assignment.dispatch import metrics
from services.assignment.dispatch.network import NetworkConfig, Secrets
from services.assignment.dispatch.signatures import TOLERANCE_S_MAX, SignatureError, SignedHeaders, verify
from services.assignment.dispatch.update import Answer, Outcome, UpdateRefusedError, update_of
from services.assignment.dispatch.updates import NetworkUpdates
from services.assignment.idempotency.command import IdempotentCommand

log = logging.getLogger("webhooks")

_METHOD = "/lastmile.assignment.v1.NetworkWebhookService/ReceiveNetworkWebhook"
_UNKNOWN = "unknown"
_OUTCOMES = {outcome: pb.NetworkUpdateOutcome.Value(f"NETWORK_UPDATE_OUTCOME_{outcome.name}") for outcome in Outcome}


class WebhookLimits(BaseModel):
    """What is taken from networks."""

    model_config = ConfigDict(frozen=True)

    tolerance_s: int = Field(
        TOLERANCE_S_MAX, gt=0, le=TOLERANCE_S_MAX, description="A webhook of another time than now by more is refused"
    )
    body_bytes_max: int = Field(64 * 1024, gt=0, le=1024 * 1024, description="A larger webhook is refused")
    secrets_reread_s: float = Field(30.0, gt=0, description="A secret is read again after this")


class NetworkWebhookServicer(network_webhook_pb2_grpc.NetworkWebhookServiceServicer):
    """Answers NetworkWebhookService."""

    def __init__(self, networks: Mapping[str, NetworkConfig], updates: NetworkUpdates, limits: WebhookLimits) -> None:
        self._networks = {code: config for code, config in networks.items() if config.webhook_secrets}
        self._secrets = {
            code: Secrets(config.webhook_secrets, limits.secrets_reread_s) for code, config in self._networks.items()
        }
        for secrets in self._secrets.values():
            # A missing one stops the start.
            secrets.values()
        self._updates = updates
        self._limits = limits

    async def ReceiveNetworkWebhook(  # noqa: N802 - named by the proto
        self, request: pb.ReceiveNetworkWebhookRequest, context: Any
    ) -> pb.ReceiveNetworkWebhookResponse:
        """Verify a webhook and do what it tells. Nothing of it is read before its signature is verified."""
        network = self._networks.get(request.network_code)
        if network is None:
            metrics.REFUSED.labels(_UNKNOWN, "NETWORK_UNKNOWN").inc()
            raise NotFoundError("no network of this code sends webhooks", reason="NETWORK_UNKNOWN")
        self._verify(request)
        try:
            update = update_of(json.loads(request.body), network.mapping.callback)
        except (UpdateRefusedError, ValueError, RecursionError) as error:
            metrics.REFUSED.labels(network.code, "WEBHOOK_MALFORMED").inc()
            said = str(error) if isinstance(error, UpdateRefusedError) else "the body is no JSON"
            raise InvalidArgumentError(said, reason="WEBHOOK_MALFORMED") from None
        if update is None:
            metrics.UPDATES.labels(network.code, Outcome.IGNORED.value).inc()
            return _response(Answer(Outcome.IGNORED))
        digest = hashlib.sha256(request.body).digest()
        command = IdempotentCommand(f"network:{network.code}", request.webhook_id, _METHOD, digest, None)
        return _response(await self._updates.apply(network.code, update, command))

    def _verify(self, request: pb.ReceiveNetworkWebhookRequest) -> None:
        code = request.network_code
        if len(request.body) > self._limits.body_bytes_max:
            metrics.REFUSED.labels(code, "WEBHOOK_TOO_LARGE").inc()
            said = f"the body has more than {self._limits.body_bytes_max} bytes"
            raise InvalidArgumentError(said, reason="WEBHOOK_TOO_LARGE")
        headers = SignedHeaders(request.webhook_id, request.webhook_timestamp, request.webhook_signature)
        secrets = self._secrets[code].values()
        try:
            verify(headers, request.body, secrets, self._limits.tolerance_s, datetime.now(UTC))
        except SignatureError as error:
            metrics.REFUSED.labels(code, error.reason).inc()
            log.warning("a webhook was refused", extra={"network": code, "reason": error.reason})
            raise UnauthenticatedError(str(error), reason=error.reason) from None


def _response(answer: Answer) -> pb.ReceiveNetworkWebhookResponse:
    return pb.ReceiveNetworkWebhookResponse(
        outcome=_OUTCOMES[answer.outcome], reason=answer.reason, offer_state=answer.offer_state
    )
