"""What is printed of a settlement adds up to what the statement says, with lines and without."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.papers.contents import statement_content
from services.reconciliation.papers.rendering import pdf, png_pages
from services.reconciliation.papers.settled import printed
from services.reconciliation.settlements.statement import Cycle, LineKind, Statement, StatementLine, Totals

FROM = datetime(2026, 11, 15, 18, 30, tzinfo=UTC)
CYCLE = Cycle(47, "", FROM, FROM + timedelta(days=7), "closed", FROM, "test", FROM + timedelta(days=7, hours=2))
PARTY = "partner:01890a5d-ac96-774b-bcce-b302099a8057"
PAISE = st.integers(-(10**9), 10**9)
LINES = st.lists(
    st.builds(
        StatementLine,
        entry_id=st.uuids(),
        kind=st.sampled_from([*map(str, LineKind), "write_off"]),
        delivery_id=st.none() | st.uuids(),
        occurred_at=st.datetimes(FROM.replace(tzinfo=None), timezones=st.just(UTC)),
        work_paise=PAISE,
        tax_paise=PAISE,
        cash_paise=PAISE,
        paid_paise=PAISE,
        adjusts_cycle_no=st.none() | st.just(46),
    ),
    max_size=12,
)


def statement_of(lines: list[StatementLine], opening: int = 0, held: int = 0, unsettled: int = 0) -> Statement:
    sums = [sum(getattr(line, f"{column}_paise") for line in lines) for column in ("work", "tax", "cash", "paid")]
    closing = opening + sum(sums)
    totals = Totals(opening, len(lines), *sums, closing, held, unsettled, max(0, closing - held - unsettled))
    return Statement(CYCLE, PARTY, totals, b"x" * 32, tuple(lines))


@given(LINES, PAISE, st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_what_is_printed_adds_up(
    lines: list[StatementLine], opening: int, held: int, unsettled: int, is_short: bool
) -> None:
    statement = statement_of(lines, opening, held, unsettled)
    shown = printed(statement, "Lastmile", 100 if is_short else 0)
    totals = statement.totals
    assert shown.payable_paise == min(totals.closing_paise, totals.payable_paise)
    assert sum(section.amount_paise for section in shown.sections) == shown.payable_paise
    assert len(shown.details) == (len(lines) if is_short else 0)


@pytest.mark.parametrize(
    ("closing", "held", "unsettled", "payable", "is_owed_back"),
    [
        (150, 100, 0, "0.50", False),
        (50, 100, 0, "0.00", False),
        (50, 0, 100, "0.00", False),
        (0, 100, 0, "0.00", False),
        (-50, 0, 0, "\N{MINUS SIGN}0.50", True),
        # What it carries into the next cycle is what it owes, whatever is held.
        (-50, 100, 0, "\N{MINUS SIGN}0.50", True),
    ],
)
def test_only_who_owes_is_told_of_a_debt(
    closing: int, held: int, unsettled: int, payable: str, is_owed_back: bool
) -> None:
    content = statement_content(printed(statement_of([], closing, held, unsettled), "Lastmile", 100))
    assert (content["payable"], content["is_owed_back"]) == (payable, is_owed_back)


def test_a_cycle_has_days_of_india_and_its_statement_a_hash() -> None:
    shown = printed(statement_of([]), "Lastmile", 100)
    assert (shown.first_day, shown.last_day, shown.closed_on) == (
        date(2026, 11, 16), date(2026, 11, 22), date(2026, 11, 23),
    )  # fmt: skip
    assert (shown.number, shown.heading, shown.content_sha256) == ("47", "Partner statement", "78" * 32)


def test_the_words_are_those_of_the_party() -> None:
    line = StatementLine(UUID(int=1), "delivery", UUID(int=2), FROM, -100, -18, 500, 0)
    merchant = printed(replace(statement_of([line]), party=f"merchant:{UUID(int=3)}"), "Lastmile", 100)
    assert [section.title for section in merchant.sections] == ["Fees", "GST", "Cash"]
    assert (merchant.heading, merchant.work_title) == ("Merchant statement", "Fee")
    network = printed(replace(statement_of([line]), party="network:swift"), "Lastmile", 100)
    assert network.payee_name == "Network swift"


def test_one_that_is_not_closed_is_no_paper() -> None:
    with pytest.raises(ValueError, match="not closed"):
        printed(replace(statement_of([]), cycle=replace(CYCLE, closed_at=None)), "Lastmile", 100)


def test_every_line_is_on_the_pages_after_the_first() -> None:
    line = StatementLine(UUID(int=1), "delivery", UUID(int=2), FROM, 71_16, -71, -499_00, 0)
    shown = printed(statement_of([line] * 120), "Lastmile", 1_000)
    assert len(png_pages(shown, 40)) == 4
    assert pdf(shown).startswith(b"%PDF")
