"""An outage and its end, told to ops' own system and to that of a merchant who asked: signed, each once."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from libs.embedded.stack import EmbeddedServers
from libs.ids import new_id
from services.notification.handlers.outage_facts import OutageFacts
from services.notification.planning.limits import PlanLimits
from services.notification.planning.planner import OPS_OWNER
from services.notification.providers.webhook import WebhookProvider, WebhookSettings
from services.notification.recipients import places
from services.notification.recipients import store as recipients
from services.notification.recipients.addresses import kept
from services.notification.recipients.recipient import owned_by
from services.notification.sending.carriers import Carrier
from services.notification.webhooks import store
from services.notification.webhooks.ops import keep_ops_webhook
from tests.alerters import alerting, alerts_of, shared_peer
from tests.consumers import until
from tests.notifications import Notifications, sending
from tests.outages import lent, moved
from tests.peers.receiver import Receiver, receiver
from tests.texts import opened

OPS_SECRET, MERCHANTS_SECRET = "whsec_" + "QUFB" * 11, "whsec_" + "QkJC" * 11


@pytest.fixture
async def system() -> AsyncIterator[Receiver]:
    async with receiver() as made:
        made.secrets.append(OPS_SECRET)
        yield made


def carrier(folder: Path, url: str) -> Carrier:
    (folder / "secret").write_text(f"{OPS_SECRET}\n")
    settings = WebhookSettings(private_receivers=True, ops_url=url, ops_secret_file=folder / "secret")
    return opened(Carrier(WebhookProvider(settings), settings))


async def merchant_at(notifications: Notifications, url: str) -> uuid.UUID:
    """A merchant with a webhook who asked to be told of outages."""
    merchant_id, vault = uuid.uuid4(), notifications.vault
    made = owned_by("merchant", merchant_id, merchant_id, vault.seal("Chai & Co", places.NAME), PlanLimits())
    async with notifications.primary.acquire() as connection:
        await recipients.set_owner(connection, made, {"webhook": kept(vault, "webhook", url)})
        sealed = vault.seal(MERCHANTS_SECRET, places.WEBHOOK_SECRET)
        await store.set_webhook(connection, merchant_id, sealed, datetime.now(UTC))
        await connection.execute("INSERT INTO notification.outage_news VALUES ($1, now())", merchant_id)
    return merchant_id


def types(peer: Receiver) -> list[str]:
    return [said["type"] for said in peer.taken.values()]


async def test_an_outage_and_its_end_are_told_by_signed_webhook(
    notifications: Notifications, embedded_servers: EmbeddedServers, system: Receiver, tmp_path: Path
) -> None:
    primary = notifications.primary
    by_webhook = carrier(tmp_path, system.url)
    await keep_ops_webhook(primary, notifications.vault, system.url)
    try:
        async with (
            receiver() as merchants,
            shared_peer(embedded_servers, "network:") as network,
            alerting(primary, embedded_servers),
            sending(notifications.sender({"webhook": [by_webhook]})),
        ):
            merchants.secrets.append(MERCHANTS_SECRET)
            merchant_id, partner_id = await merchant_at(notifications, merchants.url), str(new_id())
            await OutageFacts(primary).handle([lent(partner_id, network.name.removeprefix("network:"))])
            await network.fail()
            await OutageFacts(primary).handle(
                [moved(str(new_id()), str(merchant_id), partner_id, "PENDING", "NETWORK_DOWN")]
            )
            await until(lambda: types(system) == ["alert.raised"] and types(merchants) == ["outage.began"])
            await network.heal()
            await until(lambda: len(types(system)) == len(types(merchants)) == 2)
        assert (types(system)[1], types(merchants)[1]) == ("alert.over", "outage.over")
        (alert,) = await alerts_of(primary, network.name)
        raised, over = (said["data"] for said in system.taken.values())
        assert raised["alertId"] == over["alertId"] == str(alert["id"])
        assert network.name.removeprefix("network:") in raised["title"]
        assert "Since:" in raised["text"]
        assert "It is over" in over["text"]
        assert "1 of your deliveries" in next(iter(merchants.taken.values()))["data"]["text"]
        assert len(system.asked) == len(merchants.asked) == 2
    finally:
        await keep_ops_webhook(primary, notifications.vault, "")


async def test_where_ops_are_told_is_what_the_settings_say(notifications: Notifications) -> None:
    async def urls() -> list[str]:
        known = await recipients.addresses_of_owner(notifications.primary, "ops", OPS_OWNER)
        sealed = [one.address_sealed for one in known if one.channel == "webhook"]
        return [notifications.vault.open(one, places.ADDRESS) for one in sealed]

    for url in ("https://one.example.com/", "https://two.example.com/", ""):
        await keep_ops_webhook(notifications.primary, notifications.vault, url)
        assert await urls() == [url] * bool(url)


def test_a_webhook_that_nothing_signs_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for told in ({}, {"ops_secret_file": tmp_path / "empty"}, {"ops_secret_file": tmp_path / "absent"}):
        with pytest.raises(ValidationError, match="ops_secret_file"):
            WebhookSettings.model_validate({"ops_url": "https://ops.example.com/", **told})
