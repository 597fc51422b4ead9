import pytest
from lastmile.assignment.v1 import assignment_pb2, city_pb2, delivery_pb2, merchant_pb2, network_pb2, partner_pb2
from lastmile.events.v1 import event_pb2

from services.assignment.cached_queries import CacheWindows, queries_of
from services.assignment.events import TYPES
from services.assignment.handlers.cache_projector import covering, tags_of

OFFER = assignment_pb2.Offer(partner_id="p")
CHANGE = delivery_pb2.DeliveryChange(partner_id="q")
EVENTS = {
    "city_changed": (event_pb2.CityChanged(city=city_pb2.City(code="BLR")), {"cities"}),
    "partner_network_changed": (
        event_pb2.PartnerNetworkChanged(network=network_pb2.PartnerNetwork(code="n")), {"networks"},
    ),
    "merchant_created": (
        event_pb2.MerchantCreated(merchant=merchant_pb2.Merchant(id="m")), {"merchants/m", "merchants"},
    ),
    "merchant_partners_changed": (event_pb2.MerchantPartnersChanged(), {"merchants/m"}),
    "partner_changed": (
        event_pb2.PartnerChanged(partner=partner_pb2.Partner(id="P")), {"partners/p", "partners@BLR"},
    ),
    "delivery_created": (event_pb2.DeliveryCreated(), {"deliveries@city/BLR", "deliveries@merchant/m"}),
    "delivery_state_changed": (
        event_pb2.DeliveryStateChanged(change=CHANGE, offer=OFFER),
        {"deliveries@city/BLR", "deliveries@merchant/m", "partners@BLR", "partners/p", "partners/q"},
    ),
}  # fmt: skip
SUBJECTS = {"merchant_created": "merchants/m", "merchant_partners_changed": "merchants/m/partners"}


@pytest.mark.parametrize("kind", TYPES)
def test_every_kind_of_event_outdates_what_it_changes(kind: str) -> None:
    data, tags = EVENTS[kind]
    event = event_pb2.Event(subject=SUBJECTS.get(kind, "s/1"), city_code="BLR", merchant_id="m", **{kind: data})
    assert set(tags_of(event)) == tags


def test_an_event_is_covered_only_by_what_lies_beyond_the_start_of_its_commit() -> None:
    assert covering("1000-3") == 1_001


def test_every_query_is_in_the_table_and_a_window_of_nothing_keeps_nothing() -> None:
    nothing = CacheWindows(**dict.fromkeys(CacheWindows.model_fields, 0))
    assert set(queries_of(nothing).values()) == {None}
    modules = (assignment_pb2, city_pb2, delivery_pb2, merchant_pb2, network_pb2, partner_pb2)
    reads = {
        f"/{service.full_name}/{method.name}"
        for module in modules
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if method.name.startswith(("Get", "List", "Explain"))
    }
    # It reads no database: the rules are in the process.
    assert reads - {"/lastmile.assignment.v1.CityService/ListMatchingRules"} == set(queries_of(CacheWindows()))
