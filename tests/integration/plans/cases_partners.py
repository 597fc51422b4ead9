"""Partners, merchants, cities, networks, API keys and the relay's epochs."""

from uuid import UUID, uuid4

from libs.ids import new_id
from services.assignment.partners import store as partners
from tests.integration.plans.case import BATCH, GATEWAY, ID_MAX, PAGE, RELAY, TENANT, Case, many, new_ids
from tests.integration.plans.world import BIG_CITY, SMALL_CITY, World


def _partners(note: str, rows_max: int, **filters: str) -> Case:
    clauses = " ".join(partners._FILTERS[name].format(n=place) for place, name in enumerate(filters, start=3))
    text = partners._LIST.format(filters=clauses)

    def values(w: World) -> list[object]:
        return [ID_MAX, PAGE, *filters.values()]

    return Case("assignment.partners.store.LIST", values, rows_max, note=note, text=text)


def _new_partners(w: World) -> list[object]:
    columns = many(
        "Asha", BIG_CITY, "car", 4, 9_000, 9_000, 700, 12.9, 77.5, "", "by_offer", "online", "", "", None, None, ""
    )
    return [new_ids(), [str(uuid4()) for _ in range(BATCH)], *columns, w.now]


def _profile(w: World) -> list[object]:
    profile = [
        "reference",
        "Asha",
        BIG_CITY,
        "car",
        40,
        90_000,
        900_000,
        700,
        12.9,
        77.5,
        "",
        "by_offer",
        "online",
        "",
        "",
    ]
    return [w.online[0], *profile, None, None, "", w.now]


CITY_VALUES = [2_000, 500, 8_000, 60, 1_800, 300, "{}", "[]"]
PARTNERS = [
    Case("assignment.partners.store.INSERT", _new_partners, 0),
    Case("assignment.partners.store.HOLDERS", lambda w: [[f"partner-0-{place}" for place in range(BATCH)]], BATCH),
    Case("assignment.partners.store.GET", lambda w: [w.online[0]], 1),
    Case("assignment.partners.store.LOCK", lambda w: [w.online[0]], 1),
    Case("assignment.partners.store.SAVE", _profile, 1),
    _partners("of everyone", PAGE),
    _partners("of a city", PAGE, city_code=SMALL_CITY),
    _partners("online in a city", PAGE, city_code=BIG_CITY, availability="online"),
    _partners("online anywhere", 6 * PAGE, availability="online"),
    _partners("by reference", 1, reference="partner-3-7"),
    Case("assignment.partners.store.CITIES", lambda w: [w.online[:BATCH]], BATCH),
]  # fmt: skip
OTHERS = [
    Case("assignment.merchants.store.INSERT", lambda w: [new_id(), "Merchant", str(uuid4()), w.now], 0),
    Case("assignment.merchants.store.HOLDER", lambda w: ["merchant-7"], 1),
    Case("assignment.merchants.store.GET", lambda w: [w.merchant], 1, TENANT),
    Case("assignment.merchants.store.LIST", lambda w: [UUID(int=0), PAGE], PAGE),
    Case("assignment.merchants.store.FIND", lambda w: ["merchant-7", UUID(int=0)], 1),
    Case("assignment.merchants.store.GET_PARTNERS", lambda w: [w.merchant], 1, TENANT),
    Case("assignment.merchants.store.SET_PARTNERS", lambda w: [w.merchant, [], [], w.now, None], 2, TENANT),
    Case("assignment.merchants.store.PARTNERS_OF", lambda w: [[w.merchant, w.small_merchant]], 2),
    Case("assignment.merchants.store.PARTNERS", lambda w: [w.online[:BATCH]], BATCH),
    Case("assignment.cities.store.INSERT", lambda w: [
        "NEW", "City", "Asia/Kolkata", 12.9, 77.5, 3_000, *CITY_VALUES, 1, w.now], 0),
    Case("assignment.cities.store.GET", lambda w: [BIG_CITY], 25),
    Case("assignment.cities.store.LIST", lambda w: ["", PAGE], 25),
    Case("assignment.cities.store.ALL", lambda w: [], 25),
    Case("assignment.cities.store.REPLACE_POLICY", lambda w: [BIG_CITY, *CITY_VALUES], 25),
    Case("assignment.networks.store.SET_HEALTH", lambda w: ["network-1", 0.5, "", w.now], 0),
    Case("assignment.networks.store.SET_CIRCUIT", lambda w: ["network-1", 0.5, "", w.now], 0),
    Case("assignment.networks.store.GET", lambda w: ["network-1"], 20),
    Case("assignment.networks.store.LIST", lambda w: ["", PAGE], 20),
    Case("gateway.auth.store.INSERT", lambda w: [
        b"new", new_id(), "key", "ops", None, None, w.now, None, None], 0, GATEWAY),
    Case("gateway.auth.store.FIND", lambda w: [b"key 7"], 1, GATEWAY),
    Case("gateway.auth.store.LIST", lambda w: [ID_MAX, PAGE], PAGE, GATEWAY),
    Case("gateway.auth.store.REVOKE", lambda w: [new_id(), w.now], 1, GATEWAY),
    Case("libs.postgres.event_slot.RECORD", lambda w: [1], 0, RELAY),
    Case("libs.postgres.event_slot.NEWEST", lambda w: [], 1, RELAY),
    Case("libs.postgres.event_slot.BEGUN", lambda w: [1], 1, RELAY),
    Case("libs.postgres.event_slot.BEGIN", lambda w: [1], 1, RELAY),
]  # fmt: skip
