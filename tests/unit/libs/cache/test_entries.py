from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from libs.cache.entries import Place

PARTS = st.tuples(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6), st.binary(max_size=6))


@given(st.sets(PARTS, min_size=2, max_size=6))
def test_two_questions_never_share_a_place(questions: set[tuple[str, str, str, bytes]]) -> None:
    places = [Place.of("tag", era, scope, method, request) for era, scope, method, request in questions]
    assert all(one.key != two.key for one, two in combinations(places, 2))


def test_what_moves_between_neighbouring_parts_makes_another_place() -> None:
    assert Place.of("t", "e", "merchant:a", "bm", b"").key != Place.of("t", "e", "merchant:ab", "m", b"").key


def test_an_answer_and_its_tag_share_a_hash_tag() -> None:
    place = Place.of("partners@BLR", "e", "ops", "m", b"")
    assert place.key.startswith(f"{place.tag_key}:")
    assert place.tag_key == "lastmile:cache:{partners@BLR}"
