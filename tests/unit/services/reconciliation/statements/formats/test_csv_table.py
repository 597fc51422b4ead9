"""Plain lines of CSV are read many at once, and come to what a closer look makes of them."""

from hypothesis import given
from hypothesis import strategies as st

from tests.recon_files import HEADER, read, row


@given(
    st.lists(
        st.tuples(
            st.sampled_from([row(end=""), row("1e3", end=""), row("0.00", end=""), row("7", end="")])
            | st.text(alphabet=",\0 a1.\u2028\x1c", max_size=12),
            st.sampled_from(["\n", "\r\n", "\r"]),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_lines_come_to_the_same_with_and_without_a_closer_look(ended: list[tuple[str, str]], is_even: bool) -> None:
    if is_even and ended:
        ended = [(text, ended[0][1]) for text, _ in ended]
    text = "".join(text + end for text, end in ended)
    lines, refused = read(HEADER + text) if text else ([], [])
    # A quote in a block has all of it looked at closely.
    closely, refused_closely = read(HEADER + row(note='"n"') + text)
    assert [(line[0] + 1, *line[1:]) for line in lines] == closely[1:]
    assert [(row.line + 1, row.reason, row.content, row.paise) for row in refused] == [
        (row.line, row.reason, row.content, row.paise) for row in refused_closely
    ]
