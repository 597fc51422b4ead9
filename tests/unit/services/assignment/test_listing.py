"""Which statement a list by states takes."""

import pytest

from services.assignment.deliveries.lifecycle import DeliveryState, OfferState
from services.assignment.deliveries.store import LISTS
from services.assignment.offers import queries

LIVE = "AND state NOT IN ('delivered', 'cancelled', 'returned')"
ENDED = "AND state IN ('cancelled', 'returned')"


@pytest.mark.parametrize(
    ("states", "conditions"),
    [
        (["pending"], [LIVE]),
        (["pending", "returning"], [LIVE]),
        (["cancelled"], [ENDED]),
        (["cancelled", "assigned"], [LIVE, ENDED]),
        (["delivered"], []),
        (["delivered", "pending"], []),
    ],
)
def test_states_that_few_rows_have_name_their_partial_index(states: list[str], conditions: list[str]) -> None:
    text, values = LISTS.statement({"city_code": "BLR", "states": states})
    assert [condition for condition in (LIVE, ENDED) if condition in text] == conditions
    assert text.count("UNION ALL") == max(0, len(conditions) - 1)
    assert values == ["BLR", states]
    assert "AND city_code = $4::text AND state = ANY ($5::assignment.delivery_state[])" in text


def test_filters_keep_their_places_without_states_and_with_few_rows() -> None:
    assert LISTS.statement({})[1] == []
    text, values = LISTS.statement({"partner_id": 1, "states": ["pending"]})
    assert LIVE not in text
    assert values == [1, ["pending"]]


def test_the_conditions_cover_every_state_but_the_common_one() -> None:
    assert frozenset[str]().union(*LISTS.groups.values()) == frozenset(DeliveryState) - {DeliveryState.DELIVERED}
    covered = frozenset[str]().union(*queries.LISTS.groups.values())
    assert covered == frozenset(OfferState) - {OfferState.COMPLETED}
    for lists in (LISTS, queries.LISTS):
        for condition, states in lists.groups.items():
            named = {state for state in (*DeliveryState, *OfferState) if f"'{state}'" in condition}
            assert named in ({*states}, {*DeliveryState} - states, set())
