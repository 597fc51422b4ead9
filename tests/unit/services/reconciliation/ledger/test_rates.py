"""A version applies from its moment until the next one's, and its peaks and surges in their own times."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.reconciliation.ledger.rates import PeakWindow, RateTerms, Scope, SurgePeriod, in_force
from tests.ledger import EVENING, SCOPE, TERMS, card

LATER = EVENING + timedelta(days=1)


def test_the_version_in_force_is_the_last_that_has_begun() -> None:
    first, second = card(), card(version=2, effective_from=EVENING)
    other = card(scope=Scope("BLR", "motorcycle", "dunzo"))
    cards = [second, other, first]
    assert in_force(cards, SCOPE, EVENING - timedelta(microseconds=1)) == first
    assert in_force(cards, SCOPE, EVENING) == second
    assert in_force(cards, SCOPE, LATER) == second
    assert in_force(cards, SCOPE, EVENING - timedelta(days=8)) is None
    assert in_force(cards, Scope("BLR", "van"), EVENING) is None


def test_the_highest_of_the_peaks_counts_by_the_city_s_own_clock() -> None:
    assert TERMS.peak_bonus_paise(EVENING) == 900
    assert TERMS.peak_bonus_paise(EVENING - timedelta(minutes=31)) == 700
    assert TERMS.peak_bonus_paise(datetime(2026, 11, 25, 14, 30, tzinfo=UTC)) == 700
    assert TERMS.peak_bonus_paise(datetime(2026, 11, 25, 16, 30, tzinfo=UTC)) == 0
    assert TERMS.peak_bonus_paise(LATER) == 0


def test_a_peak_of_the_night_is_on_the_local_weekday() -> None:
    monday_night = RateTerms(1, 1, peaks=(PeakWindow(0, 0, 60, 5),))
    # 00:15 on a Monday in India is still Sunday in UTC.
    assert monday_night.peak_bonus_paise(datetime(2026, 11, 22, 18, 45, tzinfo=UTC)) == 5
    assert monday_night.peak_bonus_paise(datetime(2026, 11, 23, 18, 45, tzinfo=UTC)) == 0


def test_a_surge_includes_its_start_and_not_its_end() -> None:
    surge = TERMS.surges[0]
    assert TERMS.surge_bp(surge.starts_at) == 1_500
    assert TERMS.surge_bp(surge.ends_at) == 0


@pytest.mark.parametrize(
    ("changes", "term"),
    [
        ({"base_paise": -1}, "base_paise"),
        ({"per_km_paise": 10**9 + 1}, "per_km_paise"),
        ({"gst_bp": 10_001}, "gst_bp"),
        ({"tds_bp": 10_001}, "tds_bp"),
        ({"merchant_markup_bp": 100_001}, "merchant_markup_bp"),
        ({"wait_paid_s_max": 604_801}, "wait_paid_s_max"),
        ({"utc_offset_min": 841}, "utc_offset_min"),
        ({"peaks": (PeakWindow(7, 0, 60, 1),)}, "peaks[0]"),
        ({"peaks": (PeakWindow(0, 60, 60, 1),)}, "peaks[0]"),
        ({"peaks": (PeakWindow(0, 0, 1_441, 1),)}, "peaks[0]"),
        ({"peaks": (PeakWindow(0, 0, 60, -1),)}, "peaks[0].bonus_paise"),
        ({"surges": (SurgePeriod(EVENING, EVENING, 1),)}, "surges[0]"),
        ({"surges": (SurgePeriod(EVENING, LATER, -1),)}, "surges[0].extra_bp"),
    ],
)
def test_terms_that_cannot_be_meant_are_named(changes: dict[str, object], term: str) -> None:
    assert TERMS.problems() == []
    assert [name for name, _ in replace(TERMS, **changes).problems()] == [term]  # type: ignore[arg-type]  # by name
