from typing import Any, cast

from lastmile.assignment.v1 import merchant_pb2
from lastmile.common.v1 import access_pb2 as common_pb2
from lastmile.gateway.v1 import access_pb2

from libs.grpc_server.call import Call, answering
from libs.grpc_server.identity import Principal, Role
from services.gateway.auth.servicer import AccessServicer

MERCHANT_ID = "01a20000-0000-7000-8000-000000000000"


class Primary:
    """The primary, which has written up to a position, and takes keys."""

    async def fetchval(self, *_: Any) -> str:
        return "0/2A"

    async def execute(self, *_: Any) -> None:
        pass


class Channel:
    """The assignment api; remembers the metadata that it was asked with."""

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        async def answer(_request: Any, metadata: Any, timeout: float) -> Any:
            self.metadata = dict(metadata)
            return merchant_pb2.GetMerchantResponse()

        return answer

    stream_unary = unary_unary


class Context:
    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [("authorization", "Bearer token"), ("x-request-id", "r")]


async def test_a_key_can_be_made_for_a_merchant_that_was_registered_a_moment_ago() -> None:
    channel, unused = Channel(), cast(Any, None)
    servicer = AccessServicer(cast(Any, Primary()), unused, unused, cast(Any, channel))
    request = access_pb2.CreateApiKeyRequest(name="test", role=common_pb2.ROLE_MERCHANT, merchant_id=MERCHANT_ID)
    with answering(Call("CreateApiKey", "r", Principal("ops", Role.OPS))) as call:
        answer = await servicer.CreateApiKey(request, Context())
    assert answer.secret
    assert call.response_metadata == {"consistency-token": "0/2A"}
    assert channel.metadata == {"authorization": "Bearer token", "consistency-token": "0/2A"}
