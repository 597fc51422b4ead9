import json

import grpc
import pytest
from google.rpc import status_pb2
from grpc.aio import AioRpcError, Metadata
from hypothesis import given
from hypothesis import strategies as st

from libs.grpc_server import errors
from libs.grpc_server.errors import FieldViolation, ServiceError
from services.gateway.rest.problems import MEDIA_TYPE, Problem, problem_of, refuse, response_of


def rpc_error(code: grpc.StatusCode, details: str = "", status: status_pb2.Status | None = None) -> AioRpcError:
    trailing = Metadata(("grpc-status-details-bin", status.SerializeToString())) if status else Metadata()
    return AioRpcError(code, Metadata(), trailing, details)


def problem_from(error: ServiceError) -> Problem:
    return problem_of(rpc_error(error.code, error.message, error.status()))


@pytest.mark.parametrize(
    ("error", "status", "retryable"),
    [
        (errors.InvalidArgumentError("x"), 400, False),
        (errors.UnauthenticatedError("x"), 401, False),
        (errors.PermissionDeniedError("x"), 403, False),
        (errors.NotFoundError("x"), 404, False),
        (errors.AlreadyExistsError("x"), 409, False),
        (errors.FailedPreconditionError("x"), 409, False),
        (errors.AbortedError("x"), 409, True),
        (errors.ResourceExhaustedError("x"), 429, True),
        (errors.UnavailableError("x"), 503, True),
        (errors.ServiceError("x"), 500, False),
        (errors.FailedPreconditionError("x", reason="IDEMPOTENCY_KEY_REUSED"), 422, False),
    ],
)
def test_each_error_of_a_service_has_its_status(error: ServiceError, status: int, retryable: bool) -> None:
    problem = problem_from(error)
    assert (problem.status, problem.retryable) == (status, retryable)
    assert (problem.reason, problem.detail) == (error.reason, "x")
    assert (problem.retry_after_s is not None) == retryable


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_every_status_becomes_an_answer_even_without_details(code: grpc.StatusCode) -> None:
    response = response_of(problem_of(rpc_error(code)), "r1", "/v1/x")
    content = json.loads(bytes(response.body))
    assert 200 < response.status_code < 600
    assert content["status"] == response.status_code
    assert content["title"]
    assert content["detail"]
    assert ("Retry-After" in response.headers) == content["retryable"]


def test_a_field_is_called_as_in_json_but_for_the_keys_of_a_map() -> None:
    violation = FieldViolation("policy.rules['pickup_travel'].parameters['patience_s'].drop_window", "x", "y")
    (error,) = problem_from(errors.InvalidArgumentError.of(violation)).errors
    assert error[0] == "policy.rules['pickup_travel'].parameters['patience_s'].dropWindow"


def test_what_the_service_did_not_mean_to_say_is_not_repeated() -> None:
    said = problem_of(rpc_error(grpc.StatusCode.UNKNOWN, "Unexpected <class 'KeyError'>: 'secret'"))
    assert (said.status, "secret" in said.detail) == (500, False)
    lost = problem_of(rpc_error(grpc.StatusCode.UNAVAILABLE, "failed to connect to ipv4:10.0.0.7:15051"))
    assert (lost.status, "10.0.0.7" in lost.detail, lost.retry_after_s) == (503, False, 1)


def test_violations_metadata_and_the_time_to_wait_come_through() -> None:
    violations = [FieldViolation("requests[3].details.weight_g", "too light", "int32.gte")]
    error = errors.AbortedError("x", metadata={"state": "pending"}, violations=violations)
    error.retry_after_s = 7.2
    problem = problem_from(error)
    assert problem.errors == (("requests[3].details.weightG", "too light", "int32.gte"),)
    assert problem.metadata == {"state": "pending"}
    assert response_of(problem, "r1", "/x").headers["Retry-After"] == "7"


def test_an_unauthenticated_caller_is_told_how_to_authenticate() -> None:
    assert problem_from(errors.UnauthenticatedError("x")).headers == {"WWW-Authenticate": "Bearer"}


def test_a_refusal_of_the_gateway_keeps_its_headers() -> None:
    problem = refuse(405, "METHOD_NOT_ALLOWED", "no", Allow="GET", Retry_After="1").problem
    response = response_of(problem, "r1", "/x")
    assert response.headers["Allow"] == "GET"
    assert response.headers["Retry-After"] == "1"


@given(st.text(st.characters(), max_size=40), st.text(st.characters(), max_size=20))
def test_any_text_makes_a_valid_problem(detail: str, field: str) -> None:
    response = response_of(refuse(400, "INVALID_ARGUMENT", detail, (field, detail, "rule")).problem, "r1", "/x")
    content = json.loads(bytes(response.body).decode())
    assert response.media_type == MEDIA_TYPE
    assert content["detail"] == detail
    assert content["errors"] == [{"field": field, "description": detail, "rule": "rule"}]
    assert (content["type"], content["instance"], content["requestId"]) == ("/problems/invalid-argument", "/x", "r1")


def test_a_detail_names_fields_as_json_does_and_counts_what_it_leaves_out() -> None:
    violations = [FieldViolation(f"requests[{place}].weight_g", "must be positive", "gt") for place in range(150)]
    problem = problem_from(errors.InvalidArgumentError.of(*violations))
    assert problem.detail.startswith("requests[0].weightG: must be positive; requests[1].weightG")
    assert problem.detail.endswith("; and 140 more")
