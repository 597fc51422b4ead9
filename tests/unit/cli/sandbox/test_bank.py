"""The sandbox's bank: every leg once, but for what it says is wrong."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from cli.sandbox.bank import WRONG, Owed, statement_of

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


def owed(count: int) -> list[Owed]:
    legs = []
    for number in range(count):
        delivery_id, payee = str(UUID(int=number + 1)), f"partner:{UUID(int=1_000 + number)}"
        legs.append(Owed(delivery_id, "payout", payee, 4_000 + number, AT))
        if number % 3 == 0:
            legs.append(Owed(delivery_id, "cash", payee, 50_000, AT))
    return legs


@given(count=st.integers(0, 30), wrong=st.integers(0, 40), seed=st.integers(0, 1_000))
def test_what_is_not_said_to_be_wrong_is_paid_as_it_is_owed(count: int, wrong: int, seed: int) -> None:
    legs = owed(count)
    rows, seeded = statement_of(legs, wrong, seed)
    assert (rows, seeded) == statement_of(legs, wrong, seed)
    assert sum(map(len, seeded.values())) == min(wrong, count)
    named = {reference for found in seeded.values() for reference in found}
    for leg in legs:
        if leg.leg == "cash" or leg.delivery_id not in named:
            told = [(row.payee, row.paise) for row in rows if (row.reference, row.leg) == (leg.delivery_id, leg.leg)]
            assert told == [(leg.payee, leg.paise)]
    assert all(row.paid_at > AT for row in rows)


def test_each_class_comes_in_turn_and_is_what_it_is_called() -> None:
    legs = owed(2 * len(WRONG))
    rows, seeded = statement_of(legs, len(legs), seed=1)
    assert {kind: len(found) for kind, found in seeded.items()} == dict.fromkeys(WRONG, 2)
    expected = {leg.delivery_id: leg for leg in legs if leg.leg == "payout"}
    for kind, found in seeded.items():
        for reference in found:
            told = [row for row in rows if (row.reference, row.leg) == (reference, "payout")]
            known = expected.get(reference)
            assert len(told) == {"missing_payout": 0, "duplicate": 2}.get(kind, 1)
            assert (known is None) == (kind == "unknown_delivery")
            if kind == "underpaid":
                assert told[0].paise < expected[reference].paise
            if kind == "overpaid":
                assert told[0].paise > expected[reference].paise
            if kind == "wrong_partner":
                assert told[0].payee != expected[reference].payee


def test_a_row_is_written_as_banks_write_it() -> None:
    rows, _ = statement_of(owed(1), 0, seed=1)
    cash, payout = sorted(rows, key=lambda row: row.leg)
    assert payout.text().startswith(f"{UUID(int=1)},partner:{UUID(int=1_000)},40.00,2026-11-25T12:")
    assert payout.text().endswith("+00:00,PAYOUT\n")
    assert ",500.00," in cash.text()
    assert cash.text().endswith(",CASH\n")
