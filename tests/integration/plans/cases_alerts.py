"""Alerts: what is kept of them, what they are made from, and what outages are counted from."""

from datetime import timedelta
from uuid import uuid4

from libs.ids import floor_at, new_id
from services.notification.alerts.lifecycle import AlertState, sources_of
from tests.integration.plans.case import (
    BATCH,
    ID_MAX,
    NOTIFICATION_OPERATOR,
    NOTIFICATION_TENANT,
    PAGE,
    Case,
    many,
    new_ids,
)

_NETWORK, _SUBJECT = "network1", "network:network1"
_COUNTED, _LOOKED_AT, _SAMPLED = 10_000, 1_000, 2_000
_OVER = [str(state) for state in sources_of(AlertState.RECOVERED)]
_TEXTS = [["circuit_open"], "what", "action", "{}"]


def _case(statement: str, values, rows_max: int, role: str = NOTIFICATION_OPERATOR, **more) -> Case:
    return Case(f"notification.alerts.{statement}", values, rows_max, role, **more)


KEPT = [
    _case("store.OPEN", lambda w: [new_id(), "queue", "sms", *_TEXTS, w.now, w.now], 0),
    _case("store.OPEN_ALERTS", lambda w: [1_000], 100),
    _case("store.CHANGE", lambda w: ["network", _SUBJECT, *_TEXTS, 1], 10),
    _case("store.RECOVER", lambda w: ["network", _SUBJECT, w.now, "{}", _OVER], 10),
    _case("store.ACKNOWLEDGE", lambda w: [new_id(), "ops:1", w.now, ["open"]], 1),
    _case("store.GET", lambda w: [new_id()], 1),
    _case("store.LIST", lambda w: [ID_MAX, PAGE], PAGE),
    _case("store.LIST_OPEN", lambda w: [ID_MAX, PAGE], 2 * PAGE),
    _case("store.ASK", lambda w: [w.merchant, w.now], 1, NOTIFICATION_TENANT),
    _case("store.ASK_NO_MORE", lambda w: [w.merchant], 1, NOTIFICATION_TENANT),
    _case("store.ASKED", lambda w: [w.merchant], 1, NOTIFICATION_TENANT),
    _case("store.TOLD", lambda w: [w.notification.deliveries[0], "outage_began"], 10),
    # Of twenty thousand, a tenth are as old.
    _case("store.FORGET", lambda w: [floor_at(w.now - timedelta(hours=18_000))], 3_000),
]  # fmt: skip
OBSERVED = [
    _case("observing.store.QUEUES", lambda w: [
        ["email", "sms"], w.now, w.now + timedelta(minutes=1), _LOOKED_AT], 6 * _LOOKED_AT),
    _case("observing.store.RECEIPTS", lambda w: [
        floor_at(w.now - timedelta(minutes=10)), floor_at(w.now + timedelta(minutes=10)),
        floor_at(w.now - timedelta(hours=6)), floor_at(w.now - timedelta(minutes=10)), _SAMPLED], 3 * _SAMPLED),
    _case("observing.store.PARTNERS", lambda w: [_NETWORK, _COUNTED], 2_500),
    _case("observing.store.WITHDRAWN", lambda w: [_NETWORK, w.now - timedelta(hours=1), _COUNTED], 20),
    # The few merchants who asked may be read whole.
    _case("observing.store.WITHDRAWN_NEWS", lambda w: [_NETWORK, w.now - timedelta(hours=1), _COUNTED], 1_000),
    _case("observing.store.MESSAGES", lambda w: [["email", "sms"], w.now, "twilio", _COUNTED], 3_000),
    _case("observing.store.MESSAGES_NEWS", lambda w: [["email", "sms"], w.now, "twilio", _COUNTED], 10_000),
]  # fmt: skip
LEARNT = [
    _case("learning.store.SET_PARTNERS", lambda w: [new_ids(), *many(_NETWORK, 1)], 0),
    _case("learning.store.ADD_WITHDRAWALS", lambda w: [
        new_ids(), new_ids(), new_ids(), [w.merchant] * BATCH, *many(w.now)], BATCH),
    _case("learning.store.MATCHED", lambda w: [[uuid4() for _ in range(BATCH)], *many(w.now)], BATCH),
    _case("learning.store.FORGET", lambda w: [floor_at(w.now - timedelta(days=30))], 8_000),
]  # fmt: skip
ALERTS = [*KEPT, *OBSERVED, *LEARNT]
