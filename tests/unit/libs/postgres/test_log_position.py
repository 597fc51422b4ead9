import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.postgres.log_position import number_of, text_of


@given(st.integers(0, (1 << 64) - 1))
def test_a_position_is_the_same_as_text_and_as_number(number: int) -> None:
    assert number_of(text_of(number)) == number


def test_text_is_what_postgresql_writes() -> None:
    assert text_of(0x16_B374D848) == "16/B374D848"
    with pytest.raises(ValueError, match=r"."):
        number_of("16")
