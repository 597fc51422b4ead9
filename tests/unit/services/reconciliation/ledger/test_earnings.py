"""Every line is the fraction that it states, as Python's decimal has it; sums hold whatever the trip."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.ledger.earnings import Line, LineKind, earnings_of
from services.reconciliation.ledger.facts import Trip
from services.reconciliation.ledger.rates import SHARE_BP_MAX, TERM_PAISE_MAX, RateTerms
from tests.ledger import EVENING, TERMS, trip

PAISE, SHARE = st.integers(0, TERM_PAISE_MAX), st.integers(0, SHARE_BP_MAX)
SECONDS = st.integers(0, 7 * 86_400)
TRIPS = st.builds(
    trip,
    distance_m=st.integers(0, 200_000),
    weight_g=st.integers(1, 1_000_000),
    cash_paise=st.integers(0, 10**12),
    waited_s=SECONDS,
    late_s=SECONDS,
)
ANY_TERMS = st.builds(
    RateTerms,
    base_paise=PAISE,
    per_km_paise=PAISE,
    per_kg_paise=PAISE,
    wait_paise_per_min=PAISE,
    wait_free_s=SECONDS,
    wait_paid_s_max=SECONDS,
    on_time_bonus_paise=PAISE,
    late_grace_s=SECONDS,
    late_penalty_paise=PAISE,
    merchant_markup_bp=SHARE,
    gst_bp=SHARE,
    tds_bp=st.integers(0, 10_000),
    peaks=st.just(TERMS.peaks),
    surges=st.just(TERMS.surges),
)


def test_an_evening_s_trip_line_by_line() -> None:
    lines = {line.kind.value: line.paise for line in earnings_of(trip(), TERMS).lines}
    assert lines == {
        "base": 2_500,
        "distance": 3_373,  # 801 * 4.211 = 3,373.011
        "weight": 416,  # 333 * 1.25 = 416.25
        "wait": 1_875,  # 125 * 900 s / 60
        "surge": 943,  # 15 % of 6,289 = 943.35
        "peak": 900,
        "on_time_bonus": 500,
        "tds": 105,  # 1 % of 10,507 = 105.07
        "merchant_fee": 12_509,  # 125 % of 10,007 = 12,508.75
        "gst": 2_252,  # 18 % of 12,509 = 2,251.62
        "cash_collected": 49_900,
    }


def test_lateness_is_forgiven_within_the_grace_and_then_costs_no_more_than_the_trip_is_worth() -> None:
    assert earnings_of(trip(late_s=300), TERMS).of(LineKind.LATE_PENALTY, LineKind.ON_TIME_BONUS) == 0
    assert earnings_of(trip(late_s=301), TERMS).of(LineKind.LATE_PENALTY) == -1_000
    hard = RateTerms(base_paise=400, per_km_paise=0, late_penalty_paise=1_000, tds_bp=100)
    assert earnings_of(trip(late_s=1), hard).earned_paise == 0


def test_waiting_is_paid_after_the_free_time_and_up_to_its_limit() -> None:
    assert earnings_of(trip(waited_s=600), TERMS).of(LineKind.WAIT) == 0
    assert earnings_of(trip(waited_s=601), TERMS).of(LineKind.WAIT) == 2
    assert earnings_of(trip(waited_s=90_000), TERMS).of(LineKind.WAIT) == 125 * 30


def test_no_surge_and_no_peak_outside_their_times() -> None:
    at_night = earnings_of(trip(delivered_at=EVENING.replace(hour=20)), TERMS)
    assert at_night.of(LineKind.SURGE, LineKind.PEAK) == 0


@given(TRIPS, ANY_TERMS)
def test_every_line_is_the_fraction_that_it_states(made: Trip, terms: RateTerms) -> None:
    earnings = earnings_of(made, terms)
    for line in earnings.lines:
        assert line.paise == _in_decimal(line)
        assert line.paise != 0
    assert earnings.earned_paise == sum(line.paise for line in earnings.lines[: _earned_lines(earnings.lines)])
    assert 0 <= earnings.payable_paise <= earnings.earned_paise


@given(TRIPS, ANY_TERMS)
def test_the_same_facts_and_version_give_the_same_lines(made: Trip, terms: RateTerms) -> None:
    assert earnings_of(made, terms) == earnings_of(made, terms)


def _in_decimal(line: Line) -> int:
    with localcontext(prec=60):
        exact = Decimal(line.of_paise) * line.numerator / line.denominator
        return int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))


def _earned_lines(lines: tuple[Line, ...]) -> int:
    charges = {LineKind.TDS, LineKind.MERCHANT_FEE, LineKind.GST, LineKind.CASH_COLLECTED}
    return next((place for place, line in enumerate(lines) if line.kind in charges), len(lines))
