"""From events to planned messages: once, to the right people, with nothing personal in the clear."""

import json
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from libs.embedded.stack import EmbeddedServers
from libs.privacy.sealed_mail import Sealer, new_key_pem, public_pem_of
from services.notification.planning.limits import PlanLimits
from tests.alerters import set_contact
from tests.notifications import Notifications, phone_number


async def test_a_customer_is_told_over_each_address_and_once(notifications: Notifications) -> None:
    story = notifications.story()
    events = [*story.prologue(), story.created(phone_number(), "asha@example.com"), story.became("delivered")]
    await notifications.plan(*events)
    await notifications.plan(*events)
    assert set(await notifications.states(story)) == {
        ("created", "email"), ("delivered", "sms"), ("delivered", "email"),
    }  # fmt: skip


async def test_a_second_planner_with_the_same_fact_adds_nothing(notifications: Notifications) -> None:
    story = notifications.story()
    await notifications.plan(story.created(phone_number()), story.became("delivered"))
    # Another event of the same status: such as one that was replayed under a new id.
    await notifications.plan(story.became("delivered"))
    assert len(await notifications.messages(story)) == 1


async def test_the_database_itself_refuses_a_second_message(
    notifications: Notifications, embedded_servers: EmbeddedServers
) -> None:
    story = notifications.story()
    await notifications.plan(story.created(phone_number()), story.became("delivered"))
    owner = await asyncpg.connect(embedded_servers.dsn())
    (row,) = await notifications.messages(story)
    row["id"] = uuid.uuid4()
    columns = ", ".join(row)
    places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    with pytest.raises(asyncpg.UniqueViolationError, match="one_message"):
        await owner.execute(f"INSERT INTO notification.messages ({columns}) VALUES ({places})", *row.values())
    await owner.close()


async def test_nothing_personal_is_in_the_clear(
    notifications: Notifications, embedded_servers: EmbeddedServers
) -> None:
    story, phone = notifications.story(), phone_number()
    created = story.created(phone, "asha.secret@example.com", name="Asha Verysecret")
    assert phone.encode() not in created.raw
    assert b"Verysecret" not in created.raw
    await notifications.plan(*story.prologue(), created, story.became("delivered"))
    owner = await asyncpg.connect(embedded_servers.dsn())
    for table in ("recipients", "addresses", "messages", "deliveries"):
        rows = await owner.fetch(f"SELECT t::text AS said FROM notification.{table} t")
        for text in (row["said"] for row in rows):
            assert not any(secret in text for secret in (phone, phone[3:], "Verysecret", "asha.secret"))
    await owner.close()


async def test_the_same_number_is_the_same_customer_of_a_merchant_and_another_of_another(
    notifications: Notifications,
) -> None:
    one, phone, other = notifications.story(), phone_number(), notifications.story()
    two = one.next_delivery()
    for story in (one, two, other):
        await notifications.plan(story.created(phone), story.became("delivered"))
    recipients = [(await notifications.messages(story))[0]["recipient_id"] for story in (one, two, other)]
    assert recipients[0] == recipients[1] != recipients[2]


async def test_a_contact_that_does_not_open_costs_the_message_and_nothing_else(
    notifications: Notifications, tmp_path: Path
) -> None:
    file = tmp_path / "foreign.pem"
    file.write_text(public_pem_of(new_key_pem()))
    foreign, good = notifications.story(), notifications.story()
    foreign.sealer = Sealer(file)
    await notifications.plan(
        foreign.created(phone_number()),
        foreign.became("delivered"),
        good.created(phone_number()),
        good.became("delivered"),
    )
    assert await notifications.messages(foreign) == []
    assert len(await notifications.messages(good)) == 1


async def test_a_delivery_that_nobody_told_of_is_passed_over(notifications: Notifications) -> None:
    story = notifications.story()
    await notifications.plan(story.became("delivered"))
    assert await notifications.messages(story) == []


async def test_who_handed_it_over_is_told_that_it_is_taken_back_and_not_to_stay_away(
    notifications: Notifications,
) -> None:
    story, partner_id = notifications.story(), str(uuid.uuid4())
    reached = ("partner", uuid.UUID(partner_id), phone_number(), "sms")
    await set_contact(notifications.primary, notifications.vault, *reached)
    await notifications.plan(story.created(phone_number()), story.became("delivered", partner_id=partner_id))
    late = story.became("cancelled", "PROOF_REJECTED", partner_id, before="delivered")
    await notifications.plan(late)
    await notifications.plan(late)
    told = {(row["audience"], row["status"]) for row in await notifications.messages(story)}
    assert told == {("customer", "delivered"), ("customer", "cancelled"), ("partner", "taken_back")}
    assert await notifications.states(story) == {
        ("delivered", "sms"): "suppressed", ("cancelled", "sms"): "planned", ("taken_back", "sms"): "planned",
    }  # fmt: skip


async def test_nobody_but_the_merchants_system_is_told_of_a_corrected_proof(notifications: Notifications) -> None:
    story, partner_id = notifications.story(), str(uuid.uuid4())
    for audience, owner, address, channel in (
        ("partner", partner_id, phone_number(), "sms"),
        ("merchant", story.merchant_id, "chai@example.com", "email"),
        ("merchant", story.merchant_id, "https://chai.example.com/hook", "webhook"),
    ):
        await set_contact(notifications.primary, notifications.vault, audience, uuid.UUID(owner), address, channel)
    await notifications.plan(story.created(phone_number(), "asha@example.com"))
    await notifications.plan(story.became("delivered", partner_id=partner_id, before="out_for_delivery"))
    before = await notifications.messages(story)
    # What it corrects may be older than anything that is still of use.
    days = timedelta(days=9)
    first, second = (story.became("delivered", "WRONG_TIME", partner_id, "delivered", days) for _ in range(2))
    await notifications.plan(first, second)
    await notifications.plan(second, first)
    added = (await notifications.messages(story))[len(before) :]
    assert {(row["audience"], row["channel"], row["state"]) for row in added} == {("merchant", "webhook", "planned")}
    # Each of them is told of, once.
    assert sorted(row["status"] for row in added) == [f"corrected:{e.message.sequence}" for e in (first, second)]


async def test_a_customer_who_is_not_told_yet_is_told_of_the_time_that_was_corrected(
    notifications: Notifications,
) -> None:
    waits, sent = notifications.story(), notifications.story()
    for story in (waits, sent):
        await notifications.plan(story.created(phone_number()), story.became("delivered", before="out_for_delivery"))
    await notifications.primary.execute(
        "UPDATE notification.messages SET state = 'sent' WHERE delivery_id = $1", uuid.UUID(sent.delivery_id)
    )
    said = {story.delivery_id: (await notifications.messages(story))[0]["variables"] for story in (waits, sent)}
    for story in (waits, sent):
        wrong, right = (
            story.became("delivered", "WRONG_TIME", before="delivered", happened_ago=timedelta(minutes=minutes))
            for minutes in (9, 3)
        )
        await notifications.plan(wrong, right)
    (waiting,), (gone,) = await notifications.messages(waits), await notifications.messages(sent)
    assert gone["variables"] == said[sent.delivery_id]
    before, after = (json.loads(variables)["at"] for variables in (said[waits.delivery_id], waiting["variables"]))
    ago = datetime.fromisoformat(before) - datetime.fromisoformat(after)
    assert timedelta(minutes=2) < ago < timedelta(minutes=4)


async def test_quiet_hours_hold_back_what_is_not_urgent(notifications: Notifications) -> None:
    story = notifications.story()
    minute = datetime.now(ZoneInfo("Asia/Kolkata"))
    minutes = minute.hour * 60 + minute.minute
    now_quiet = PlanLimits(quiet_from_min=(minutes - 5) % 1440, quiet_until_min=(minutes + 60) % 1440)
    await notifications.plan(
        story.created(phone_number()), story.became("out_for_delivery"), story.became("delivered"), limits=now_quiet
    )
    waits = {row["status"]: row["send_after"] - row["planned_at"] for row in await notifications.messages(story)}
    assert waits["out_for_delivery"] == timedelta()
    assert timedelta(minutes=58) < waits["delivered"] <= timedelta(minutes=60)
