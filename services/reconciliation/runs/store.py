"""Runs and their chunks in PostgreSQL: opening, claiming, moving on, closing. Nothing here is in a result."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.reconciliation.runs.lifecycle import NEEDED_BY_ALL, ORDER, WAITING, State
from services.reconciliation.runs.rules import Chunk, RunRules
from services.reconciliation.runs.run import Claim, Collected, Held, Run

_RUN_COLUMNS = """
  run_no, tolerance_paise, tolerance_min, payout_due_min, chunks_count, entries_from, entries_until, as_of, opened_at,
  opened_by, last_confirmed_at, closed_at
"""
# Serves no index: runs are opened and closed one after the other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('reconciliation runs', 0))"
# Served by runs_pkey.
_LAST = f"SELECT {_RUN_COLUMNS} FROM reconciliation.runs ORDER BY run_no DESC LIMIT 1"  # noqa: S608 - a constant
# Served by runs_pkey and run_chunks_pkey: where the entries of a run begin that it could not take all of.
_LEFT_FROM = """
SELECT r.entries_from FROM reconciliation.runs r WHERE r.run_no = $1 AND EXISTS (
  SELECT FROM reconciliation.run_chunks c
  WHERE c.run_no = r.run_no AND c.is_quarantined AND c.state = ANY ($2::text[]))
"""
_ADD_RUN = f"""
INSERT INTO reconciliation.runs ({_RUN_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, NULL)
"""  # noqa: S608 - a constant
# Served by statements_pkey, mappings_pkey and run_statements_pkey; there are some dozens of statements a day. Those
# that confirm payouts name no deliveries.
_ADD_STATEMENTS = """
INSERT INTO reconciliation.run_statements (statement_id, run_no)
SELECT s.id, $1 FROM reconciliation.statements s
JOIN reconciliation.mappings m ON m.source_code = s.source_code AND m.version = s.mapping_version
WHERE NOT coalesce((m.terms->>'confirms_payouts')::boolean, false)
  AND NOT EXISTS (SELECT FROM reconciliation.run_statements r WHERE r.statement_id = s.id)
"""
# Served by entries_pkey, and by run_statements_by_run with statements_pkey.
_COUNT_ROWS = """
SELECT (SELECT count(*) FROM reconciliation.entries WHERE id >= $2 AND id < $3) AS entries,
  (SELECT coalesce(sum(s.rows_taken), 0)::bigint FROM reconciliation.run_statements r
   JOIN reconciliation.statements s ON s.id = r.statement_id WHERE r.run_no = $1) AS lines
"""
# Served by entries_pkey, in whose order it reads. Of many, some are looked at: those whose hash ends in zeros.
_ENTRY_BOUNDS = """
SELECT percentile_disc($3::float8[]) WITHIN GROUP (ORDER BY id) FROM reconciliation.entries
WHERE id >= $1 AND id < $2 AND uuid_hash(id) & $4 = 0
"""
# Served by entries_pkey and statement_lines_by_delivery; all of them, or some as above, are sorted.
_DELIVERY_BOUNDS = """
SELECT percentile_disc($4::float8[]) WITHIN GROUP (ORDER BY delivery_id) FROM (
  SELECT delivery_id FROM reconciliation.entries WHERE id >= $2 AND id < $3 AND $5
  UNION ALL
  SELECT l.delivery_id FROM reconciliation.run_statements r
  JOIN reconciliation.statement_lines l ON l.statement_id = r.statement_id
  WHERE r.run_no = $1 AND l.delivery_id IS NOT NULL AND NOT $5
) d WHERE uuid_hash(delivery_id) & $6 = 0
"""
_ADD_CHUNKS = """
INSERT INTO reconciliation.run_chunks (run_no, chunk, state, entries_from, entries_until, delivery_from, delivery_to,
  bucket_from, bucket_until)
SELECT $1, chunk, 'collect', entries_from, entries_until, delivery_from, delivery_to, bucket_from, bucket_until
FROM unnest($2::int[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::int[], $8::int[])
  AS c (chunk, entries_from, entries_until, delivery_from, delivery_to, bucket_from, bucket_until)
"""
# Served by run_chunks_to_do, runs_pkey and run_chunks_pkey. A chunk whose lease has ended is taken over, unless its
# transaction still runs: that holds the row.
_CLAIM = """
UPDATE reconciliation.run_chunks c SET holder = $1, leased_until = now() + $2, fence = c.fence + 1,
  attempts = c.attempts + 1
FROM (
  SELECT c.run_no, c.chunk FROM reconciliation.run_chunks c
  JOIN reconciliation.runs r ON r.run_no = c.run_no AND (r.closed_at IS NULL OR c.state = 'post')
  WHERE c.state <> 'done' AND NOT c.is_quarantined AND coalesce(c.leased_until < now(), true)
    AND coalesce(c.not_before <= now(), true)
    AND (c.state <> ALL ($3::text[]) OR NOT EXISTS (
      SELECT FROM reconciliation.run_chunks o WHERE o.run_no = c.run_no AND NOT o.is_quarantined
        AND array_position($4::text[], o.state) < array_position($4::text[], c.state)))
  ORDER BY array_position($4::text[], c.state), c.chunk LIMIT 1 FOR UPDATE OF c SKIP LOCKED
) free
WHERE c.run_no = free.run_no AND c.chunk = free.chunk
RETURNING c.run_no, c.chunk, c.state, c.fence, c.attempts
"""
# Served by run_chunks_pkey and runs_pkey. Who has lost the chunk finds nothing; who finds it keeps it until the
# transaction ends. What is taken again is missing still; and who began without it must not end as if it had been there.
_HOLD = """
SELECT c.chunk, c.entries_from, c.entries_until, c.delivery_from, c.delivery_to, c.bucket_from, c.bucket_until,
  c.collected_from, c.collected_to, coalesce((c.tallies->>'entries')::bigint, 0) AS entries, r.tolerance_paise,
  r.tolerance_min, r.payout_due_min, r.as_of, r.entries_from AS run_from, r.entries_until AS run_until,
  coalesce((SELECT b.entries_until FROM reconciliation.runs b WHERE b.run_no = r.run_no - 1), r.entries_from)
    AS new_from,
  NOT c.tallies ? 'undecided' AND NOT EXISTS (SELECT FROM reconciliation.run_chunks o
    WHERE o.run_no = c.run_no AND o.state = ANY ($4::text[])) AS is_whole,
  r.closed_at IS NOT NULL AS is_closed
FROM reconciliation.run_chunks c JOIN reconciliation.runs r ON r.run_no = c.run_no
WHERE c.run_no = $1 AND c.chunk = $2 AND c.fence = $3 AND (r.closed_at IS NULL OR c.state = 'post')
FOR UPDATE OF c
"""
# Served by run_chunks_pkey.
_MOVE_ON = """
UPDATE reconciliation.run_chunks SET state = $4, attempts = $6, leased_until = now() + $7::interval, not_before = NULL,
  last_error = NULL, tallies = tallies || $5::jsonb
WHERE run_no = $1 AND chunk = $2 AND fence = $3
"""
# Served by run_chunks_pkey.
_COLLECTED = """
UPDATE reconciliation.run_chunks SET collected_from = $4, collected_to = $5, last_confirmed_at = $6
WHERE run_no = $1 AND chunk = $2 AND fence = $3
"""
# Served by run_chunks_pkey.
_FAIL = """
UPDATE reconciliation.run_chunks SET holder = NULL, leased_until = NULL, not_before = now() + $4, last_error = $5,
  is_quarantined = $6
WHERE run_no = $1 AND chunk = $2 AND fence = $3
"""
# Served by one_open_run and run_chunks_pkey.
_TO_CLOSE = """
SELECT r.run_no FROM reconciliation.runs r WHERE r.closed_at IS NULL AND NOT EXISTS (
  SELECT FROM reconciliation.run_chunks c WHERE c.run_no = r.run_no AND c.state <> 'done' AND NOT c.is_quarantined)
FOR UPDATE OF r SKIP LOCKED
"""
# Served by run_chunks_pkey.
_LEFT_OUT = """
SELECT chunk, entries_from, entries_until, delivery_from, delivery_to, bucket_from, bucket_until
FROM reconciliation.run_chunks WHERE run_no = $1 AND is_quarantined AND state = ANY ($2::text[]) ORDER BY chunk
"""
# Served by runs_pkey and run_chunks_pkey. Where it saw no later hand-over, the cursor stays where it was; what it
# leaves to the next run it has not seen.
_CLOSE = """
UPDATE reconciliation.runs r SET closed_at = $2, last_confirmed_at = greatest(
  (SELECT max(c.last_confirmed_at) FROM reconciliation.run_chunks c
   WHERE c.run_no = r.run_no AND c.state <> ALL ($3::text[])),
  (SELECT b.last_confirmed_at FROM reconciliation.runs b WHERE b.run_no = r.run_no - 1))
WHERE r.run_no = $1
"""


async def lock(connection: asyncpg.Connection) -> None:
    """Have others who open or close a run wait for the end of this transaction."""
    await connection.execute(_LOCK)


async def last(connection: asyncpg.Connection) -> Run | None:
    """Return the last run, open or not."""
    row = await connection.fetchrow(_LAST)
    return Run(**row) if row else None


async def left_from(connection: asyncpg.Connection, run_no: int) -> UUID | None:
    """Return from which entry on a run has not taken all, or None when it has."""
    found: UUID | None = await connection.fetchval(_LEFT_FROM, run_no, list(NEEDED_BY_ALL))
    return found


async def add_run(connection: asyncpg.Connection, run: Run) -> None:
    """Store a run."""
    await connection.execute(
        _ADD_RUN, run.run_no, run.tolerance_paise, run.tolerance_min, run.payout_due_min, run.chunks_count,
        run.entries_from, run.entries_until, run.as_of, run.opened_at, run.opened_by,
    )  # fmt: skip


async def add_statements(connection: asyncpg.Connection, run_no: int) -> None:
    """Give a run the statements that none has looked at."""
    await connection.execute(_ADD_STATEMENTS, run_no)


async def count_rows(
    connection: asyncpg.Connection, run_no: int, entries_from: UUID, entries_until: UUID
) -> tuple[int, int]:
    """Return how many entries and lines a run is to look at."""
    row = await connection.fetchrow(_COUNT_ROWS, run_no, entries_from, entries_until)
    return row["entries"], row["lines"]


async def bounds(
    connection: asyncpg.Connection,
    run_no: int,
    window: tuple[UUID, UUID],
    parts: Sequence[float],
    sample_mask: int,
    *,
    by_entries: bool,
) -> tuple[list[UUID], list[UUID]]:
    """Return where about equal parts of the entries meet, and of the deliveries, of the entries or of the lines.

    Those are looked at whose hash has none of the bits of `sample_mask`: all of them for 0.
    """
    entries = await connection.fetchval(_ENTRY_BOUNDS, *window, parts, sample_mask)
    deliveries = await connection.fetchval(_DELIVERY_BOUNDS, run_no, *window, parts, by_entries, sample_mask)
    return entries or [], deliveries or []


async def add_chunks(connection: asyncpg.Connection, run_no: int, chunks: Sequence[Chunk]) -> None:
    """Store a run's chunks."""
    rows = [
        (c.chunk, c.entries_from, c.entries_until, c.delivery_from, c.delivery_to, c.bucket_from, c.bucket_until)
        for c in chunks
    ]
    await connection.execute(_ADD_CHUNKS, run_no, *map(list, zip(*rows, strict=True)))


async def claim(connection: asyncpg.Connection, holder: str, lease: timedelta) -> Claim | None:
    """Take the next chunk that may be worked on, or None."""
    row = await connection.fetchrow(_CLAIM, holder, lease, list(WAITING), list(ORDER))
    return Claim(row["run_no"], row["chunk"], State(row["state"]), row["fence"], row["attempts"]) if row else None


async def hold(connection: asyncpg.Connection, claimed: Claim) -> Held | None:
    """Lock a claimed chunk for this transaction; None when it has been lost to another."""
    row = await connection.fetchrow(_HOLD, claimed.run_no, claimed.chunk, claimed.fence, list(NEEDED_BY_ALL))
    if row is None:
        return None
    names = ("chunk", "entries_from", "entries_until", "delivery_from", "delivery_to", "bucket_from", "bucket_until")
    rules = RunRules(row["tolerance_paise"], row["tolerance_min"], row["payout_due_min"])
    chunk = Chunk(*(row[name] for name in names))
    told = (
        "as_of", "run_from", "run_until", "new_from", "collected_from", "collected_to", "entries", "is_whole",
        "is_closed",
    )  # fmt: skip
    return Held(claimed.run_no, chunk, rules, *(row[name] for name in told))


async def move_on(
    connection: asyncpg.Connection, claimed: Claim, state: State, tallies: Mapping[str, int], kept: timedelta | None
) -> Claim | None:
    """Put a chunk into its next state; keep it for so long and return the claim of that, or give it up."""
    told, attempts = json.dumps(tallies), 0 if kept is None else 1
    await connection.execute(_MOVE_ON, claimed.run_no, claimed.chunk, claimed.fence, state, told, attempts, kept)
    return None if kept is None else replace(claimed, state=state, attempts=attempts)


async def note_collected(connection: asyncpg.Connection, claimed: Claim, found: Collected) -> None:
    """Keep what was collected."""
    key = (claimed.run_no, claimed.chunk, claimed.fence)
    await connection.execute(_COLLECTED, *key, found.first, found.last, found.last_confirmed_at)


async def fail(connection: asyncpg.Connection, claimed: Claim, said: str, wait: timedelta, *, quarantine: bool) -> None:
    """Give a chunk up, to be tried again after `wait`, or not at all."""
    await connection.execute(_FAIL, claimed.run_no, claimed.chunk, claimed.fence, wait, said, quarantine)


async def to_close(connection: asyncpg.Connection) -> int | None:
    """Lock the open run if nothing of it is left to do; return its number."""
    found: int | None = await connection.fetchval(_TO_CLOSE)
    return found


async def left_out(connection: asyncpg.Connection, run_no: int) -> list[Chunk]:
    """Return the chunks that are quarantined before what they hold was set aside."""
    return [Chunk(**row) for row in await connection.fetch(_LEFT_OUT, run_no, list(NEEDED_BY_ALL))]


async def close(connection: asyncpg.Connection, run_no: int, now: datetime) -> None:
    """Close a run."""
    await connection.execute(_CLOSE, run_no, now, list(NEEDED_BY_ALL))
