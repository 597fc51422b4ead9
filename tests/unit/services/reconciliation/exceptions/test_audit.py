"""The audit trail: whatever is changed, left out or put in is named."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.reconciliation.exceptions.audit import FIRST_SHA256, AuditRow, Broken, Head, Problem, Verifier, digest
from tests.desk import FOUND_AT

TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=8)


def trail(told: list[tuple[str, str, str]]) -> list[AuditRow]:
    rows: list[AuditRow] = []
    for sequence, (actor, action, content) in enumerate(told, 1):
        before = rows[-1].sha256 if rows else FIRST_SHA256
        at = FOUND_AT + timedelta(microseconds=sequence)
        row = AuditRow(sequence, at, actor, action, "cases/1", content, before, b"")
        rows.append(replace(row, sha256=digest(row)))
    return rows


def verified(rows: list[AuditRow], told_until: int = 0, known: Head | None = None) -> Broken | None:
    verifier = Verifier(known)
    return verifier.follow(rows) or verifier.end(told_until)


@given(ROWS, st.data())
def test_a_row_that_was_changed_is_named(told: list[tuple[str, str, str]], data: st.DataObject) -> None:
    rows = trail(told)
    assert verified(rows, len(rows)) is None
    place = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.sampled_from(["actor", "action", "subject", "content"]))
    row = rows[place]
    forged = replace(row, **{column: getattr(row, column) + "x"})
    assert verified([*rows[:place], forged, *rows[place + 1 :]]) == Broken(place + 1, Problem.CHANGED)
    # With its own hash made anew, the next one does not follow.
    hashed = replace(forged, sha256=digest(forged))
    after = [*rows[:place], hashed, *rows[place + 1 :]]
    is_last = place == len(rows) - 1
    assert verified(after) == (None if is_last else Broken(place + 2, Problem.CHAIN_BROKEN))
    head = Head(rows[-1].sequence, rows[-1].sha256)
    assert verified(after, known=head) is not None


@given(ROWS, st.data())
def test_a_row_that_is_gone_is_named(told: list[tuple[str, str, str]], data: st.DataObject) -> None:
    rows = trail(told)
    place = data.draw(st.integers(0, len(rows) - 1))
    assert verified(rows[:place] + rows[place + 1 :], len(rows)) == Broken(place + 1, Problem.MISSING)


def test_a_text_that_moves_from_one_column_into_the_next_is_another_row() -> None:
    (first,), (second,) = trail([("ab", "c", "")]), trail([("a", "bc", "")])
    assert first.sha256 != second.sha256
