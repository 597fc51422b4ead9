from services.gateway.rest.rendered import RenderedAnswers


def test_the_same_bytes_are_rendered_once_and_other_types_are_other_answers() -> None:
    asked: list[str] = []

    def render(what: str) -> bytes:
        asked.append(what)
        return what.encode()

    rendered = RenderedAnswers(10_000)
    for _ in range(3):
        assert rendered.get("a.A", b"x", lambda: render("a")) == b"a"
        assert rendered.get("b.B", b"x", lambda: render("b")) == b"b"
    assert asked == ["a", "b"]


def test_what_was_not_used_for_longest_goes_first() -> None:
    rendered = RenderedAnswers(1_300)
    for raw in (b"1", b"2", b"3"):
        rendered.get("t", raw, lambda: b"first")
    rendered.get("t", b"1", lambda: b"again")
    rendered.get("t", b"4", lambda: b"first")
    assert rendered.get("t", b"1", lambda: b"second") == b"first"
    assert rendered.get("t", b"2", lambda: b"second") == b"second"
    assert rendered.get("t", b"5", lambda: b"x" * 5_000) == b"x" * 5_000, "too large to remember, not to answer"
