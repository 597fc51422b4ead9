"""The audit trail: rows that each carry the hash of the one before, and what shows that none was changed. Pure.

A row's hash is SHA-256 over the hash before it and its own content in one spelling: sequence, microseconds since 1970,
actor, action, subject and content, each as the count of its UTF-8 bytes, a colon, and the bytes. The database makes the
hashes (migration 0004); here they are made again, from the rows alone.

Whoever can rewrite every row from some place on, hashes and all, is found out by a head that was noted elsewhere
before: `known`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

FIRST_SHA256 = bytes(32)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A row of the trail, as it is stored."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    # JSON.
    content: str
    previous_sha256: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The last row of the trail at some moment; 0 and 32 bytes of 0 before the first."""

    sequence: int = 0
    sha256: bytes = FIRST_SHA256


class Problem(StrEnum):
    """What is wrong with a row."""

    MISSING = "MISSING"
    CHANGED = "CHANGED"
    CHAIN_BROKEN = "CHAIN_BROKEN"
    NOT_AS_KNOWN = "NOT_AS_KNOWN"


@dataclass(frozen=True, slots=True)
class Broken:
    """The first row that is wrong."""

    sequence: int
    problem: Problem


def digest(row: AuditRow) -> bytes:
    """Return the hash that a row must have."""
    at_us = (row.at - _EPOCH) // _US
    parts = (str(row.sequence), str(at_us), row.actor, row.action, row.subject, row.content)
    spelt = b"".join(b"%d:%b" % (len(part), part) for part in (text.encode() for text in parts))
    return hashlib.sha256(row.previous_sha256 + spelt).digest()


class Verifier:
    """Follows the trail from its first row on."""

    def __init__(self, known: Head | None = None) -> None:
        """`known` is the head of a former verification: the row of its number must have its hash."""
        self.head = Head()
        self._known = known

    def follow(self, rows: Iterable[AuditRow]) -> Broken | None:
        """Go on over the next rows, in their order; return the first that is wrong, beyond which nothing is known."""
        for row in rows:
            if problem := self._problem_of(row):
                number = self.head.sequence + 1 if problem is Problem.MISSING else row.sequence
                return Broken(number, problem)
            self.head = Head(row.sequence, row.sha256)
        return None

    def end(self, told_until: int) -> Broken | None:
        """Say that no row follows; `told_until` is the last that anything else refers to."""
        until = max(told_until, self._known.sequence if self._known else 0)
        return Broken(self.head.sequence + 1, Problem.MISSING) if until > self.head.sequence else None

    def _problem_of(self, row: AuditRow) -> Problem | None:
        if row.sequence != self.head.sequence + 1:
            return Problem.MISSING
        if row.previous_sha256 != self.head.sha256:
            return Problem.CHAIN_BROKEN
        if row.sha256 != digest(row):
            return Problem.CHANGED
        if self._known and self._known.sequence == row.sequence and self._known.sha256 != row.sha256:
            return Problem.NOT_AS_KNOWN
        return None
