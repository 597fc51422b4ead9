"""Whether an answer in the cache is good enough."""

from enum import IntEnum

from libs.cache.entries import FOUND, MISSING, Entry
from libs.cache.limits import CacheLimits
from libs.postgres.log_clock import LogClock


class Verdict(IntEnum):
    """What an answer in the cache is good for."""

    USELESS = 0
    # Within its window, though outdated: when nothing else can answer.
    LAST_RESORT = 1
    # The same, and outdated only a moment ago: while it is made anew.
    STALE = 2
    FRESH = 3


def judge(entry: Entry | None, wanted: int, window_ms: int, limits: CacheLimits, clock: LogClock) -> Verdict:
    """Return what `entry` is good for to whom asks for what covers the position `wanted`.

    Its age counts against its window by how far it is behind what is known of the log. While the primary is away, that
    stands still: a standby would say nothing newer.
    """
    behind_ms = None if entry is None else clock.behind_ms(entry.position)
    if entry is None or behind_ms is None or entry.position < wanted:
        return Verdict.USELESS
    life = life_ms(entry.kind, window_ms, limits)
    if not entry.is_outdated:
        if behind_ms <= life:
            return Verdict.FRESH
        return Verdict.STALE if behind_ms <= life + limits.stale_ms else Verdict.USELESS
    if behind_ms > life:
        return Verdict.USELESS
    outdated_for_ms = None if entry.outdated_from is None else clock.behind_ms(entry.outdated_from)
    is_new = outdated_for_ms is not None and outdated_for_ms <= limits.stale_ms
    # That there is no such thing is not said any longer once it may have come about.
    return Verdict.STALE if is_new and entry.kind == FOUND else Verdict.LAST_RESORT


def life_ms(kind: bytes, window_ms: int, limits: CacheLimits) -> int:
    """Return how long an answer of a kind is good for."""
    return min(window_ms, limits.negative_ms) if kind == MISSING else window_ms
