"""Hand-overs that are corrected, as runs and the desk see them: what others pay by is what was booked first."""

import random
from datetime import datetime, timedelta

import asyncpg
import pytest

from tests.desk_api import KIND, DeskApi, balance, follow, of_class, refused
from tests.integration.services.reconciliation.conftest import LedgerApi
from tests.integration.services.reconciliation.test_runs import found
from tests.integration.services.reconciliation.test_successive_runs import line
from tests.invariants import FILES
from tests.recon import NOW, Day, Owed, add_to_ledger, day_of, uuid_at
from tests.recon_runs import run_once, taken_in

_CORRECT = """
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, merchant_id, partner_id, partner_version,
  rate_card_id, postings_count, occurred_at, booked_at)
SELECT $2, 'correction', gen_random_uuid(), event_ids, merchant_id, partner_id, partner_version, rate_card_id, 2,
  occurred_at, booked_at
FROM reconciliation.entries WHERE delivery_id = $1 AND kind = 'earnings'
"""
_NAME = """
INSERT INTO reconciliation.corrections (entry_id, corrects, merchant_id)
SELECT $2, id, merchant_id FROM reconciliation.entries WHERE delivery_id = $1 AND kind = 'earnings'
"""
_POST = """
INSERT INTO reconciliation.postings (entry_id, line, entry_postings_count, account, purpose, paise, booked_at)
VALUES ($1, 1, 2, $2, 'earnings', -$3::bigint, now()), ($1, 2, 2, 'platform:earnings', 'earnings', $3, now())
"""


async def correct(owner: asyncpg.Connection, one: Owed, paise: int, at: datetime) -> None:
    """Have a delivery be owed so much more, or less, from a moment on."""
    entry_id = uuid_at(at, random.Random(one.number))
    async with owner.transaction():
        await owner.execute(_CORRECT, one.delivery_id, entry_id)
        await owner.execute(_NAME, one.delivery_id, entry_id)
        await owner.execute(_POST, entry_id, f"partner:{one.partner_id}", paise)


async def test_a_run_compares_with_what_was_booked_first(clean: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    day = day_of(20, seed=7, every=1_000)
    await add_to_ledger(clean, day.owed)
    early, late = day.owed[4], day.owed[5]
    await correct(clean, early, 300, early.at + timedelta(hours=2))
    await taken_in(pool, day.file())
    await run_once(pool)
    await correct(clean, late, -300, NOW + timedelta(hours=1))
    await run_once(pool, NOW.replace(day=28))
    assert await found(clean) == {}
    assert await clean.fetchval("SELECT count(*) FROM reconciliation.open_legs") == 0


async def test_what_is_corrected_is_not_given_up_by_what_it_was(
    clean: asyncpg.Connection, pool: asyncpg.Pool, api: LedgerApi
) -> None:
    desk, day = DeskApi(api), day_of(20, seed=7, every=1_000)
    await add_to_ledger(clean, day.owed)
    missing, less = day.owed[4], day.owed[5]
    paid = [row for row in day.paid if row.reference not in {str(missing.delivery_id), str(less.delivery_id)}]
    paid += [line(less, less.payout_paise - 300), *(row for row in day.paid if row.leg == "cash")]
    await taken_in(pool, Day(paid=list(dict.fromkeys(paid))).file())
    await run_once(pool)
    await follow(api, clean)
    for one, kind in ((missing, "missing_payout"), (less, "underpaid")):
        (case,) = await of_class(desk, kind)
        await correct(clean, one, -100, NOW + timedelta(hours=1))
        assert await refused(desk.resolve([case], KIND.RESOLUTION_KIND_WRITE_OFF)) == "SETTLED_MEANWHILE"
    await desk.resolve([case], KIND.RESOLUTION_KIND_DISMISS)
    assert await balance(clean, "platform:write_offs") == 0
    # Back to what it was first, it may be given up as ever.
    await correct(clean, missing, 100, NOW + timedelta(hours=2))
    await desk.resolve(await of_class(desk, "missing_payout"), KIND.RESOLUTION_KIND_WRITE_OFF)
    assert await balance(clean, "platform:write_offs") == -missing.payout_paise


_UNDO_THE_FIRST_ALONE = """
INSERT INTO reconciliation.entries SELECT (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid(),
  'kind', 'reversal', 'reverses', e.id, 'cause_event_id', gen_random_uuid(), 'postings_count', 0))).*
FROM reconciliation.entries e JOIN reconciliation.corrections k ON k.corrects = e.id
"""
_HAND_OVER_AGAIN = """
INSERT INTO reconciliation.delivery_changes (delivery_id, sequence, event_id, state, occurred_at)
SELECT e.delivery_id, 9, gen_random_uuid(), 'delivered', now()
FROM reconciliation.entries e JOIN reconciliation.corrections k ON k.corrects = e.id
"""
_OF_ANOTHER = "UPDATE reconciliation.corrections SET merchant_id = gen_random_uuid()"
BROKEN = {
    "a correction of another merchant's": (_OF_ANOTHER, "corrections_are_of_earnings"),
    "a correction of nothing": ("DELETE FROM reconciliation.corrections", "corrections_are_of_earnings"),
    "a reversal that forgets the correction": (_UNDO_THE_FIRST_ALONE, "corrections_are_of_earnings"),
    "a hand-over that nothing was booked for": (_HAND_OVER_AGAIN, "handed_over_is_paid"),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_an_invariant_forbids_is_found(clean: asyncpg.Connection, what: str) -> None:
    day, (change, name) = day_of(3, seed=7, every=1_000), BROKEN[what]
    await add_to_ledger(clean, day.owed)
    await correct(clean, day.owed[1], 300, NOW)
    query = next(file for file in FILES if file.stem == name).read_text()
    assert await clean.fetch(query) == []
    await clean.execute("SET session_replication_role = replica")
    await clean.execute(change)
    await clean.execute("RESET session_replication_role")
    assert await clean.fetch(query) != []
