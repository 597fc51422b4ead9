"""A day of deliveries for reconciliation: the ledger's entries as the bookkeeper writes them, and a statement of them
with seeded discrepancies of every class. Everything follows from the seed."""

import io
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from libs.ids import floor_at
from services.reconciliation.statements.fields import Line
from services.reconciliation.statements.mapping import Mapping
from tests.ledger import EVENING, card

START = EVENING - timedelta(days=2)
DELIVERIES_OF_A_PARTNER = 7
CSV = Mapping.model_validate(
    {
        "format": "csv",
        "columns": {"reference": "ref", "payee": "payee", "amount": "amount", "paid_at": "paid_at", "leg": "kind"},
        "legs": {"payout": "payout", "cash": "cash"},
    }
)
HEADER = "ref,payee,amount,paid_at,kind,batch\n"
CLASSES = (
    "missing_payout",
    "unknown_delivery",
    "overpaid",
    "underpaid",
    "duplicate",
    "wrong_partner",
    "cash_mismatch",
    "cancelled_after_export",
)
# Rules find these, so they are no discrepancies.
FOUND_BY_RULE = ("many_to_one", "missing_reference", "mistyped_reference")


@dataclass(frozen=True, slots=True)
class Owed:
    """A delivery that was handed over."""

    number: int
    delivery_id: UUID
    partner_id: UUID
    payout_paise: int
    cash_paise: int
    at: datetime
    is_cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Paid:
    """A row of the statement."""

    reference: str
    payee: UUID
    paise: int
    at: datetime
    leg: str = "payout"

    def text(self) -> str:
        """The row as CSV."""
        rupees = f"{self.paise // 100}.{self.paise % 100:02}"
        return f"{self.reference},{self.payee},{rupees},{self.at.isoformat()},{self.leg},b\n"


@dataclass(slots=True)
class Day:
    """What is owed, what is said to be paid, and which discrepancies that makes, by class: deliveries or references."""

    owed: list[Owed] = field(default_factory=list)
    paid: list[Paid] = field(default_factory=list)
    seeded: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def file(self) -> bytes:
        """The statement."""
        return (HEADER + "".join(row.text() for row in self.paid)).encode()


def uuid_at(at: datetime, chance: random.Random) -> UUID:
    """A UUIDv7 of a moment."""
    return UUID(int=floor_at(at).int | (7 << 76) | (2 << 62) | chance.getrandbits(62) | (chance.getrandbits(12) << 64))


def day_of(count: int, seed: int, every: int = 100, start: datetime = START) -> Day:
    """A day of `count` deliveries, of which about one in `every` is wrong or odd, each class as often as the other."""
    chance, day = random.Random(seed), Day()
    partners = [uuid_at(start - timedelta(days=30), chance) for _ in range(max(1, count // DELIVERIES_OF_A_PARTNER))]
    kinds = (*CLASSES, *FOUND_BY_RULE)
    for number in range(count):
        at = start + timedelta(seconds=86_400 * number / count)
        # Amounts of a partner differ, so that what has no reference can be one delivery only.
        payout = 2_000 + 200 * (number // len(partners)) + chance.randrange(100)
        cash = chance.randrange(10_000, 99_900) if number % 3 == 0 else 0
        owed = Owed(number, uuid_at(at, chance), partners[number % len(partners)], payout, cash, at)
        kind = kinds[(number // every) % len(kinds)] if number % every == every // 2 else "plain"
        _add(day, owed, kind, chance)
    # As statements are: in the order of payment.
    day.paid.sort(key=lambda row: (row.at, row.reference, row.leg))
    return day


def _add(day: Day, owed: Owed, kind: str, chance: random.Random) -> None:
    reference, at = str(owed.delivery_id), owed.at + timedelta(minutes=chance.randrange(10, 600))
    line = Paid(reference, owed.partner_id, owed.payout_paise, at)
    half, stranger = line.paise // 2, uuid_at(owed.at, chance)
    # What is paid for it instead of its one line.
    instead = {
        "missing_payout": [],
        "unknown_delivery": [line, replace(line, reference=str(stranger))],
        "overpaid": [replace(line, paise=line.paise + 150)],
        "underpaid": [replace(line, paise=line.paise - 150)],
        "duplicate": [line, replace(line, at=at + timedelta(minutes=5))],
        "wrong_partner": [replace(line, payee=stranger)],
        "many_to_one": [
            replace(line, paise=half),
            replace(line, paise=line.paise - half, at=at + timedelta(minutes=1)),
        ],
        "missing_reference": [replace(line, reference="")],
        "mistyped_reference": [replace(line, reference=reference[:-1] + ("0" if reference[-1] != "0" else "1"))],
    }
    lines = instead.get(kind, [line])
    if kind == "cash_mismatch":
        owed = replace(owed, cash_paise=50_000)
    if kind == "cancelled_after_export":
        owed = replace(owed, is_cancelled=True, cash_paise=0)
    if owed.cash_paise:
        collected = owed.cash_paise - (700 if kind == "cash_mismatch" else 0)
        lines = [*lines, Paid(reference, owed.partner_id, collected, at, "cash")]
    if kind in CLASSES:
        day.seeded[kind].add(str(stranger) if kind == "unknown_delivery" else reference)
    day.owed.append(owed)
    day.paid.extend(lines)


async def add_to_ledger(owner: asyncpg.Connection, owed: Sequence[Owed], seed: int = 1) -> None:
    """Write the entries and postings of deliveries as the bookkeeper does, past its triggers: there are many."""
    chance, made = random.Random(seed), card()
    await owner.execute("SET session_replication_role = replica")
    await owner.execute(
        "INSERT INTO reconciliation.rate_cards VALUES ($1, 'BLR', 'motorcycle', '', 1, $2, '{}', $2, 'test')"
        " ON CONFLICT DO NOTHING", made.id, START,
    )  # fmt: skip
    entries: list[tuple[object, ...]] = []
    postings: list[tuple[object, ...]] = []
    for one in owed:
        entries_of, postings_of = _booked(one, made.id, chance)
        entries += entries_of
        postings += postings_of
    for table, columns, rows in (("entries", _ENTRY, entries), ("postings", _POSTING, postings)):
        await owner.copy_records_to_table(table, schema_name="reconciliation", columns=columns, records=rows)
    await owner.execute("RESET session_replication_role")
    await owner.execute("ANALYZE reconciliation.entries")
    await owner.execute("ANALYZE reconciliation.postings")


_ENTRY = (
    "id", "kind", "cause_event_id", "event_ids", "delivery_id", "merchant_id", "partner_id", "partner_version",
    "rate_card_id", "reverses", "postings_count", "occurred_at", "booked_at",
)  # fmt: skip
_POSTING = ("entry_id", "line", "entry_postings_count", "account", "purpose", "paise", "merchant_id", "booked_at")


def _booked(
    one: Owed, card_id: UUID, chance: random.Random
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    booked_at, merchant_id = one.at + timedelta(seconds=1), UUID(int=one.number % 100)
    tds, fee = one.payout_paise // 100, one.payout_paise * 5 // 4
    earned = one.payout_paise + tds
    amounts = [
        ("platform:earnings", "earnings", earned),
        (f"partner:{one.partner_id}", "earnings", tds - earned),
        ("tax:tds", "tds", -tds),
        (f"merchant:{merchant_id}", "fee", fee),
        ("platform:fees", "fee", -fee),
        (f"cash:{one.partner_id}", "cash_collected", one.cash_paise),
        (f"merchant:{merchant_id}", "cash_collected", -one.cash_paise),
    ]
    kept = [amount for amount in amounts if amount[2]]
    entries, postings = [], []
    first: UUID | None = None
    for kind, sign in (("earnings", 1), ("reversal", -1)):
        if kind == "reversal" and not one.is_cancelled:
            continue
        entry_id = uuid_at(booked_at, chance)
        cause = uuid_at(booked_at, chance)
        entries.append(
            (entry_id, kind, cause, [cause], one.delivery_id, merchant_id, one.partner_id, 1, card_id, first,
             len(kept), one.at, booked_at)
        )  # fmt: skip
        for line, (account, purpose, paise) in enumerate(kept, 1):
            merchant = merchant_id if account.startswith("merchant:") else None
            postings.append((entry_id, line, len(kept), account, purpose, sign * paise, merchant, booked_at))
        first = first or entry_id
    return entries, postings


def lines_of(day: Day) -> Iterator[Line]:
    """The statement's lines as intake makes them."""
    for number, row in enumerate(day.paid, 1):
        reference = row.reference or None
        yield number, row.leg, row.reference, reference, f"partner:{row.payee}", row.paise, row.at


def stream_of(day: Day) -> io.BytesIO:
    """The statement as a file."""
    return io.BytesIO(day.file())


NOW = datetime(2026, 11, 27, tzinfo=UTC)
