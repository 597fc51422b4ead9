import pytest

from services.gateway.live.position import Position


def test_a_position_is_what_it_spells() -> None:
    position = Position(1764083000, 26_997_744, 3)
    assert str(position) == "1764083000.26997744-3"
    assert Position.parse(str(position)) == position
    assert Position.of_entry(1764083000, b"26997744-3") == position


def test_positions_are_ordered_as_numbers_are() -> None:
    assert Position(1, 9, 9) < Position(1, 10, 0) < Position(1, 10, 11) < Position(2, 0, 0)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1-0", "1.5", "1.5-", "-1.5-0", "1.5-0 ", "1.5-0\n", "1.\u0665-0", "1.18446744073709551616-0", "a.b-c"],
)
def test_what_is_no_position_is_none(text: str) -> None:
    assert Position.parse(text) is None
