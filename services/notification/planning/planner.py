"""Plans messages from what a batch of events tells, in one transaction."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from libs.privacy.vault import Vault
from services.notification import metrics
from services.notification.planning import store
from services.notification.planning.learnt import Happening, Learnt, NewDelivery
from services.notification.planning.limits import PlanLimits
from services.notification.planning.rules import (
    CORRECTED,
    CUSTOMER,
    EMAIL,
    MERCHANT,
    OPS,
    PARTNER,
    SMS,
    TAKEN_BACK,
    Contact,
    PlannedMessage,
    plan,
    wants,
)
from services.notification.planning.store import KnownDelivery, SealedCustomer
from services.notification.recipients import places

OPS_OWNER = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Planner:
    """Learns whom deliveries concern, and plans what they are told."""

    vault: Vault
    limits: PlanLimits

    async def take(self, connection: asyncpg.Connection, learnt: Learnt) -> None:
        """Take effect for a batch, in the transaction of `connection`; taking it again plans nothing twice."""
        now = datetime.now(UTC)
        await store.set_merchants(connection, learnt.merchants)
        await store.set_cities(connection, learnt.cities)
        await self._keep_deliveries(connection, [*learnt.deliveries.values()], now)
        known = await store.deliveries_of(connection, {h.fact.delivery_id for h in learnt.happenings})
        happenings = [(h, known[h.fact.delivery_id]) for h in learnt.happenings if h.fact.delivery_id in known]
        by_id, by_owner = await store.contacts_of(
            connection,
            {d.customer_id for h, d in happenings if d.customer_id and wants(h.fact.status, CUSTOMER)},
            {owner for happening, delivery in happenings for owner in _owners(happening, delivery)},
        )
        planned: list[PlannedMessage] = []
        for happening, delivery in happenings:
            fact = replace(happening.fact, variables=dict(happening.fact.variables) | _variables(happening, delivery))
            contacts = _contacts(happening, delivery, by_id, by_owner)
            planned += plan(fact, contacts, now)
        for channel, audience in await store.add_messages(connection, planned, now):
            metrics.PLANNED.labels(channel, audience).inc()
        await store.take_back(
            connection, {h.fact.delivery_id for h, _ in happenings if h.fact.status == TAKEN_BACK}, now
        )
        # The last one holds.
        corrected = {h.fact.delivery_id: h.fact.at for h, _ in happenings if h.fact.status == CORRECTED}
        await store.put_right(connection, corrected, now)

    async def _keep_deliveries(
        self, connection: asyncpg.Connection, deliveries: list[NewDelivery], now: datetime
    ) -> None:
        zones = await store.zones_of(connection, {made.city_code for made in deliveries}) if deliveries else {}
        customers: dict[tuple[UUID, bytes], SealedCustomer] = {}
        keys: dict[UUID, tuple[UUID, bytes]] = {}
        for made in deliveries:
            if made.customer is not None:
                sealed = self._sealed(made, zones.get(made.city_code, self.limits.time_zone))
                keys[made.id] = (sealed.merchant_id, sealed.lookup_hash)
                customers[keys[made.id]] = sealed
        quiet_min = (self.limits.quiet_from_min, self.limits.quiet_until_min)
        ids = await store.set_customers(connection, [*customers.values()], quiet_min, now) if customers else {}
        rows = [(made, ids[keys[made.id]] if made.id in keys else None) for made in deliveries]
        await store.add_deliveries(connection, rows)

    def _sealed(self, made: NewDelivery, time_zone: str) -> SealedCustomer:
        customer = made.customer
        if customer is None:
            raise ValueError("there is no customer to seal")
        # The number that a customer is called by is the same when the e-mail address changes.
        known_by = customer.addresses.get(SMS) or customer.addresses[EMAIL]
        return SealedCustomer(
            made.merchant_id,
            self.vault.hash(known_by, places.LOOKUP),
            self.vault.seal(customer.name, places.NAME),
            customer.language,
            time_zone,
            {
                channel: (
                    self.vault.seal(address, places.ADDRESS),
                    self.vault.hash(address, places.of_channel(channel)),
                )
                for channel, address in customer.addresses.items()
            },
        )


def _owners(happening: Happening, delivery: KnownDelivery) -> Iterator[tuple[str, UUID]]:
    status = happening.fact.status
    if wants(status, MERCHANT):
        yield MERCHANT, delivery.merchant_id
    if wants(status, PARTNER) and happening.partner_id is not None:
        yield PARTNER, happening.partner_id
    if wants(status, OPS):
        yield OPS, OPS_OWNER


def _contacts(
    happening: Happening,
    delivery: KnownDelivery,
    by_id: Mapping[UUID, Contact],
    by_owner: Mapping[tuple[str, UUID], Contact],
) -> Iterator[Contact]:
    if delivery.customer_id is not None and delivery.customer_id in by_id:
        yield by_id[delivery.customer_id]
    for owner in _owners(happening, delivery):
        if owner in by_owner:
            yield by_owner[owner]


def _variables(happening: Happening, delivery: KnownDelivery) -> dict[str, str]:
    recorded_at = happening.fact.recorded_at
    return ({"recorded_at": recorded_at.isoformat()} if recorded_at else {}) | {
        "reference": delivery.reference,
        "city": delivery.city_code,
        "drop_from": delivery.drop_from.isoformat(),
        "drop_until": delivery.drop_until.isoformat(),
        "at": happening.fact.at.isoformat(),
    }
