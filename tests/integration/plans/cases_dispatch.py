"""What partner networks are told, and what they tell."""

from datetime import timedelta
from uuid import UUID

from tests.integration.plans.case import BATCH, Case, many
from tests.integration.plans.world import World

NETWORK, AT_ONCE = "network-1", 32
# A network's offers that have not ended, by far more than a page of them.
LIVE_MAX = 2_000


def _offer_ids(w: World, most: int = BATCH) -> list[UUID]:
    return [offer["id"] for offer in w.offers[:most]]


def _delivery_ids(w: World, most: int = BATCH) -> list[UUID]:
    return [offer["delivery_id"] for offer in w.offers[:most]]


def _wished(w: World) -> list[object]:
    return [_offer_ids(w), _delivery_ids(w), [offer["partner_id"] for offer in w.offers], [NETWORK]]


DISPATCH = [
    Case("assignment.dispatch.store.WISH_OFFERS", _wished, 2 * BATCH),
    Case("assignment.dispatch.store.WISH_ENDS", lambda w: [_offer_ids(w), *many("", False)], BATCH),
    Case("assignment.dispatch.store.END_AGAIN", lambda w: _offer_ids(w, 1), 1),
    Case("assignment.dispatch.store.LEASE", lambda w: [NETWORK, AT_ONCE, 20.0], 2 * LIVE_MAX),
    Case("assignment.dispatch.store.DETAILS", lambda w: [_offer_ids(w, AT_ONCE), _delivery_ids(w, AT_ONCE)],
         3 * AT_ONCE, weeks_max=4),
    Case("assignment.dispatch.store.SETTLE", lambda w: [_offer_ids(w, 1)[0], "offer", "offer", "", None], 1),
    Case("assignment.dispatch.store.TO_TAKE_BACK", lambda w: [NETWORK, 200], 2 * LIVE_MAX),
    Case("assignment.dispatch.store.STANDING", lambda w: [_offer_ids(w, 1)[0], NETWORK], 3),
    Case("assignment.dispatch.store.TOLD_AT", lambda w: [_offer_ids(w, 1)[0], w.now], 1),
    Case("assignment.dispatch.store.CURSOR", lambda w: [NETWORK], 1),
    Case("assignment.dispatch.store.KEEP_CURSOR", lambda w: [NETWORK, "7"], 1),
    Case("assignment.dispatch.store.FORGET", lambda w: [w.now - timedelta(days=6), 1_000], 2_000),
]  # fmt: skip
