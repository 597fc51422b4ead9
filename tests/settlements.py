"""Settlements for tests: a city with cycles of its own, so that nobody else's entries are in them."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from services.reconciliation.handlers.ledger import Ledger
from services.reconciliation.settlements.closing.closer import Closer
from services.reconciliation.settlements.limits import SettlementLimits
from services.reconciliation.settlements.opening import open_now
from services.reconciliation.settlements.reading import store as reading
from services.reconciliation.settlements.statement import Cycle, Statement, hash_of
from tests.ledger import STORY
from tests.ledger_events import Told


class City:
    """A city whose cycles are closed on demand. Each is said to end a second later than the last."""

    def __init__(self, books: asyncpg.Pool, worker: asyncpg.Pool, city_code: str, **limits: int) -> None:
        self.books, self.worker, self.city_code = books, worker, city_code
        known = {"cycle": "never", "city_cycles": {city_code: "never"}, "settle_s": 0, "overlap_s": 60} | limits
        self.limits = SettlementLimits.model_validate(known)
        self._ahead = timedelta()

    async def hand_over(self, count: int = 1, states: tuple[str, ...] = STORY, **told: object) -> list[Told]:
        """Have deliveries of the city handed over, each by a partner of its own unless told otherwise."""
        made = [Told(self.city_code, states, **told) for _ in range(count)]  # type: ignore[arg-type]  # of Told's own
        events = [event for one in made for event in (one.partner_event, *one.events)]
        await Ledger(self.books).handle([event for event in events if event is not None])
        return made

    async def open(self) -> Cycle:
        """End the cycle."""
        self._ahead += timedelta(seconds=1)
        now = datetime.now(UTC) + self._ahead
        async with self.worker.acquire() as connection, connection.transaction():
            cycle, was_open = await open_now(connection, self.limits, self.city_code, "test", now)
        assert not was_open
        return cycle

    async def close(self) -> int:
        """End the cycle and close it; return its number."""
        cycle = await self.open()
        closer = Closer(self.worker, self.limits)
        while await closer.work_once():
            pass
        async with self.worker.acquire() as connection:
            closed = await reading.cycle(connection, cycle.cycle_no)
        assert closed is not None
        assert closed.closed_at is not None, closed.last_error
        return cycle.cycle_no

    async def statement(self, cycle_no: int, party: str) -> Statement | None:
        """A party's whole statement, whose hash is done again."""
        async with self.worker.acquire() as connection:
            found = await reading.statement(connection, cycle_no, party)
        if found is not None:
            assert hash_of(found.cycle, found.party, found.totals, found.lines) == found.content_sha256
        return found

    async def statements(self, cycle_no: int) -> dict[str, Statement]:
        """Every statement of a cycle, by party."""
        async with self.worker.acquire() as connection:
            cycle = await reading.cycle(connection, cycle_no)
            assert cycle is not None
            return {one.party: one for one in await reading.statements(connection, cycle, "", 1_000_000)}


def kinds(statement: Statement | None) -> Counter[str]:
    """How many lines of each kind a statement has."""
    return Counter(line.kind for line in statement.lines) if statement else Counter()


async def balances(owner: asyncpg.Connection, parties: Sequence[str]) -> dict[str, int]:
    """What the ledger owes each party: its own account, and a partner's cash."""
    rows = await owner.fetch(
        "SELECT regexp_replace(account, '^cash:', 'partner:') AS party, -sum(paise)::bigint AS paise"
        " FROM reconciliation.postings WHERE regexp_replace(account, '^cash:', 'partner:') = ANY ($1) GROUP BY 1",
        list(parties),
    )
    return {row["party"]: row["paise"] for row in rows}
