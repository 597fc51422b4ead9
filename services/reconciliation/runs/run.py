"""A run, and what a worker has of it. Pure."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.reconciliation.runs.lifecycle import State
from services.reconciliation.runs.rules import Chunk, RunRules


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as it is stored."""

    run_no: int
    tolerance_paise: int
    tolerance_min: int
    payout_due_min: int
    chunks_count: int
    entries_from: UUID
    entries_until: UUID
    as_of: datetime
    opened_at: datetime
    opened_by: str
    last_confirmed_at: datetime | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A chunk that this worker may work on, as long as its fence is the last."""

    run_no: int
    chunk: int
    state: State
    fence: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Collected:
    """The first and the last of a chunk's entries, and the last hand-over."""

    first: UUID
    last: UUID
    last_confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed chunk, locked until the end of the transaction, and what its run judges by."""

    run_no: int
    chunk: Chunk
    rules: RunRules
    as_of: datetime
    run_from: UUID
    run_until: UUID
    # From which entry on none has been looked at by an earlier run.
    new_from: UUID
    collected_from: UUID | None
    collected_to: UUID | None
    # How many entries were collected.
    entries: int
    # Whether every chunk has come as far as the later states need, and had when this one asked the rules.
    is_whole: bool
    # Whether the chunk is taken again after its run was closed.
    is_closed: bool
