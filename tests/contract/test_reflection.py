"""What grpcurl does: ask a server what it serves, build requests from its descriptors alone, and call it."""

import grpc
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from libs.embedded.stack import RunningStack
from tests.rest import Rest

ASSIGNMENT = {
    f"lastmile.assignment.v1.{name}"
    for name in (
        "AssignmentService",
        "CityService",
        "DeliveryService",
        "MerchantService",
        "NetworkWebhookService",
        "PartnerNetworkService",
        "PartnerService",
    )
}
RECONCILIATION = {
    f"lastmile.reconciliation.v1.{name}"
    for name in (
        "ExceptionService",
        "LedgerService",
        "PaperService",
        "RateCardService",
        "RunService",
        "SettlementService",
        "StatementService",
    )
}
STANDARD = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.mark.parametrize(
    ("target", "services"),
    [
        ("grpc_target", ASSIGNMENT),
        ("reconciliation_target", RECONCILIATION),
        ("access_target", {"lastmile.gateway.v1.AccessService"}),
    ],
)
def test_every_server_lists_its_services_and_is_healthy(
    running_stack: RunningStack, target: str, services: set[str]
) -> None:
    with grpc.insecure_channel(getattr(running_stack, target)) as channel:
        assert set(ProtoReflectionDescriptorDatabase(channel).get_services()) == services | STANDARD
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", *services):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_client_that_knows_nothing_can_call_every_query(running_stack: RunningStack, ops: Rest) -> None:
    token = ops.post("/v1/tokens", {"apiKey": running_stack.ops_api_key})["accessToken"]
    city = ops.city()
    sent = (("authorization", f"Bearer {token}"), ("consistency-token", ops.http.headers["Consistency-Token"]))
    with grpc.insecure_channel(running_stack.grpc_target) as channel:
        pool = descriptor_pool.DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        called = 0
        for name in sorted(ASSIGNMENT):
            for method in pool.FindServiceByName(name).methods:
                if method.name.startswith("List"):
                    called += 1
                    call = channel.unary_unary(
                        f"/{name}/{method.name}",
                        message_factory.GetMessageClass(method.input_type).SerializeToString,
                        message_factory.GetMessageClass(method.output_type).FromString,
                    )
                    request = message_factory.GetMessageClass(method.input_type)(page_size=500)
                    answer = call(request, metadata=sent, timeout=10)
                    if method.name == "ListCities":
                        assert city in json_format.MessageToJson(answer)
        assert called == 8


def test_a_call_without_a_token_is_unauthenticated(running_stack: RunningStack) -> None:
    with grpc.insecure_channel(running_stack.grpc_target) as channel:
        call = channel.unary_unary("/lastmile.assignment.v1.CityService/ListCities", None, None)
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=10)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
