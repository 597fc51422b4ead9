"""A window's commit: one transaction that checks again what could have changed, and what the picture learns of it."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from libs.ids import new_id
from services.assignment.cities.city import City
from services.assignment.deliveries.lifecycle import Actor, DeliveryState
from services.assignment.errors import PartnerTakenError
from services.assignment.matching.assignment import UNASSIGNED
from services.assignment.matching.explain import Explanation, PartnerCost
from services.assignment.matching.window_match import WindowMatch
from services.assignment.offers.codec import moved_event
from services.assignment.offers.offer import Move, Moved, NewOffer
from services.assignment.offers.store import transition
from services.assignment.partners.partner import Partner
from services.assignment.picture.columns import Taken
from services.assignment.picture.facts import LiveDelivery
from services.assignment.picture.keeper import CityKeeper
from services.assignment.windows import store
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.store import WindowRow


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to commit a city's windows: checked in each commit's transaction."""

    city_code: str
    holder: UUID
    fence: int


@dataclass(frozen=True, slots=True)
class Matched:
    """What a window has taken from the picture, and what the matching made of it."""

    taken: Taken
    match: WindowMatch


@dataclass(slots=True)
class _Effects:
    """What a commit did: its window, its moves by place and what refused the others, and who stays pending."""

    row: WindowRow
    moved: list[Moved]
    refused: Mapping[int, Exception]
    stayed: list[tuple[UUID, datetime, int]] = field(default_factory=list)
    skipped: set[UUID] = field(default_factory=set)


async def commit(
    primary: asyncpg.Pool, city: City, lease: Lease, keeper: CityKeeper, window: Matched, settings: MatcherSettings
) -> WindowRow:
    """Commit what still holds of a window, and tell the picture. The caller holds the picture's lock.

    Raises LeaseLostError, having changed nothing, when another matcher has the city by now.
    """
    try:
        async with primary.acquire() as connection, connection.transaction():
            await store.check_fence(connection, lease.city_code, lease.holder, lease.fence)
            effects = await _write(connection, city, keeper, window, settings)
    except BaseException:
        # It may have been committed all the same.
        keeper.doubted = True
        raise
    deliveries = window.taken.deliveries
    unsure = keeper.committed(effects.moved) | effects.skipped | {deliveries[p].id for p in effects.refused}
    keeper.stayed(effects.stayed)
    partners = {window.taken.partners[window.match.partner[place]].id for place in effects.refused}
    if unsure or partners:
        await keeper.refresh_locked(partners, unsure, "conflict")
    return effects.row


async def _write(
    connection: asyncpg.Connection, city: City, keeper: CityKeeper, window: Matched, settings: MatcherSettings
) -> _Effects:
    deliveries, result, explanations = window.taken.deliveries, window.match, window.match.explanations
    started_s, now, window_id = time.perf_counter(), datetime.now(UTC), new_id()
    matched = [place for place, partner in enumerate(result.partner) if partner != UNASSIGNED]
    refused: dict[int, Exception] = dict(await _refused_by_merchants(connection, keeper, window, matched))
    refused |= await _refused_by_networks(connection, keeper, window, matched)
    asked = [place for place in matched if place not in refused]
    outcomes = await transition(connection, [_move(city, window, p, window_id, now) for p in asked], now, moved_event)
    moved = [outcome for outcome in outcomes if isinstance(outcome, Moved)]
    refused |= {p: outcome for p, outcome in zip(asked, outcomes, strict=True) if not isinstance(outcome, Moved)}
    kept = [p for p in range(len(deliveries)) if p not in refused]
    rows = [_explanation_row(deliveries[p], explanations[p], window.taken.partners) for p in kept]
    await store.explain(connection, window_id, rows)
    staying = [
        (deliveries[p].id, explanations[p].reason, _wait_s(settings, deliveries[p].match_attempts))
        for p in kept
        if result.partner[p] == UNASSIGNED
    ]
    # A partner who was faster elsewhere: matched again in the next window, and told so meanwhile.
    staying += [(deliveries[p].id, e.reason, 0.0) for p, e in refused.items() if isinstance(e, PartnerTakenError)]
    stayed = await store.stay(connection, staying)
    row = WindowRow(
        id=window_id,
        city_code=city.code,
        closed_at=now,
        deliveries=len(deliveries),
        partners=len(window.taken.partners),
        feasible_pairs=sum(explanation.partners_feasible for explanation in explanations),
        assigned=len(moved),
        conflicts=len(refused),
        cost_s=sum(outcome.offer.cost_s for outcome in moved if outcome.offer is not None),
        build_ms=result.build_ms,
        solve_ms=result.solve_ms,
        commit_ms=(time.perf_counter() - started_s) * 1000,
        rule_faults=json.dumps([fault.row() for fault in result.book.faults]),
        bundles=result.bundles,
    )
    await store.record_window(connection, row)
    return _Effects(row, moved, refused, stayed, {row[0] for row in staying} - {row[0] for row in stayed})


async def _refused_by_merchants(
    connection: asyncpg.Connection, keeper: CityKeeper, window: Matched, matched: Sequence[int]
) -> dict[int, PartnerTakenError]:
    """Return the places whose merchants have replaced their lists of partners since, which are then known."""
    merchant_of = {place: window.taken.deliveries[place].merchant_id for place in matched}
    if not matched:
        return {}
    await keeper.company.reread_lists(connection, set(merchant_of.values()))
    now, then = keeper.company.company.lists, window.taken.lists
    changed = {m for m in merchant_of.values() if m not in then or now[m].version != then[m].version}
    return {
        place: PartnerTakenError("the merchant has replaced its lists of partners", reason="MERCHANT_CHANGED")
        for place, merchant_id in merchant_of.items()
        if merchant_id in changed
    }


async def _refused_by_networks(
    connection: asyncpg.Connection, keeper: CityKeeper, window: Matched, matched: Sequence[int]
) -> dict[int, PartnerTakenError]:
    """Return the places whose partner's network has gone down since, which is then known."""
    column_of = {place: int(window.match.partner[place]) for place in matched}
    code_of = {place: window.taken.partners[column].profile.network_code for place, column in column_of.items()}
    if not any(code_of.values()):
        return {}
    await keeper.company.reread_networks(connection)
    health, then = keeper.company.company.health, window.taken.columns["network_health"]
    return {
        place: PartnerTakenError("its network is down", reason="NETWORK_DOWN")
        for place, code in code_of.items()
        if health(code) == 0 and then[column_of[place]] > 0
    }


def _move(city: City, window: Matched, place: int, window_id: UUID, now: datetime) -> Move:
    delivery, partner = window.taken.deliveries[place], window.taken.partners[window.match.partner[place]]
    automatic = partner.profile.acceptance == "automatic"
    offer = NewOffer(
        id=new_id(),
        partner_id=partner.id,
        window_id=window_id,
        cost_s=float(window.match.cost_s[place]),
        expires_at=None if automatic else now + timedelta(seconds=city.policy.offer_ttl_s),
        pickup_rank=float(window.match.plan.pickup_rank[place]),
        drop_rank=float(window.match.plan.drop_rank[place]),
        partner_version=partner.version,
    )
    return Move(
        delivery_id=delivery.id,
        to_state=DeliveryState.ASSIGNED if automatic else DeliveryState.OFFERED,
        actor=Actor.MATCHER,
        new_offer=offer,
        expected_version=delivery.version,
    )


def _wait_s(settings: MatcherSettings, attempts: int) -> float:
    doubled: float = settings.matcher_retry_s_min * 2 ** min(attempts, 16)
    return min(doubled, settings.matcher_retry_s_max)


def _explanation_row(
    delivery: LiveDelivery, explanation: Explanation, partners: Sequence[Partner]
) -> tuple[UUID, UUID, str, str | None, str, str, int]:
    def shown(cost: PartnerCost) -> dict[str, object]:
        return {
            "partner_id": str(partners[cost.partner].id),
            "cost_s": cost.cost_s,
            "terms_s": dict(cost.terms_s),
            "pickup_distance_m": cost.pickup_distance_m,
        }

    return (
        delivery.id,
        delivery.merchant_id,
        explanation.outcome,
        json.dumps(shown(explanation.chosen)) if explanation.chosen else None,
        json.dumps([shown(cost) for cost in explanation.alternatives]),
        json.dumps(dict(explanation.partners_lost)),
        explanation.partners_feasible,
    )
