"""Offers, the moves of deliveries, and partners' load and routes."""

from uuid import UUID

from services.assignment.offers import queries as offers
from tests.integration.plans.case import (
    AVERAGE,
    BATCH,
    COMMON,
    ID_MAX,
    OPERATOR,
    PAGE,
    TENANT,
    WEEKS,
    Case,
    many,
    new_ids,
)
from tests.integration.plans.world import BIG_CITY, SMALL_CITY, World


def _offers(note: str, rows_max: int, **filters: object) -> Case:
    chosen = {"partner_id": UUID(int=1), "delivery_id": UUID(int=2)}
    text, _ = offers.LISTS.statement({name: chosen.get(name, value) for name, value in filters.items()})

    def values(w: World) -> list[object]:
        real = {"partner_id": w.offers[0]["partner_id"], "delivery_id": w.offers[0]["delivery_id"]}
        given = {name: real.get(name, value) for name, value in filters.items()}
        return [ID_MAX, PAGE, *offers.LISTS.statement(given)[1]]

    statement = "assignment.offers.queries.LIST"
    return Case(statement, values, rows_max, note=note, text=text)


def _moves(w: World) -> list[object]:
    return [w.assigned, *many("picked_up", w.online[0], "", w.now, 3, 0, w.now, w.now, times=len(w.assigned))]


def _changes(w: World) -> list[object]:
    return [
        new_ids(), *many(1, w.merchant, None, "pending", "merchant", None, w.now, w.now, None, None, "", "")
    ]  # fmt: skip


def _new_offers(w: World) -> list[object]:
    columns = many(w.merchant, w.online[0], w.online[0], BIG_CITY, "open", 1.0, 1, 1, w.now, w.now, None, None, None)
    return [new_ids(), new_ids(), *columns]


def _answers(w: World) -> list[object]:
    times = len(w.offers)
    columns = many("withdrawn", w.now, "", w.now, times=times)
    return [[offer["id"] for offer in w.offers], *columns, [offer["delivery_id"] for offer in w.offers]]


def _ids(w: World) -> list[object]:
    return [w.assigned]


def _partner_ids(w: World) -> list[object]:
    return [w.online[:BATCH]]


OFFERS = [
    Case("assignment.offers.queries.GET", lambda w: [w.offers[0]["id"]], 1),
    _offers("of everyone", COMMON),
    _offers("of a large city", COMMON, city_code=BIG_CITY),
    _offers("of a small city", AVERAGE, city_code=SMALL_CITY),
    _offers("of a partner", PAGE + WEEKS, partner_id=None),
    _offers("of a delivery", 5, delivery_id=None),
    _offers("a partner's open ones", 100, partner_id=None, states=["open"]),
    _offers("open ones, among all that are live", 16_000, states=["open"]),
    _offers("open ones in a small city", 600, city_code=SMALL_CITY, states=["open"]),
    _offers("withdrawn ones, of which there are none", 12_000, city_code=BIG_CITY, states=["withdrawn", "expired"]),
    Case("assignment.offers.store.LOCK_DELIVERIES", _ids, BATCH, weeks_max=2),
    Case("assignment.offers.store.LOCK_DELIVERIES", lambda w: [w.pending[:1]], 1, TENANT, 1, "a merchant's"),
    Case("assignment.offers.store.LIVE_OFFERS", _ids, BATCH, weeks_max=2),
    Case("assignment.offers.store.LIVE_OFFERS", lambda w: [w.assigned[:1]], 1, TENANT, 1, "a merchant's"),
    Case("assignment.offers.store.FOLLOWED", _ids, BATCH, weeks_max=2),
    Case("assignment.offers.store.LOCK_PARTNERS", _partner_ids, BATCH),
    Case("assignment.offers.store.LOCK_PARTNERS", lambda w: [w.online[:1]], 1, TENANT, note="a merchant's"),
    Case("assignment.offers.store.ROOM", _partner_ids, BATCH, OPERATOR),
    Case("assignment.offers.store.MOVE", _moves, BATCH, OPERATOR, 2),
    Case("assignment.offers.store.MOVE", lambda w: [
        w.pending[:1], *many("cancelled", None, "", w.now, 3, 0, w.now, w.now, times=1)], 1, TENANT, 1, "a merchant's"),
    Case("assignment.offers.store.RECORD", _changes, 0),
    Case("assignment.offers.store.MAKE_OFFERS", _new_offers, 0),
    Case("assignment.offers.store.ANSWER_OFFERS", _answers, BATCH, OPERATOR, 2),
    Case("assignment.offers.store.LOAD", lambda w: [w.online[:BATCH], *many(1, 1, 1)], BATCH),
    Case("assignment.offers.store.LOAD", lambda w: [w.online[:1], [0], [0], [0]], 1, TENANT, note="a merchant's"),
    # All partners of the largest city who hold something: each one's offers, and each offer's delivery.
    Case("assignment.routes.store.HELD", lambda w: [w.online], 15_000),
    Case("assignment.routes.store.HELD", lambda w: [w.online[:1]], 40, note="of one partner"),
]  # fmt: skip
