import re
from collections import Counter

import pytest
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.app import service_descriptors
from services.gateway.rest.routes import Route, find_field, routes_of

ROUTES = routes_of(service_descriptors())
SEGMENT = st.text(st.characters(exclude_characters="/:\n", exclude_categories=["Cs"]), min_size=1, max_size=12)
VARIABLE = re.compile(r"\{[a-z0-9_.]+\}")


def service(template: str, body: str = "") -> ServiceDescriptor:
    """A service with one RPC, Get(Request{id, other{code}}), at a path."""
    file = descriptor_pb2.FileDescriptorProto(name="made.proto", package="made", syntax="proto3")
    other = file.message_type.add(name="Other")
    other.field.add(name="code", number=1, type=9, label=1)
    request = file.message_type.add(name="Request")
    request.field.add(name="id", number=1, type=9, label=1)
    request.field.add(name="other", number=2, type=11, type_name=".made.Other", label=1)
    method = file.service.add(name="Made").method.add(
        name="Get", input_type=".made.Request", output_type=".made.Request"
    )
    rule = method.options.Extensions[annotations_pb2.http]
    rule.post, rule.body = template, body
    rule.additional_bindings.add(get="/second/{id}")
    pool = descriptor_pool.DescriptorPool()
    for known in (descriptor_pb2.DESCRIPTOR, http_pb2.DESCRIPTOR, annotations_pb2.DESCRIPTOR):
        pool.AddSerializedFile(known.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName("made.Made")


def test_every_rpc_but_the_streaming_ones_has_a_route_and_no_two_share_one() -> None:
    routed = {route.rpc for route in ROUTES}
    for descriptor in service_descriptors():
        for method in descriptor.methods:
            streams = method.client_streaming or method.server_streaming
            assert f"/{descriptor.full_name}/{method.name}" in routed or streams, method.full_name
    shapes = Counter((route.verb, VARIABLE.sub("{}", route.template)) for route in ROUTES)
    assert shapes.most_common(1)[0][1] == 1


@given(st.sampled_from(ROUTES), st.data())
def test_a_path_made_from_a_template_leads_to_its_route_alone_and_gives_its_values_back(
    route: Route, data: st.DataObject
) -> None:
    values = [data.draw(SEGMENT) for _ in route.path_fields]
    filled = iter(values)
    path = VARIABLE.sub(lambda _: next(filled), route.template)
    matches = [found for found in ROUTES if found.verb == route.verb and found.pattern.fullmatch(path)]
    literal = [found for found in matches if not found.path_fields]
    assert route in matches
    assert matches == [route] or literal
    found = route.pattern.fullmatch(path)
    assert found is not None
    assert list(found.groups()) == values


def test_nothing_but_the_whole_path_matches() -> None:
    route = next(route for route in ROUTES if route.template == "/v1/deliveries/{delivery_id}")
    assert route.pattern.fullmatch("/v1/deliveries/a")
    for path in (
        "/v1/deliveries/",
        "/v1/deliveries/a/b",
        "/v1/deliveries/a:cancel",
        "/v2/deliveries/a",
        "v1/deliveries/a",
    ):
        assert route.pattern.fullmatch(path) is None, path


def test_nested_fields_and_more_bindings_are_routes() -> None:
    first, second = routes_of([service("/first/{other.code}:do", "*")])
    assert (first.verb, first.path_fields, first.body) == ("POST", ("other.code",), "*")
    assert first.pattern.fullmatch("/first/x:do")
    assert (second.verb, second.template) == ("GET", "/second/{id}")


@pytest.mark.parametrize(("template", "body"), [("/a/{gone}", ""), ("/a/{id.deeper}", ""), ("/a", "gone")])
def test_an_annotation_that_names_no_field_stops_the_start(template: str, body: str) -> None:
    with pytest.raises(ValueError, match="which its request does not have"):
        routes_of([service(template, body)])


def test_an_empty_field_path_names_nothing() -> None:
    with pytest.raises(ValueError, match="does not have"):
        find_field(ROUTES[0].method, "")
