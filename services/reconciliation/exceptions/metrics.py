"""What is said of the desk."""

from collections.abc import Iterable

from prometheus_client import Gauge

from services.reconciliation.exceptions.ageing import Age

_LABELS = ["class", "age_days"]
CASES = Gauge("lastmile_reconciliation_cases_unresolved", "Discrepancies that nobody has resolved yet", _LABELS)
PAISE = Gauge("lastmile_reconciliation_cases_unresolved_paise", "What is at stake in them", _LABELS)


def set_ages(ages: Iterable[Age]) -> None:
    """State how many cases of each class are how old, and what is at stake in them."""
    # What none is of any more must not stay.
    CASES.clear()
    PAISE.clear()
    for age in ages:
        CASES.labels(age.kind, age.name).set(age.cases)
        PAISE.labels(age.kind, age.name).set(age.paise)
