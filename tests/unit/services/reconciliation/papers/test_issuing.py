"""A month is India's, and what was taken back has a line of its own."""

from datetime import UTC, date, datetime

from services.reconciliation.papers.issuing import Fees, Month, lines_of


def test_a_month_begins_at_midnight_in_india() -> None:
    october = Month.parse("2026-10")
    assert october.begins_at == datetime(2026, 9, 30, 18, 30, tzinfo=UTC)
    assert (october.first_day, october.last_day) == (date(2026, 10, 1), date(2026, 10, 31))
    assert str(october) == "2026-10"


def test_december_is_followed_by_january() -> None:
    assert Month(2026, 12).next == Month(2027, 1)
    assert Month(2028, 2).last_day == date(2028, 2, 29)


def test_what_was_taken_back_has_a_line_of_its_own() -> None:
    lines = lines_of(
        [
            Fees("BLR", 1_800, "earnings", 3, 300_00, 54_00),
            Fees("BLR", 1_800, "reversal", 1, -100_00, -18_00),
            Fees("BLR", 1_800, "correction", 1, -5_00, -90),
        ]
    )
    assert [line.description for line in lines] == [
        "Local delivery, BLR",
        "Local delivery taken back, BLR",
        "Local delivery corrected, BLR",
    ]
    assert sum(line.taxable_paise for line in lines) == 195_00
