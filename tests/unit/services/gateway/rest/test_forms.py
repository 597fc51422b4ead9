import copy
from typing import Any

from buf.validate import validate_pb2
from google.protobuf import message_factory
from hypothesis import given
from hypothesis import strategies as st
from lastmile.assignment.v1 import city_pb2, delivery_pb2

from services.gateway.rest.codec import GoogleJsonCodec, JsonRefusedError
from services.gateway.rest.forms import ERRORS_MAX, clip, field_named, wrong_fields
from tests.messages import REQUESTS

CODEC = GoogleJsonCodec()
CREATE = delivery_pb2.CreateDeliveryRequest.DESCRIPTOR
BATCH = delivery_pb2.BatchCreateDeliveriesRequest.DESCRIPTOR
# Names that some request has and some that none has, so that objects nest as deep as requests do.
NAMES = st.sampled_from(
    ["details", "requests", "pickup", "weightG", "weight_g", "latitudeDeg", "profile", "city", "policy", "states",
     "vehicles", "pageSize", "dropWindow", "start", "expiresAt", "role", "packages", "id", "unheardOf",
     "rules", "parameters", "weight", "\ud800"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "1", "NaN", "\ud800", "ROLE_OPS"])
)
BODIES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


def fields(value: dict[str, Any], message: Any = CREATE) -> dict[str, str]:
    return {field: rule for field, _, rule in wrong_fields(message, value, CODEC)}


@given(st.sampled_from(REQUESTS), st.dictionaries(NAMES, BODIES, max_size=4))
def test_a_body_has_wrong_fields_exactly_when_the_codec_refuses_it(message: Any, value: dict[str, Any]) -> None:
    try:
        CODEC.parse(value, message_factory.GetMessageClass(message)())
        refused = False
    except JsonRefusedError:
        refused = True
    wrong = wrong_fields(message, value, CODEC)
    assert bool(wrong) == refused
    assert all(field and description and rule for field, description, rule in wrong)


def test_every_wrong_field_is_named_with_its_path() -> None:
    value = {
        "unheardOf": 1,
        "details": {
            "weightG": "heavy",
            "pickup": {"latitudeDeg": [], "altitude": 3},
            "drop": 7,
            "vehicles": ["VEHICLE_MOTORCYCLE", "ROCKET"],
            "dropWindow": {"start": "yesterday", "end": "2027-01-01T00:00:00Z"},
            "cityCode": "BLR",
        },
    }
    assert fields(value) == {
        "unheardOf": "json.unknown",
        "details.weightG": "json.form",
        "details.pickup.latitudeDeg": "json.form",
        "details.pickup.altitude": "json.unknown",
        "details.drop": "json.form",
        "details.vehicles[1]": "json.form",
        "details.dropWindow.start": "json.form",
    }


def test_a_wrong_row_is_named_by_its_place() -> None:
    rows = [{"details": {"weightG": 1}}, {"details": {"weightG": 1.5}}, 3]
    assert set(fields({"requests": rows}, BATCH)) == {"requests[1].details.weightG", "requests[2]"}
    assert set(fields({"requests": {}}, BATCH)) == {"requests"}


def test_a_wrong_value_of_a_map_is_named_by_its_key() -> None:
    rules = {"a": {"weight": "x", "parameters": {"b_s": [], "c_s": 1}}, "d": {"weight": 1}, "e": 7, "\ud800": {}}
    value = {"code": "BLR", "policy": {"rules": rules}}
    assert set(fields(value, city_pb2.UpdateCityPolicyRequest.DESCRIPTOR)) == {
        "policy.rules['a'].weight",
        "policy.rules['a'].parameters['b_s']",
        "policy.rules['e']",
        "policy.rules['\\ud800']",
    }


def test_a_map_is_cut_to_one_more_than_its_limit_wherever_it_stands() -> None:
    parameters = {f"p{number}": 1 for number in range(50_000)}
    rules: dict[str, Any] = {"first": {"parameters": parameters}} | {f"r{number}": {} for number in range(50_000)}
    clip(city_pb2.UpdateCityPolicyRequest.DESCRIPTOR, {"policy": {"rules": rules}})
    assert (len(rules), len(parameters)) == (101, 21)


def test_no_more_errors_are_named_than_anybody_reads() -> None:
    assert len(wrong_fields(BATCH, {"requests": [3] * 5_000}, CODEC)) == ERRORS_MAX


def test_a_list_is_cut_to_one_more_than_its_limit_wherever_it_stands() -> None:
    details: dict[str, Any] = {"vehicles": ["VEHICLE_CAR"] * 50_000, "weightG": 1}
    value: dict[str, Any] = {"requests": [{"details": details}, 3] + [{}] * 50_000, "unheardOf": [1] * 5_000}
    clip(BATCH, value)
    assert len(value["requests"]) == 1_001
    assert len(details["vehicles"]) == 7
    assert len(value["unheardOf"]) == 5_000


@given(st.sampled_from(REQUESTS), st.dictionaries(NAMES, BODIES, max_size=4))
def test_a_body_within_its_limits_is_left_alone(message: Any, value: dict[str, Any]) -> None:
    before = copy.deepcopy(value)
    clip(message, value)
    assert repr(value) == repr(before)


def test_every_list_of_every_request_has_a_limit() -> None:
    waiting, seen = list(REQUESTS), set()
    while waiting:
        message = waiting.pop()
        seen.add(message.full_name)
        for field in message.fields:
            rules = field.GetOptions().Extensions[validate_pb2.field]
            assert not field.is_repeated or rules.repeated.max_items or rules.map.max_pairs, field
            if field.message_type is not None and field.message_type.full_name not in seen:
                waiting.append(field.message_type)


def test_a_field_goes_by_its_name_in_json_and_in_the_proto() -> None:
    details = delivery_pb2.DeliveryDetails.DESCRIPTOR
    assert field_named(details, "weightG") is field_named(details, "weight_g") is not None
    assert field_named(details, "WeightG") is None
