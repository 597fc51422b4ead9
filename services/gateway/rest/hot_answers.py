"""Answers that are given again without asking the service: those of which it said until when they are good.

Each is somebody's: a question names the scope of whose credential asks, and nobody of another scope gets its answer.
Whether it still is good is looked up each time, where the service itself looks (`libs/cache/reuse.py`).
"""

from collections import OrderedDict
from dataclasses import dataclass

from libs.cache.reuse import Reusable, Reuse
from libs.grpc_server.call import Origin

# What an entry takes beside its texts.
_ENTRY_BYTES = 600


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, as it was written, and on whose behalf."""

    scope: str
    path: bytes
    query: bytes


@dataclass(frozen=True, slots=True)
class HotAnswer:
    """An answer's JSON, the tag of its content, and until when it is good."""

    body: bytes
    content_tag: str
    reusable: Reusable


class HotAnswers:
    """The memory of one gateway; the answer that was not used for longest goes first."""

    def __init__(self, reuse: Reuse, bytes_max: int) -> None:
        self._reuse = reuse
        self._bytes_max = self._bytes_left = bytes_max
        self._known: OrderedDict[Question, HotAnswer] = OrderedDict()

    async def find(self, question: Question, wanted: int) -> tuple[HotAnswer, Origin] | None:
        """Return an answer that is good now and covers the log's position `wanted`, and how old it is; or None."""
        answer = self._known.get(question)
        if answer is None:
            return None
        self._known.move_to_end(question)
        origin = await self._reuse.origin_of(answer.reusable, wanted)
        return None if origin is None else (answer, origin)

    def keep(self, question: Question, body: bytes, content_tag: str, reusable: Reusable) -> None:
        """Remember an answer, unless there is one of a later position, or it takes more room than there is."""
        size = _size(question, body)
        known = self._known.get(question)
        if size > self._bytes_max or (known is not None and _is_later(known.reusable, reusable)):
            return
        if known is not None:
            self._forget(question)
        self._known[question] = HotAnswer(body, content_tag, reusable)
        self._bytes_left -= size
        while self._bytes_left < 0:
            self._forget(next(iter(self._known)))

    def _forget(self, question: Question) -> None:
        self._bytes_left += _size(question, self._known.pop(question).body)


def _size(question: Question, body: bytes) -> int:
    return len(question.path) + len(question.query) + len(body) + _ENTRY_BYTES


def _is_later(one: Reusable, other: Reusable) -> bool:
    return one.era == other.era and one.position > other.position
