"""What texts mean is remembered, within limits."""

from services.reconciliation.statements.fields import Memo
from services.reconciliation.statements.limits import IntakeLimits


def test_what_a_text_means_is_remembered_unless_it_is_long() -> None:
    asked: list[str] = []

    def parse(text: str) -> int:
        asked.append(text)
        return len(text)

    memo = Memo(parse, IntakeLimits(text_chars_max=5, memo_entries_max=2))
    assert [memo[text] for text in ("short", "short", "longer", "longer")] == [5, 5, 6, 6]
    assert asked == ["short", "longer", "longer"]
    assert [memo[text] for text in ("a", "b", "c")] == [1, 1, 1]
    assert list(memo) == ["b", "c"]
