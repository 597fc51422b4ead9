"""Buckets of days."""

import pytest
from pydantic import ValidationError

from services.reconciliation.exceptions.ageing import DAY_S, age_of, edges_s
from services.reconciliation.exceptions.limits import DeskLimits


def test_buckets_meet_at_the_days_that_are_set_and_the_last_has_no_end() -> None:
    days = DeskLimits().age_days
    names = [age_of(days, place, "overpaid", 1, 1).name for place in range(len(days) + 1)]
    assert names == ["0-1", "1-3", "3-7", "7-30", "30+"]
    assert edges_s(days) == [day * DAY_S for day in (1, 3, 7, 30)]


def test_days_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ValidationError):
        DeskLimits(age_days=(3, 1))
