"""Which cities have which cycles."""

import pytest
from pydantic import ValidationError

from services.reconciliation.settlements.limits import SettlementLimits


def test_cities_without_cycles_of_their_own_share_one_calendar() -> None:
    limits = SettlementLimits(cycle="never", city_cycles={"DEL": "daily 00:00+05:30", "BLR": "never"})
    assert limits.own_cities == ["BLR", "DEL"]
    assert limits.calendars == {"": "never", "DEL": "daily 00:00+05:30", "BLR": "never"}


@pytest.mark.parametrize("given", [{"cycle": "monthly"}, {"city_cycles": {"BLR": "sometimes"}}])
def test_what_is_no_cycle_stops_the_start(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="is no cycle"):
        SettlementLimits.model_validate(given)
