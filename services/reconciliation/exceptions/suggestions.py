"""What is likely to be the right resolution of a case, by its class, its amounts and its evidence. Pure.

Each row of the table is looked at in order; the first that fits is the suggestion. The confidence is how much of such
cases a desk resolves so, in percent, as a judgement and not as a measurement.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.reconciliation.exceptions.case import Case

WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A resolution, or to wait for the next runs; how sure that is, from 0 to 100; and why."""

    resolution: str
    confidence_pct: int
    because: str


@dataclass(frozen=True, slots=True)
class Known:
    """What a rule looks at."""

    case: Case
    evidence: Mapping[str, Any]
    # What costs more to ask about than it is worth.
    small_paise: int

    @property
    def is_small(self) -> bool:
        """Whether it is not worth asking about."""
        return abs(self.case.rest_paise) <= self.small_paise


@dataclass(frozen=True, slots=True)
class Rule:
    """Of which classes, when, and what is suggested then."""

    kinds: frozenset[str]
    when: Callable[[Known], bool]
    then: Suggestion


def _rule(kinds: str, when: Callable[[Known], bool], resolution: str, confidence_pct: int, because: str) -> Rule:
    return Rule(frozenset(kinds.split()), when, Suggestion(resolution, confidence_pct, because))


def _always(known: Known) -> bool:
    return True


def _is_same_again(known: Known) -> bool:
    return known.evidence.get("settled_by_line") is not None and known.evidence.get("paid_paise") == known.evidence.get(
        "owed_paise"
    )


_EVERY = (
    "unknown_delivery missing_payout overpaid underpaid duplicate wrong_partner cash_mismatch cancelled_after_export "
    "late_adjustment"
)
TABLE = (
    _rule(
        "late_adjustment",
        lambda k: k.case.written_off_paise > 0,
        "adjust", 95, "it was written off, and undone since: what was given up of it is booked back",
    ),
    _rule(_EVERY, lambda k: k.case.rest_paise == 0, "dismiss", 95, "no money is at stake"),
    _rule(
        "cancelled_after_export late_adjustment",
        lambda k: k.evidence.get("reversal_entry_id") is not None,
        "adjust", 95, "the ledger has undone the delivery: the next cycle takes it back",
    ),
    _rule("cancelled_after_export late_adjustment", _always, "adjust", 70, "it was paid, and undone since"),
    _rule("missing_payout", _always, WAIT, 70, "it is owed: a later statement may have it, and settles it"),
    _rule(
        "unknown_delivery",
        lambda k: not str(k.evidence.get("reference") or "").strip(),
        WAIT, 40, "it names no delivery: perhaps it belongs together with others of its payee",
    ),
    _rule("unknown_delivery", _always, "recover", 50, "it was paid for a delivery that nobody knows"),
    _rule("duplicate", _is_same_again, "recover", 95, "the same amount was paid for it before"),
    _rule("duplicate", _always, "recover", 80, "it was paid for before"),
    _rule("wrong_partner", _always, "recover", 75, "another payee was owed it"),
    _rule("underpaid", _always, "pay", 90, "the rest is owed still"),
    _rule("overpaid", lambda k: k.is_small, "write_off", 90, "to ask for it costs more than it is worth"),
    _rule("overpaid", _always, "recover", 85, "more was paid than was owed"),
    _rule(
        "cash_mismatch", lambda k: k.case.is_open_leg,
        WAIT, 60, "nothing was handed in yet: a later statement may have it, and settles it",
    ),
    _rule("cash_mismatch", lambda k: k.is_small, "write_off", 85, "to ask for it costs more than it is worth"),
    _rule("cash_mismatch", lambda k: k.case.rest_paise > 0, "pay", 70, "more was handed in than was collected"),
    _rule("cash_mismatch", _always, "recover", 80, "less was handed in than was collected"),
)  # fmt: skip


def suggestion_of(case: Case, small_paise: int) -> Suggestion:
    """Return what is likely to be right for a case; to wait, with no confidence, for a class that the table lacks."""
    known = Known(case, json.loads(case.evidence), small_paise)
    for rule in TABLE:
        if case.kind in rule.kinds and rule.when(known):
            return rule.then
    return Suggestion(WAIT, 0, f"nothing is known of {case.kind}")
