"""Recipients, messages, their attempts, templates, receipts and the local inbox."""

from datetime import timedelta
from uuid import UUID, uuid4

from libs.ids import new_id
from services.notification.inbox import store as inbox
from services.notification.messages.lifecycle import MessageState, Mover, sources_of
from tests.integration.plans.case import (
    BATCH,
    ID_MAX,
    NOTIFICATION_OPERATOR,
    NOTIFICATION_TENANT,
    NOTIFICATION_WORKER,
    PAGE,
    Case,
    many,
    new_ids,
)
from tests.integration.plans.world import World

TAKEN = 100
_USE = ["delivered", "customer", "sms", "en"]
# Preferences and dates of a recipient.
_HASH = b"\x01" * 32


def _case(statement: str, values, rows_max: int, role: str = NOTIFICATION_OPERATOR, **more) -> Case:
    return Case(f"notification.{statement}", values, rows_max, role, **more)


def _messages(w: World) -> list[object]:
    n = w.notification
    ids = n.customers[:BATCH]
    return [
        new_ids(len(ids)), ids, new_ids(len(ids)),
        *many("delivered", "sms", None, "customer", "en", "{}", 1, "f", w.now, w.now, times=len(ids)), w.now,
    ]  # fmt: skip


def _finished(w: World) -> list[object]:
    attempts = w.notification.attempts
    count = len(attempts)
    return [
        attempts, *many("SM1", "sent", "sending,outcome_unknown", "", None, "", 0, times=count), w.now, w.now,
    ]  # fmt: skip


SENT = ",".join(sources_of(MessageState.SENT, Mover.SENDER))
STATES = [str(state) for state in sources_of(MessageState.DELIVERED, Mover.PROVIDER)]
AGAIN = [str(state) for state in sources_of(MessageState.PLANNED, Mover.PERSON)]

PLANNING = [
    _case("planning.store.SET_MERCHANTS", lambda w: [new_ids(), ["Name"] * BATCH], 0),
    _case("planning.store.SET_CITIES", lambda w: [["C00"], ["City"], ["UTC"]], 25),
    _case("planning.store.ZONES", lambda w: [["C00"]], 25),
    _case("planning.store.SET_CUSTOMERS", lambda w: [
        new_ids(), new_ids(), [uuid4().bytes for _ in range(BATCH)], *many(b"\0", "en", "UTC"), 0, 0, w.now], 0),
    _case("planning.store.SET_ADDRESSES", lambda w: [
        w.notification.customers[:BATCH], *many("sms", None, b"\0", b"\1")], 2 * BATCH),
    _case("planning.store.ADD_DELIVERIES", lambda w: [
        new_ids(), new_ids(), w.notification.customers[:BATCH], *many("C00", "", w.now, w.now)], BATCH),
    _case("planning.store.DELIVERIES", lambda w: [w.notification.deliveries[:BATCH]], BATCH),
    _case("planning.store.CONTACTS", lambda w: [
        w.notification.customers[:BATCH], ["merchant"] * 50, w.notification.merchants[:50]], 4 * BATCH),
    _case("planning.store.ADD_MESSAGES", _messages, 2 * BATCH),
    _case("planning.store.PUT_RIGHT", lambda w: [w.notification.deliveries[:1], [w.now.isoformat()], w.now], 10),
    _case("planning.store.TAKE_BACK", lambda w: [w.notification.deliveries[:1], w.now, ["planned"]], 10),
]  # fmt: skip
SENDING = [
    # Merchants are so few that they may be read whole.
    _case("sending.store.TAKE", lambda w: ["sms", w.now, TAKEN], 16 * TAKEN),
    _case("sending.store.DIGESTS_DUE", lambda w: ["email", w.now, 20], 1_500),
    _case("sending.store.TAKE_DIGESTS", lambda w: [w.notification.digested, "email", w.now, 50], 2_000),
    _case("sending.store.DIGESTED", lambda w: [w.notification.customers[:20], "email", w.now], 40),
    _case("sending.store.BEGIN", lambda w: [
        w.notification.waiting, new_ids(len(w.notification.waiting)),
        *many("twilio", b"\0", b"\0", times=len(w.notification.waiting)), w.now, w.now], 3 * TAKEN),
    _case("sending.store.END_UNSENT", lambda w: [
        w.notification.waiting, *many("failed", "TOO_LATE", times=len(w.notification.waiting)), w.now], 2 * TAKEN),
    _case("sending.store.POSTPONE", lambda w: [
        w.notification.waiting, *many(w.now, times=len(w.notification.waiting))], 2 * TAKEN),
    _case("sending.store.KEEP_QUIET", lambda w: [
        w.notification.waiting, *many(w.now, times=len(w.notification.waiting)), w.now], 2 * TAKEN),
    _case("sending.store.FINISH", _finished, 6 * TAKEN),
    _case("sending.store.SWEEP", lambda w: [w.now + timedelta(minutes=1), 200], 2_000),
    _case("sending.store.TAKE_UNKNOWN", lambda w: [w.now + timedelta(minutes=1), 200, w.now, w.now], 2_000),
    _case("sending.store.REPEAT", lambda w: [w.notification.attempts[0], w.now, ["outcome_unknown"]], 4),
    _case("sending.store.RECEIVE_BY_ATTEMPT", lambda w: [
        w.notification.attempts[0], "twilio", "SM1", "delivered", "", w.now, STATES], 10),
    _case("sending.store.RECEIVE_BY_PROVIDER_ID", lambda w: [
        None, "twilio", str(w.notification.attempts[0]), "delivered", "", w.now, STATES], 10),
    _case("status.store.DUE", lambda w: [["email", "sms"], w.now, 10_000], 2_000),
    _case("status.store.UNKNOWN", lambda w: [10_000], 2_000),
]  # fmt: skip
PEOPLE = [
    _case("recipients.store.GET", lambda w: [w.notification.customers[0]], 1),
    _case("recipients.store.GET", lambda w: [w.notification.of_merchant], 1, NOTIFICATION_TENANT, note="of a merchant"),
    _case("recipients.store.ADDRESSES", lambda w: [w.notification.customers[0]], 4),
    _case("recipients.store.SET_OWNER", lambda w: [
        new_id(), "partner", None, uuid4(), b"\0", "en", "UTC", 0, 0, w.now, True], 0),
    _case("recipients.store.SET_ADDRESSES", lambda w: [
        w.notification.customers[0], None, ["sms"], [b"\0"], [b"\1"]], 4),
    _case("recipients.store.DROP_ADDRESSES", lambda w: [w.notification.customers[0], ["sms"]], 2),
    _case("recipients.store.SET_PREFERENCES", lambda w: [
        w.notification.customers[0], "hi", "UTC", 0, 0, [], [], w.now, None], 2),
    _case("recipients.store.SUPPRESS", lambda w: [new_id(), "sms", _HASH, b"\0", "STOP", w.now], 0),
    _case("recipients.store.FIND_SUPPRESSION", lambda w: ["sms", _HASH], 1),
    _case("recipients.store.SUPPRESSIONS", lambda w: [ID_MAX, PAGE], PAGE),
    _case("recipients.store.LIFT", lambda w: [new_id(), new_id()], 1),
    _case("recipients.store.LIFT_REASON", lambda w: ["sms", _HASH, "STOP", new_id()], 1),
    _case("recipients.store.FORGET_LIFTED", lambda w: [new_id()], 1),
    _case("recipients.store.ADDRESSES_OF_OWNER", lambda w: ["merchant", w.notification.merchants[0]], 6),
    _case("webhooks.store.SET", lambda w: [new_id(), b"\0", w.now], 0),
    _case("webhooks.store.GET", lambda w: [new_id()], 1),
    _case("webhooks.store.ROTATE", lambda w: [new_id(), b"\0", w.now, w.now], 1),
    _case("webhooks.store.DELETE", lambda w: [new_id()], 1),
    _case("webhooks.store.TAKEN", lambda w: [new_id()], 1),
    _case("webhooks.store.FAILED", lambda w: [new_id(), 5, w.now], 2),
    _case("messages.store.OF_DELIVERY", lambda w: [w.notification.deliveries[0], ID_MAX, PAGE], 10),
    _case("messages.store.OF_DELIVERY", lambda w: [
        w.notification.delivery_of_merchant, ID_MAX, PAGE], 10, NOTIFICATION_TENANT, note="of a merchant"),
    _case("messages.store.OF_RECIPIENT", lambda w: [w.notification.customers[0], ID_MAX, PAGE], 40),
    _case("messages.store.GET", lambda w: [w.notification.waiting[0]], 2),
    _case("messages.store.LOCK", lambda w: [w.notification.waiting[0]], 4),
    _case("messages.store.ATTEMPTS", lambda w: [w.notification.waiting[0], PAGE], 2),
    _case("messages.store.RESEND", lambda w: [w.notification.waiting[0], w.now, w.now, "ops:1", AGAIN], 2),
    _case("templates.store.IN_USE", lambda w: [UUID(int=0), 1_000], 1_000),
    _case("templates.store.NEWEST", lambda w: [w.merchant, *_USE], 10),
    _case("templates.store.NEWEST", lambda w: [UUID(int=0), *_USE], 10, note="of the company"),
    _case("templates.store.REPLACE", lambda w: [w.notification.merchants[1], *_USE, w.now], 10),
    _case("templates.store.INSERT", lambda w: [new_id(), UUID(int=0), *_USE, 99, "", "text", w.now], 0),
    _case("templates.store.GET", lambda w: [new_id()], 1),
    _case("templates.store.LIST", lambda w: [w.notification.merchants[1], ID_MAX, PAGE], PAGE),
    _case("templates.store.RETIRE", lambda w: [new_id(), w.now], 1),
    _case("receipts.store.TAKE", lambda w: [_HASH, w.now], 0),
    _case("receipts.store.FORGET", lambda w: [w.now - timedelta(days=8), 200], 800),
    _case("receipts.store.TAKE_NEWS", lambda w: [uuid4().bytes, w.now], 0),
    _case("receipts.store.ADDRESSES_BY_ATTEMPT", lambda w: ["twilio", w.notification.attempts[0]], 10),
    _case("receipts.store.ADDRESSES_BY_PROVIDER_ID", lambda w: ["twilio", str(w.notification.attempts[0])], 10),
    _case("retention.store.MESSAGES", lambda w: [
        UUID(int=0), ID_MAX, w.now - timedelta(days=90), 200], 1_000, NOTIFICATION_WORKER),
    _case("retention.store.DELIVERIES", lambda w: [UUID(int=0), ID_MAX, 200], 1_500, NOTIFICATION_WORKER),
    _case("retention.store.CUSTOMERS", lambda w: [
        UUID(int=0), ID_MAX, w.now - timedelta(days=90), 200], 1_500, NOTIFICATION_WORKER),
    _case("retention.store.INBOX", lambda w: [w.now - timedelta(days=90), 200], 800),
    _case("inbox.store.KEEP", lambda w: [new_id(), None, "sms", b"\0", b"\0", w.now], 0),
    _case("inbox.store.IS_KEPT", lambda w: [new_id()], 1),
    _case("inbox.store.LIST", lambda w: [ID_MAX, PAGE], PAGE, note="of everyone", text=inbox._LIST.format(filters="")),
    _case("inbox.store.LIST", lambda w: [ID_MAX, PAGE, w.notification.merchants[1]], PAGE, NOTIFICATION_TENANT,
        note="of a merchant", text=inbox._LIST.format(filters=inbox._OF_MERCHANT),
        merchant=lambda w: w.notification.merchants[1]),
]  # fmt: skip
NOTIFICATION = [*PLANNING, *SENDING, *PEOPLE]
