"""Webhooks of partner networks to the assignment api, as they came."""

from collections.abc import Mapping

from lastmile.assignment.v1 import network_webhook_pb2 as pb

from services.gateway.rest.upstream import Upstream

_RPC = "/lastmile.assignment.v1.NetworkWebhookService/ReceiveNetworkWebhook"
_PREFIX = "NETWORK_UPDATE_OUTCOME_"
TOO_EARLY = "TOO_EARLY"


async def receive_network_webhook(
    upstream: Upstream, network_code: str, headers: Mapping[str, str], body: bytes, request_id: str, timeout_s: float
) -> dict[str, str]:
    """Return what a webhook came to: outcome, reason and offerState, without what is empty. Raises AioRpcError."""
    request = pb.ReceiveNetworkWebhookRequest(
        network_code=network_code,
        webhook_id=headers.get("webhook-id", ""),
        webhook_timestamp=headers.get("webhook-timestamp", ""),
        webhook_signature=headers.get("webhook-signature", ""),
        body=body,
    )
    call = upstream.call(_RPC, is_read=False)
    raw = await call(request.SerializeToString(), timeout=timeout_s, metadata=[("x-request-id", request_id)])
    response = pb.ReceiveNetworkWebhookResponse.FromString(raw)
    said = {
        "outcome": pb.NetworkUpdateOutcome.Name(response.outcome).removeprefix(_PREFIX),
        "reason": response.reason,
        "offerState": response.offer_state,
    }
    return {name: value for name, value in said.items() if value}
