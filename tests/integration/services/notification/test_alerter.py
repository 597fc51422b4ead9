"""Alerts on the real servers: one for each outage, whoever dies, told once to those whom it concerns."""

import uuid
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from libs.resilience.board import read_board
from libs.resilience.circuit import CircuitState
from services.notification.alerts.signals import SignalLimits
from services.notification.handlers.outage_facts import OutageFacts
from services.notification.planning.rules import FIRST
from services.notification.providers.inbox import InboxProvider, InboxSettings
from services.notification.sending.carriers import Carrier
from tests.alerters import (
    Peer,
    alerter_process,
    alerting,
    alerts_of,
    set_contact,
    set_ops_contact,
    shared_peer,
    told_of,
)
from tests.consumers import until
from tests.notifications import Notifications, phone_number, sending
from tests.outages import lent, moved


@pytest.fixture
async def network(embedded_servers: EmbeddedServers) -> AsyncIterator[Peer]:
    async with shared_peer(embedded_servers, "network:") as peer:
        yield peer


async def test_of_two_alerters_one_tells_and_when_it_is_killed_the_other_goes_on(
    notifications: Notifications, embedded_servers: EmbeddedServers, network: Peer
) -> None:
    primary = notifications.primary
    await set_ops_contact(primary, notifications.vault)
    async with alerter_process(embedded_servers) as first, alerter_process(embedded_servers) as second:

        async def one_leads() -> bool:
            return await first.leads() or await second.leads()

        async def is_told(count: int) -> bool:
            alerts = await alerts_of(primary, network.name)
            return bool(alerts) and len(await told_of(primary, alerts[0]["id"])) == count

        await until(one_leads)
        await network.fail()
        await until(lambda: is_told(1))
        leader, standby = (first, second) if await first.leads() else (second, first)
        assert not await standby.leads()
        await leader.kill()
        await until(standby.leads)
        await network.heal()
        await until(lambda: is_told(2))
    (alert,) = await alerts_of(primary, network.name)
    assert (alert["state"], alert["symptoms"], alert["relapses"]) == ("recovered", ["circuit_open"], 0)
    raised, over = await told_of(primary, alert["id"])
    assert (raised["status"], raised["audience"], raised["channel"], raised["priority"]) == (
        "alert_raised", "ops", "email", FIRST,
    )  # fmt: skip
    assert (over["status"], over["state"]) == ("alert_over", "planned")


async def test_ops_get_an_alert_and_its_end_by_e_mail(
    notifications: Notifications, embedded_servers: EmbeddedServers, network: Peer
) -> None:
    primary, settings = notifications.primary, InboxSettings()
    await set_ops_contact(primary, notifications.vault)
    carrier = Carrier(InboxProvider(settings, primary, notifications.vault), settings)
    async with alerting(primary, embedded_servers), sending(notifications.sender({"email": [carrier]})):

        async def states() -> list[str]:
            alerts = await alerts_of(primary, network.name)
            return [message["state"] for alert in alerts for message in await told_of(primary, alert["id"])]

        async def have_arrived(count: int) -> bool:
            return await states() == ["delivered"] * count

        await network.fail()
        await until(lambda: have_arrived(1))
        await network.heal()
        await until(lambda: have_arrived(2))
    row = await primary.fetchrow(
        "SELECT content_sealed FROM notification.inbox WHERE channel = 'email' ORDER BY id DESC LIMIT 1"
    )
    text = notifications.vault.open(row["content_sealed"], b"message content")
    assert "Over: partner network" in text
    assert "It is over, after 1 minute." in text


async def test_flapping_stays_one_alert(
    notifications: Notifications, embedded_servers: EmbeddedServers, network: Peer
) -> None:
    primary = notifications.primary
    await set_ops_contact(primary, notifications.vault)
    async with alerting(primary, embedded_servers, healed_s=60):

        async def comes_and_goes() -> bool:
            await network.fail()
            await until(lambda: network.dependency.is_probe_due)
            await network.heal()
            await until(lambda: is_well_on_board(embedded_servers, network))
            return any(alert["relapses"] >= 3 for alert in await alerts_of(primary, network.name))

        await until(comes_and_goes)
    (alert,) = await alerts_of(primary, network.name)
    assert len(await told_of(primary, alert["id"])) == 1
    # No other test's alerter is to end it.
    await primary.execute(
        "UPDATE notification.alerts SET state = 'recovered', recovered_at = now() WHERE id = $1", alert["id"]
    )


async def is_well_on_board(servers: EmbeddedServers, network: Peer) -> bool:
    async with redis.from_url(servers.redis_url) as client:
        reports = [report for report in await read_board(client) if report.dependency == network.name]
    return [report.state for report in reports] == [CircuitState.CLOSED]


async def test_a_merchant_is_told_only_of_its_own_and_only_if_it_asked(
    notifications: Notifications, embedded_servers: EmbeddedServers, network: Peer
) -> None:
    primary = notifications.primary
    await set_ops_contact(primary, notifications.vault)
    asked, silent, unconcerned = (uuid.uuid4() for _ in range(3))
    for merchant_id in (asked, silent, unconcerned):
        await set_contact(primary, notifications.vault, "merchant", merchant_id, f"m{merchant_id.hex}@example.com")
    for merchant_id in (asked, unconcerned):
        await primary.execute("INSERT INTO notification.outage_news VALUES ($1, now())", merchant_id)
    partner_id, code = str(new_id()), network.name.removeprefix("network:")
    facts = OutageFacts(primary)
    delivery_id = str(new_id())
    await facts.handle([lent(partner_id, code)])
    async with alerting(primary, embedded_servers):
        await network.fail()
        await facts.handle(
            [
                moved(delivery_id, str(asked), partner_id, "PENDING", "NETWORK_DOWN"),
                moved(str(new_id()), str(silent), partner_id, "PENDING", "NETWORK_DOWN"),
            ]
        )
        await facts.handle([moved(delivery_id, str(asked), str(new_id()), "OFFERED")])

        async def told() -> list[tuple[str, object]]:
            alerts = await alerts_of(primary, network.name)
            found = [message for alert in alerts for message in await told_of(primary, alert["id"])]
            return [(message["status"], message["merchant_id"]) for message in found]

        async def impact() -> str:
            return "".join(alert["impact"] for alert in await alerts_of(primary, network.name))

        async def is_counted() -> bool:
            known = await impact()
            wanted = ('"partners": 1', '"offers_withdrawn": 2', '"deliveries_rematched": 1', '"merchants": 2')
            return all(part in known for part in wanted)

        await until(is_counted)

        async def is_told() -> bool:
            return ("outage_began", asked) in await told()

        await until(is_told)
        await network.heal()

        async def is_over() -> bool:
            return ("outage_over", asked) in await told()

        await until(is_over)
    merchants = [merchant_id for _, merchant_id in await told() if merchant_id is not None]
    assert merchants == [asked, asked]
    (alert,) = await alerts_of(primary, network.name)
    texts = [message["variables"] for message in await told_of(primary, alert["id"]) if message["merchant_id"]]
    assert "1 of your deliveries" in texts[0]
    assert not any(code in text for text in texts)


async def test_messages_that_wait_too_long_are_an_alert(
    notifications: Notifications, embedded_servers: EmbeddedServers
) -> None:
    primary = notifications.primary
    story = notifications.story()
    await notifications.plan(*story.prologue(), story.created(phone_number()), story.became("out_for_delivery"))
    await primary.execute("UPDATE notification.messages SET planned_at = planned_at - interval '10 minutes'")

    async def state() -> str:
        return "".join(alert["state"] for alert in await alerts_of(primary, "sms"))

    async def is_state(wanted: str) -> bool:
        return await state() == wanted

    async with alerting(primary, embedded_servers, SignalLimits(queue_age_s_max=60)):
        await until(lambda: is_state("open"))
        (alert,) = await alerts_of(primary, "sms")
        assert alert["what"].startswith("1 messages are due and wait, the first of them for 60")
        assert '"messages_waiting": 1' in alert["impact"]
        await primary.execute("UPDATE notification.messages SET state = 'sent'")
        await until(lambda: is_state("recovered"))
