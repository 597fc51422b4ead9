from typing import Any, cast

from libs.cache.reuse import Reusable
from libs.grpc_server.call import Origin
from services.gateway.rest.conditional import tag_of
from services.gateway.rest.hot_answers import HotAnswers, Question

ROOM = 100_000


class GoodFromOn:
    """Finds what covers the wanted position good, and nothing below `position`."""

    position = 0

    async def origin_of(self, reusable: Reusable, wanted: int) -> Origin | None:
        return Origin("cache", reusable.position, 7) if reusable.position >= max(wanted, self.position) else None


def hot(bytes_max: int = ROOM) -> tuple[HotAnswers, GoodFromOn]:
    reuse = GoodFromOn()
    return HotAnswers(cast(Any, reuse), bytes_max), reuse


def question(scope: str = "ops", path: bytes = b"/v1/partners", query: bytes = b"cityCode=BLR") -> Question:
    return Question(scope, path, query)


def at(position: int, era: str = "era") -> Reusable:
    return Reusable(position, 60_000, era, "partners@BLR")


def keep(answers: HotAnswers, asked: Question, body: bytes, reusable: Reusable) -> None:
    answers.keep(asked, body, tag_of(body), reusable)


async def body_of(answers: HotAnswers, asked: Question, wanted: int = 0) -> bytes | None:
    found = await answers.find(asked, wanted)
    return None if found is None else found[0].body


async def test_an_answer_is_given_again_with_its_tag_and_its_age() -> None:
    answers, _ = hot()
    keep(answers, question(), b"{}", at(5))
    found = await answers.find(question(), 0)
    assert found is not None
    assert (found[0].body, found[0].content_tag) == (b"{}", tag_of(b"{}"))
    assert found[1] == Origin("cache", 5, 7)


async def test_nobody_gets_anothers_answer_nor_one_to_another_question() -> None:
    answers, _ = hot()
    keep(answers, question(), b"{}", at(5))
    for other in (
        question("merchant:1"), question(""), question(path=b"/v1/deliveries"), question(query=b""),
        question(query=b"cityCode=BLR&pageSize=1"), question("ops/v1", b"/partners"),
    ):  # fmt: skip
        assert await answers.find(other, 0) is None


async def test_who_asks_for_a_position_gets_no_answer_from_before_it() -> None:
    answers, _ = hot()
    keep(answers, question(), b"{}", at(5))
    assert await body_of(answers, question(), wanted=5) == b"{}"
    assert await body_of(answers, question(), wanted=6) is None


async def test_what_is_not_good_any_more_is_not_given_and_is_replaced() -> None:
    answers, reuse = hot()
    keep(answers, question(), b"old", at(5))
    reuse.position = 8
    assert await body_of(answers, question()) is None
    keep(answers, question(), b"new", at(9))
    assert await body_of(answers, question()) == b"new"


async def test_a_slow_call_never_brings_an_earlier_answer_back_but_in_another_era() -> None:
    answers, _ = hot()
    keep(answers, question(), b"later", at(9))
    keep(answers, question(), b"earlier", at(5))
    assert await body_of(answers, question()) == b"later"
    keep(answers, question(), b"after a restart of Redis", at(5, "other"))
    assert await body_of(answers, question()) == b"after a restart of Redis"


async def test_it_never_holds_more_than_it_may_and_what_was_not_used_for_longest_goes_first() -> None:
    answers, _ = hot(bytes_max=5_000)
    pages = [question(query=b"page=%d" % number) for number in range(4)]
    for page in pages[:3]:
        keep(answers, page, b"x" * 900, at(1))
    assert await body_of(answers, pages[0]) is not None
    keep(answers, pages[3], b"x" * 900, at(1))
    held = [await body_of(answers, page) is not None for page in pages]
    assert held == [True, False, True, True]
    keep(answers, pages[2], b"x" * 4_900, at(2))
    assert await body_of(answers, pages[2]) == b"x" * 900, "what is too large replaces nothing"


async def test_without_room_nothing_is_remembered() -> None:
    answers, _ = hot(bytes_max=0)
    keep(answers, question(), b"", at(1))
    assert await answers.find(question(), 0) is None


async def test_replacing_one_answer_again_and_again_takes_no_room_from_others() -> None:
    answers, _ = hot(bytes_max=5_000)
    keep(answers, question("one"), b"x" * 900, at(1))
    for position in range(1_000):
        keep(answers, question("two"), b"x" * (position % 900), at(position))
    assert await body_of(answers, question("one")) is not None
