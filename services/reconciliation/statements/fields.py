"""A statement's rows, column by column: texts become what they mean, or a named reason why they cannot. Pure.

A text is read once, and what it means remembered: amounts, payees and words repeat, and problems repeat too.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Generic, TypeVar, cast

from libs.money.amount import INR
from libs.money.errors import MoneyError
from libs.money.text import parse_rupees
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import BANK_LEGS, FIELDS, Columns, Format, Mapping
from services.reconciliation.statements.problems import FieldError, Problem, RefusedRow

T = TypeVar("T")
# (line, leg, reference, delivery id or None, payee, paise, paid_at)
Line = tuple[int, str, str, str | None, str, int, datetime]

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_HEX = re.compile(r"[0-9a-f]{32}").fullmatch
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")
# What could not be decoded, and halves of pairs that JSON can spell.
_BROKEN = re.compile("[\ud800-\udfff\ufffd]")
_NETWORK = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_PAISE = re.compile(r"[0-9]{1,18}")
# A whole column as most are: rupees with two decimals, or paise.
_PLAIN_RUPEES = re.compile(r"(?:[0-9]{1,15}\.[0-9]{2}\n)*+").fullmatch
_PLAIN_PAISE = re.compile(r"(?:[0-9]{1,17}\n)*+").fullmatch
_DATE_FORM = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\d{8}.*", re.DOTALL)
# Before any statement.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A batch of rows: those that are lines now, and those that are refused."""

    lines: list[Line]
    refused: list[RefusedRow]


class Memo(dict[str, T | Problem], Generic[T]):
    """What each text means. `has_problems` once any text was refused."""

    def __init__(self, parse: Callable[[str], T], limits: IntakeLimits) -> None:
        super().__init__()
        self._parse, self._limits = parse, limits
        self.has_problems = False

    def __missing__(self, text: str) -> T | Problem:
        """Read a text that is not known yet."""
        if len(self) >= self._limits.memo_entries_max:
            self.clear()
        value: T | Problem
        try:
            value = self._parse(text)
        except FieldError as error:
            value, self.has_problems = Problem(error.reason, str(error)), True
        except MoneyError as error:
            value, self.has_problems = Problem(error.reason, str(error)), True
        if len(text) <= self._limits.text_chars_max:
            self[text] = value
        return value


class RowParser:
    """Reads the rows of one source."""

    def __init__(self, mapping: Mapping, limits: IntakeLimits, now: datetime) -> None:
        self._mapping, self._limits = mapping, limits
        self._latest = now + timedelta(days=limits.paid_ahead_d_max)
        self._references = Memo(self._reference, limits)
        self._payees = Memo(self._payee, limits)
        self._amounts = Memo(self._amount, limits)
        self._moments = Memo(self._moment, limits)
        self._legs = Memo(self._leg, limits)
        self._currencies = Memo(_currency, limits)
        self._zone = timezone(timedelta(minutes=mapping.utc_offset_min))
        self._words = mapping.legs or (BANK_LEGS if mapping.format is Format.CAMT053 else {})

    def parse(self, numbers: Sequence[int], columns: Columns) -> Parsed:
        """Return the lines of the rows that stand at `numbers`, and the refusals of the others."""
        if not numbers:
            return Parsed([], [])
        references, payees, amounts, moments, legs, currencies = columns
        canonical = _CANONICAL
        known = self._references
        refs = [(text, text) if canonical(text) else known[text] for text in references]
        meanings = (
            refs,
            [self._payees[text] for text in payees],
            self._amounts_of(amounts),
            self._moments_of(moments),
            [self._legs[text] for text in legs],
            [self._currencies[text] for text in currencies],
        )
        memos = (self._references, self._payees, self._amounts, self._moments, self._legs, self._currencies)
        refused: list[RefusedRow] = []
        if any(memo.has_problems for memo in memos):
            refused = self._refusals(numbers, columns, meanings)
        bad = {row.line for row in refused}
        taken = [
            (number, leg, ref[0], ref[1], payee, paise, at)
            for number, ref, payee, paise, at, leg, _ in zip(numbers, *meanings, strict=True)
            if not bad or number not in bad
        ]
        return Parsed(cast("list[Line]", taken), refused)

    def paise_of(self, text: str) -> int:
        """Return a refused row's amount, 0 where none can be read."""
        found = self._amounts[text]
        return 0 if isinstance(found, Problem) else found

    def _refusals(
        self, numbers: Sequence[int], columns: Columns, meanings: Sequence[Sequence[object]]
    ) -> list[RefusedRow]:
        refused = []
        rows = zip(*columns, strict=True)
        for number, row, *values in zip(numbers, rows, *meanings, strict=True):
            name, problem = next(
                ((name, v) for name, v in zip(FIELDS, values, strict=True) if isinstance(v, Problem)), ("", None)
            )
            if problem is not None:
                chars_max = self._limits.content_chars_max
                content = printable(" | ".join(text for text in row if text)[:chars_max])
                said = printable(f"{name}: {problem.said}"[:chars_max])
                refused.append(RefusedRow(number, problem.reason, said, content, self.paise_of(row[2])))
        return refused

    def _reference(self, text: str) -> tuple[str, str | None]:
        clean = text.strip()
        _check_text(clean, self._limits.text_chars_max)
        bare = clean.removeprefix(self._mapping.reference_prefix).strip().lower().removeprefix("urn:uuid:")
        digits = re.sub(r"[-\s{}]", "", bare)
        if not _HEX(digits):
            return clean, None
        return clean, f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _payee(self, text: str) -> str:
        clean = (text.strip() or self._mapping.payee).strip()
        if not clean:
            raise FieldError("PAYEE_MISSING", "the row does not say who was paid")
        _check_text(clean, self._limits.text_chars_max)
        kind, colon, owner = clean.rpartition(":")
        owner = owner.lower()
        if kind in ("", "partner") and _CANONICAL(owner):
            return f"partner:{owner}"
        if kind in ("", "network") and _NETWORK.fullmatch(owner) and not (colon and not kind):
            return f"network:{owner}"
        raise FieldError("PAYEE_UNREADABLE", f"{clean!r:.60} is no partner's id and no network's code")

    def _amount(self, text: str) -> int:
        if self._mapping.amount_unit == "paise":
            clean = text.strip()
            if not _PAISE.fullmatch(clean):
                raise FieldError("AMOUNT_NOT_A_NUMBER", f"{clean!r:.60} is no whole number of paise")
            paise = int(clean)
        else:
            paise = parse_rupees(text).minor
        if paise <= 0:
            raise FieldError("AMOUNT_NOT_POSITIVE", f"{text.strip()!r:.60}: what was paid is more than nothing")
        if paise > self._limits.amount_paise_max:
            raise FieldError("AMOUNT_TOO_LARGE", f"{text.strip()!r:.60} is more than any payout")
        return paise

    def _amounts_of(self, texts: Sequence[str]) -> Sequence[int | Problem]:
        """Return the amounts of a column: all in one go where all are plain, which most are."""
        text = "\n".join([*texts, ""])
        is_plain = _PLAIN_PAISE if self._mapping.amount_unit == "paise" else _PLAIN_RUPEES
        if is_plain(text):
            found = list(map(int, text.replace(".", "").split()))
            # Texts with line ends in them would be more.
            if len(found) == len(texts) and min(found) > 0 and max(found) <= self._limits.amount_paise_max:
                return found
        return [self._amounts[text] for text in texts]

    def _moment(self, text: str) -> datetime:
        clean = text.strip()
        if not clean:
            raise FieldError("DATE_MISSING", "the row does not say when it was paid")
        try:
            form = self._mapping.time_format
            found = datetime.strptime(clean, form) if form else datetime.fromisoformat(clean)  # noqa: DTZ007 - see below
        # The pattern that strptime makes of a form that has a field twice is none.
        except (ValueError, re.error) as error:
            reason = "DATE_IMPOSSIBLE" if _DATE_FORM.fullmatch(clean) else "DATE_UNREADABLE"
            raise FieldError(reason, f"{clean!r:.60}: {error}") from None
        at = found.replace(tzinfo=self._zone) if found.tzinfo is None else found
        try:
            at = at.astimezone(UTC)
        except OverflowError:
            raise FieldError("DATE_OUT_OF_RANGE", f"{clean!r:.60} is no moment") from None
        if at < _EARLIEST:
            raise FieldError("DATE_OUT_OF_RANGE", f"{clean!r:.60} is before the year 2000")
        if at > self._latest:
            days = self._limits.paid_ahead_d_max
            raise FieldError(
                "DATE_IN_FUTURE", f"{clean!r:.60} is more than {days} days ahead: is the mapping's time_format right?"
            )
        return at

    def _moments_of(self, texts: Sequence[str]) -> Sequence[datetime | Problem]:
        """Return the moments of a column: all in one go where all are whole, which most are."""
        if not self._mapping.time_format:
            try:
                found = list(map(datetime.fromisoformat, texts))
                if min(found) >= _EARLIEST and max(found) <= self._latest:
                    return found
            except (ValueError, TypeError):
                # One cannot be read, or states no offset.
                return [self._moments[text] for text in texts]
        return [self._moments[text] for text in texts]

    def _leg(self, text: str) -> str:
        clean = text.strip()
        if not self._words and not clean:
            return self._mapping.leg
        if clean not in self._words:
            raise FieldError("KIND_UNKNOWN", f"{clean!r:.60} is none of {', '.join(sorted(self._words))}")
        return self._words[clean]


def printable(text: str) -> str:
    """Return a text without what PostgreSQL does not hold, or a terminal obeys."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _check_text(text: str, chars_max: int) -> None:
    if len(text) > chars_max:
        raise FieldError("TEXT_TOO_LONG", f"it has {len(text)} characters, more than {chars_max}")
    if _BROKEN.search(text):
        raise FieldError("ENCODING_INVALID", "it has bytes that are no text in the source's encoding")
    if _CONTROL.search(text):
        raise FieldError("CONTROL_CHARACTER", "it has line breaks or other control characters inside")


def _currency(text: str) -> None:
    if (clean := text.strip().upper()) not in ("", INR):
        raise FieldError("CURRENCY_MISMATCH", f"{clean!r:.20} where {INR} is wanted")
