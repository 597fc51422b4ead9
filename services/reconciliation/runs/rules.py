"""By what a run judges, and how it is cut into chunks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

BUCKETS = 1 << 16
_ID_MAX = (1 << 128) - 1
_SAMPLED_MIN = 1_000


@dataclass(frozen=True, slots=True)
class RunRules:
    """What may differ and still be the same, and when a payout is missing."""

    tolerance_paise: int
    tolerance_min: int
    payout_due_min: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a run: entries [from, until), deliveries [from, to], buckets [from, until)."""

    chunk: int
    entries_from: UUID
    entries_until: UUID
    delivery_from: UUID
    delivery_to: UUID
    bucket_from: int
    bucket_until: int


def count_of(rows: int, chunk_rows: int, chunks_max: int) -> int:
    """Return into how many chunks so many rows are cut."""
    return max(1, min(chunks_max, -(-rows // chunk_rows)))


def sample_mask(chunk_rows: int) -> int:
    """Return the bits that a row's hash must lack to be looked at when it is asked where chunks meet.

    A thousand of each chunk are enough to make them equal but for some hundredths, and to sort all costs much more.
    """
    return (1 << max(0, (chunk_rows // _SAMPLED_MIN).bit_length() - 1)) - 1


def fractions(count: int) -> list[float]:
    """Return where `count` equal parts meet."""
    return [place / count for place in range(1, count)]


def chunks_of(
    count: int, entries_from: UUID, entries_until: UUID, entry_ids: Sequence[UUID], delivery_ids: Sequence[UUID]
) -> list[Chunk]:
    """Return `count` chunks that cover everything once; `entry_ids` and `delivery_ids` are where they should meet.

    Fewer, or equal ones, leave chunks with nothing in them.
    """
    entries = [entries_from, *_padded(entry_ids, count - 1, entries_until), entries_until]
    starts = [0, *(found.int for found in _padded(delivery_ids, count - 1, UUID(int=_ID_MAX)))]
    ends = [max(0, start - 1) for start in starts[1:]] + [_ID_MAX]
    return [
        Chunk(
            number,
            entries[number],
            entries[number + 1],
            UUID(int=starts[number]),
            UUID(int=ends[number]),
            BUCKETS * number // count,
            BUCKETS * (number + 1) // count,
        )
        for number in range(count)
    ]


def _padded(found: Sequence[UUID], length: int, last: UUID) -> list[UUID]:
    return [*found, *[last] * (length - len(found))]
