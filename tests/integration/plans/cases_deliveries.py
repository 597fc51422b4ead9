"""Deliveries, their references and changes, and idempotency keys."""

from datetime import timedelta
from uuid import UUID, uuid4

from libs.ids import floor_at
from services.assignment.deliveries import store as deliveries
from tests.integration.plans.case import (
    AVERAGE,
    BATCH,
    COMMON,
    ID_MAX,
    MATCHER,
    OPERATOR,
    PAGE,
    TENANT,
    WEEKS,
    Case,
    many,
    new_ids,
)
from tests.integration.plans.world import BIG_CITY, SMALL_CITY, World


def _delivery_rows(w: World) -> list[object]:
    due = w.now + timedelta(hours=2)
    columns = many("", BIG_CITY, 12.9, 77.5, 12.9, 77.6, 300, 200, 150, 1200, w.now, w.now, due)
    return [new_ids(), *many(w.merchant), *columns, *many(None, None, None, None, "", "", w.now, w.now)]


def _list(**filters: object) -> tuple[str, list[object]]:
    return deliveries.LISTS.statement(filters)


def _keys(w: World) -> list[object]:
    return [[key["scope"] for key in w.keys], [key["key"] for key in w.keys]]


def _new_keys(w: World) -> list[object]:
    columns = many(w.merchant, "/Create", b"\0", b"\0", w.now)
    return [*many("scope"), [str(uuid4()) for _ in range(BATCH)], *columns]


def _thirteen_weeks_ago(w: World) -> list[object]:
    return [UUID(int=0), floor_at(w.now - timedelta(weeks=13)), 1_000]


def _largest(w: World) -> UUID:
    return w.merchant


def _merchant_of_reference(w: World) -> UUID:
    merchant_id: UUID = w.references[0]["merchant_id"]
    return merchant_id


def _deliveries(note: str, rows_max: int, role: str = OPERATOR, since_days: int = 0, **filters: object) -> Case:
    """A list of deliveries; `merchant_id` and `partner_id` are chosen by the world."""
    chosen = {"merchant_id": UUID(int=1), "partner_id": UUID(int=2), "merchant_reference": "3"}
    text, _ = _list(**{name: chosen.get(name, value) for name, value in filters.items()})

    def values(w: World) -> list[object]:
        real = {
            "merchant_id": merchant(w),
            "partner_id": w.offers[0]["partner_id"],
            "merchant_reference": w.references[0]["merchant_reference"],
        }
        given = {name: real.get(name, value) for name, value in filters.items()}
        lowest = floor_at(w.now - timedelta(days=since_days)) if since_days else UUID(int=0)
        return [lowest, ID_MAX, PAGE, *_list(**given)[1]]

    statement = "assignment.deliveries.store.LIST"
    weeks_max = 1 + -(-since_days // 7) + 9 if since_days else None
    merchant = _merchant_of_reference if "merchant_reference" in filters else _largest
    return Case(statement, values, rows_max, role, weeks_max, note, text, merchant)


RARE, OPEN = ["attempt_failed"], ["pending", "offered", "assigned", "picked_up", "out_for_delivery"]
DELIVERIES = [
    Case("assignment.deliveries.store.CLAIM_REFERENCES",
         lambda w: [*many(w.merchant), [str(uuid4()) for _ in range(BATCH)], new_ids()], 0, TENANT),
    Case("assignment.deliveries.store.REFERENCE_HOLDERS",
         lambda w: [[r[0] for r in w.references], [r[1] for r in w.references], [r[2] for r in w.references]], BATCH),
    Case("assignment.deliveries.store.INSERT", _delivery_rows, 0, TENANT),
    Case("assignment.deliveries.store.INSERT_FIRST_CHANGES",
         lambda w: [new_ids(), *many(w.merchant, "merchant", w.now)], 0, TENANT),
    Case("assignment.deliveries.store.GET", lambda w: [w.pending[0]], 1, OPERATOR, 1),
    Case("assignment.deliveries.store.GET", lambda w: [w.old_delivery], 1, TENANT, 1, "a merchant's"),
    Case("assignment.deliveries.store.HISTORY", lambda w: [w.assigned[0]], 6, OPERATOR, 1),
    Case("assignment.deliveries.store.HISTORY", lambda w: [w.assigned[0]], 6, TENANT, 1, "a merchant's"),
    _deliveries("of everyone", COMMON),
    _deliveries("of a merchant, by itself", COMMON, TENANT, merchant_id=None),
    _deliveries("of a merchant this week", COMMON, TENANT, 7, merchant_id=None),
    _deliveries("a merchant's failed attempts", 3_000, TENANT, merchant_id=None, states=RARE),
    _deliveries("a merchant's open ones this week", COMMON, TENANT, 7, merchant_id=None, states=OPEN),
    _deliveries("a merchant's delivered", COMMON, TENANT, merchant_id=None, states=["delivered"]),
    _deliveries("by a merchant's reference", 2, TENANT, merchant_id=None, merchant_reference=None),
    _deliveries("of a large city", COMMON, city_code=BIG_CITY),
    _deliveries("of a small city", AVERAGE, city_code=SMALL_CITY),
    _deliveries("failed attempts, among all that is live", 16_000, states=RARE),
    _deliveries("failed attempts in a city", 600, city_code=SMALL_CITY, states=RARE),
    _deliveries("open ones in a city", COMMON, city_code=BIG_CITY, states=OPEN),
    _deliveries("returned ones in a city", COMMON, city_code=SMALL_CITY, states=["returned"]),
    _deliveries("a merchant's returned", COMMON, TENANT, merchant_id=None, states=["returned"]),
    _deliveries("those not delivered in a city", 2 * COMMON, city_code=BIG_CITY, states=["cancelled", *OPEN]),
    _deliveries("of a partner", PAGE + WEEKS, partner_id=None),
    _deliveries("a partner's open ones", 100, partner_id=None, states=OPEN),
    _deliveries("of a merchant in a city", 2 * AVERAGE, merchant_id=None, city_code=BIG_CITY),
]  # fmt: skip
IDEMPOTENCY = [
    Case("assignment.idempotency.store.FIND", _keys, BATCH),
    Case("assignment.idempotency.store.FIND", _keys, 2 * BATCH, TENANT, note="a merchant's"),
    Case("assignment.idempotency.store.STORE", _new_keys, 0, TENANT),
    Case("assignment.idempotency.store.FORGET", lambda w: [w.oldest_key_at + timedelta(days=1), 1_000], 2_000),
    Case("assignment.retention.store.FORGET_REFERENCES", _thirteen_weeks_ago, 1_000, MATCHER, note="none"),
]
