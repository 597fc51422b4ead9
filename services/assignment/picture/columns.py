"""What a window takes from a picture, and the matching problem that it makes of it. Pure.

`taken` copies, in a moment, whatever the window reads; the picture may change from then on.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import numpy as np

from services.assignment.matching.explain import OFFLINE
from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.planning import Ranks
from services.assignment.matching.problem import UNLIMITED, Packages, Partners
from services.assignment.matching.routes import Routes
from services.assignment.matching.rules.parcels import Parcels
from services.assignment.matching.travel import vehicle_mask
from services.assignment.merchants.merchant import MerchantPartners
from services.assignment.partners.partner import Partner
from services.assignment.picture.city_picture import COMPLETED_KEPT_S, CityPicture
from services.assignment.picture.company import Company
from services.assignment.picture.facts import LiveDelivery
from services.assignment.routes.columns import laid_out, visits_of
from services.assignment.routes.route import Held

HOUR_S = 3_600.0
# A partner beyond what one window holds.
WINDOW_FULL = "WINDOW_FULL"
_LEFT = ("parcels", "weight_g", "volume_cm3")


class Seen(Protocol):
    """Where somebody was seen: WGS 84 degrees."""

    @property
    def lat(self) -> float: ...

    @property
    def lng(self) -> float: ...


@dataclass(frozen=True, slots=True)
class WindowLimits:
    """How much a window may take, and what a delivery earns a partner."""

    partners_max: int
    pairs_max: int
    deliveries_max: int
    pay_per_delivery_paise: int
    shift_s_assumed: float
    pickup_service_s: float
    drop_service_s: float


@dataclass(frozen=True, slots=True)
class Taken:
    """A window's deliveries and partners, and the columns of the partners but for their places.

    lists: of the deliveries' merchants. absent: how many of the city's partners take no part, by reason.
    """

    deliveries: Sequence[LiveDelivery]
    partners: Sequence[Partner]
    ids: Sequence[str]
    home: Floats
    columns: Mapping[str, Ints | Floats]
    routes: Routes
    ranks: Ranks
    lists: Mapping[UUID, MerchantPartners]
    absent: Mapping[str, int]


def taken(picture: CityPicture, company: Company, limits: WindowLimits, now_s: float) -> Taken | None:
    """Return what a window takes that closes now; None when nothing is due."""
    table = picture.partners
    everyone = table.rows()
    online = table.column("online")[everyone] == 1
    roomy = table.column("parcels_held")[everyone] < table.column("parcels_max")[everyone]
    rows = everyone[online & roomy][: limits.partners_max]
    room = max(1, limits.pairs_max // max(1, len(rows)))
    deliveries = picture.due(now_s, min(limits.deliveries_max, room))
    if not deliveries:
        return None
    counts = {
        OFFLINE: int((~online).sum()),
        str(Parcels.reason): int((online & ~roomy).sum()),
        WINDOW_FULL: int((online & roomy).sum()) - len(rows),
    }
    _renew_visits(picture)
    partners = [partner for row in rows if (partner := table.partners[row]) is not None]
    routes, ranks = laid_out([table.visits[row] for row in rows], limits.pickup_service_s, limits.drop_service_s)
    lists = {d.merchant_id: company.lists[d.merchant_id] for d in deliveries if d.merchant_id in company.lists}
    return Taken(
        deliveries=deliveries,
        partners=partners,
        ids=[table.texts[row] for row in rows],
        home=np.column_stack([table.column("home_lat")[rows], table.column("home_lng")[rows]]),
        columns=_columns(picture, company, rows, partners) | _shifts(picture, rows, partners, limits, now_s),
        routes=routes,
        ranks=ranks,
        lists=lists,
        absent={reason: count for reason, count in counts.items() if count},
    )


def packages_of(window: Taken, pickup_service_s: float, drop_service_s: float) -> Packages:
    """Return the window's packages, with the pairs that were declined before."""
    deliveries, column_of = window.deliveries, {partner.id: place for place, partner in enumerate(window.partners)}
    merchant_of = merchants_of(window)
    pairs = [
        (row, column_of[partner_id])
        for row, delivery in enumerate(deliveries)
        for partner_id in sorted(delivery.declined)
        if partner_id in column_of
    ]

    def ints(name: str) -> Ints:
        return np.array([getattr(delivery, name) for delivery in deliveries], dtype=np.int64)

    def times(name: str) -> Floats:
        return np.array([getattr(delivery, name).timestamp() for delivery in deliveries], dtype=float)

    return Packages.of(
        [str(delivery.id) for delivery in deliveries],
        np.array([(d.pickup.lat, d.pickup.lng) for d in deliveries], dtype=float).reshape(-1, 2),
        np.array([(d.drop.lat, d.drop.lng) for d in deliveries], dtype=float).reshape(-1, 2),
        pickup_service_s=np.full(len(deliveries), pickup_service_s),
        drop_service_s=np.full(len(deliveries), drop_service_s),
        weight_g=ints("weight_g"),
        volume_cm3=ints("volume_cm3"),
        side_mm=ints("side_mm"),
        placed_at_s=times("placed_at"),
        ready_at_s=times("ready_at"),
        due_at_s=times("drop_until"),
        declared_value_paise=ints("declared_value_paise"),
        cash_on_delivery_paise=ints("cash_on_delivery_paise"),
        merchant=np.array([merchant_of[delivery.merchant_id] for delivery in deliveries], dtype=np.int64),
        vehicle_mask=np.array([vehicle_mask(delivery.vehicles) for delivery in deliveries], dtype=np.int64),
        declined=np.array(pairs, dtype=np.int64).reshape(-1, 2),
    )


def partners_of(window: Taken, positions: Mapping[UUID, Seen]) -> Partners:
    """Return the window's partners, each where it was last seen, or at home while that is unknown."""
    place = window.home.copy()
    for row, partner in enumerate(window.partners):
        seen = positions.get(partner.id)
        if seen is not None:
            place[row] = seen.lat, seen.lng
    return Partners.of(window.ids, place, **window.columns, **_wishes(window))


def merchants_of(window: Taken) -> dict[UUID, int]:
    """Return a number for each merchant of the window's deliveries."""
    return {merchant: number for number, merchant in enumerate({d.merchant_id for d in window.deliveries})}


def earned_per_h(earned_paise: Floats, shift_s: Floats) -> Ints:
    """Return whole paise an hour; a shift that has just begun counts as an hour: one delivery is not a fortune."""
    rounded: Ints = np.rint(earned_paise / np.maximum(1.0, shift_s / HOUR_S)).astype(np.int64)
    return rounded


def _columns(
    picture: CityPicture, company: Company, rows: Ints, partners: Sequence[Partner]
) -> dict[str, Ints | Floats]:
    table = picture.partners
    left = {f"{name}_left": table.column(f"{name}_max")[rows] - table.column(f"{name}_held")[rows] for name in _LEFT}
    limit, held = table.column("cash_limit_paise")[rows], table.column("cash_held_paise")[rows]
    zones = [table.zones[row] for row in rows]
    return {
        **left,
        "vehicle": table.column("vehicle")[rows],
        "side_mm_max": table.column("side_mm_max")[rows],
        "rating": table.column("rating")[rows],
        "network_health": np.array([company.health(partner.profile.network_code) for partner in partners], dtype=float),
        # Nothing where the limit is below what it holds already.
        "cash_paise_left": np.where(limit == UNLIMITED, UNLIMITED, np.maximum(0, limit - held)),
        "zone_offsets": np.cumsum([0, *(len(cells) for cells, _ in zones)]).astype(np.int64),
        "zone_cell": _joined([cells for cells, _ in zones], np.int64),
        "zone_precision": _joined([precisions for _, precisions in zones], np.int64),
    }


def _shifts(
    picture: CityPicture, rows: Ints, partners: Sequence[Partner], limits: WindowLimits, now_s: float
) -> dict[str, Ints | Floats]:
    """Return the slots, and what partners have earned for each hour of the shift they are in."""
    slots = [picture.partners.slots[row] for row in rows]
    lengths = [len(starts) for starts, _ in slots]
    start_s, end_s = (_joined([slot[end] for slot in slots], np.float64) for end in (0, 1))
    whose, now = np.repeat(np.arange(len(rows)), lengths), (start_s <= now_s) & (now_s < end_s)
    began_s = np.full(len(rows), -np.inf)
    np.maximum.at(began_s, whose[now], start_s[now])
    began_s = np.where(np.isinf(began_s), now_s - limits.shift_s_assumed, began_s)
    earned = np.zeros(len(rows))
    for row, partner in enumerate(partners):
        times = picture.completed.get(partner.id)
        if times is not None:
            since_s = max(float(began_s[row]), now_s - COMPLETED_KEPT_S)
            earned[row] = (len(times) - bisect_left(times, since_s)) * limits.pay_per_delivery_paise
    return {
        "slot_offsets": np.cumsum([0, *lengths]).astype(np.int64),
        "slot_start_s": start_s,
        "slot_end_s": end_s,
        "earned_paise_per_h": earned_per_h(earned, now_s - began_s),
    }


def _wishes(window: Taken) -> dict[str, Ints]:
    """Return whom the deliveries' merchants insist on and refuse."""
    place_of = {partner.id: place for place, partner in enumerate(window.partners)}
    merchant_of = merchants_of(window)
    pairs = {
        name: [
            (place_of[partner_id], merchant_of[lists.merchant_id])
            for lists in window.lists.values()
            for partner_id in getattr(lists, name)
            if partner_id in place_of
        ]
        for name in ("denied", "allowed")
    }
    choosing = [merchant_of[lists.merchant_id] for lists in window.lists.values() if lists.allowed]
    return {
        "merchants_denied": np.array(pairs["denied"], dtype=np.int64).reshape(-1, 2),
        "merchants_allowed": np.array(pairs["allowed"], dtype=np.int64).reshape(-1, 2),
        "merchants_choosing": np.array(choosing, dtype=np.int64),
    }


def _renew_visits(picture: CityPicture) -> None:
    table = picture.partners
    for partner_id in picture.moved:
        row = table.row_of.get(partner_id)
        if row is not None:
            table.visits[row] = visits_of([_held(live) for live in picture.holdings(partner_id)])
    picture.moved.clear()


def _held(live: LiveDelivery) -> Held:
    offer = live.offer
    if offer is None:
        raise ValueError(f"delivery {live.id} is held without an offer")
    return Held(
        partner_id=offer.partner_id,
        offer_id=offer.id,
        delivery_id=live.id,
        state=live.state,
        pickup=live.pickup,
        drop=live.drop,
        ready_at=live.ready_at,
        drop_until=live.drop_until,
        pickup_rank=offer.pickup_rank,
        drop_rank=offer.drop_rank,
    )


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype=dtype), *(part for part in parts if len(part))])
