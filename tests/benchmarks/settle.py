"""Settle: closing a cycle of 45,000 partners, entry by entry to hashed statements, on the embedded PostgreSQL.

`LASTMILE_SETTLE_ENTRIES=2000000` is a week.
"""

import asyncio
import os
import resource
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from libs.embedded.stack import EmbeddedServers
from libs.postgres.pool import PoolLimits, create_pool
from services.reconciliation.settlements.closing.closer import Closer
from services.reconciliation.settlements.limits import SettlementLimits
from services.reconciliation.settlements.opening import open_now
from tests.benchmarks.report import Row, lower, report

ENTRIES = int(os.environ.get("LASTMILE_SETTLE_ENTRIES", "280000"))
PARTNERS, MERCHANTS = 45_000, 500
_DEADLINE_S = 1_800
# As the bookkeeper writes them, past the triggers: there are many.
_FILL = """
SET session_replication_role = replica;
INSERT INTO reconciliation.rate_cards VALUES (md5('card')::uuid, 'BLR', 'motorcycle', '', 1, now() - interval '1 year',
  '{{"guarantee_paise_per_h": 12000, "gst_bp": 1800}}', now(), 'bench');
INSERT INTO reconciliation.entries (id, kind, cause_event_id, event_ids, delivery_id, merchant_id, partner_id,
  partner_version, rate_card_id, postings_count, occurred_at, booked_at)
SELECT uuidv7('-1 hour'), 'earnings', gen_random_uuid(), ARRAY[gen_random_uuid()], gen_random_uuid(),
  md5('merchant ' || n % {merchants})::uuid, md5('partner ' || n % {partners})::uuid, 1, md5('card')::uuid, 7, now(),
  now() FROM generate_series(1, {entries}) AS n;
INSERT INTO reconciliation.postings (entry_id, line, entry_postings_count, account, purpose, paise, merchant_id,
  booked_at)
SELECT e.id, p.line, 7, p.account, p.purpose, p.paise, p.merchant_id, e.booked_at FROM reconciliation.entries e
CROSS JOIN LATERAL (VALUES
  (1, 'platform:earnings', 'earnings', 5000, NULL), (2, 'partner:' || e.partner_id, 'earnings', -4950, NULL),
  (3, 'tax:tds', 'tds', -50, NULL), (4, 'merchant:' || e.merchant_id, 'fee', 6000, e.merchant_id),
  (5, 'platform:fees', 'fee', -6000, NULL), (6, 'merchant:' || e.merchant_id, 'gst', 1080, e.merchant_id),
  (7, 'tax:gst', 'gst', -1080, NULL)) AS p (line, account, purpose, paise, merchant_id);
INSERT INTO reconciliation.partner_versions (partner_id, version, event_id, vehicle, network_code, changed_at,
  city_code, on_duty)
SELECT md5('partner ' || p)::uuid, v, gen_random_uuid(), 'motorcycle', '', now() - (16 - v) * interval '10 hours',
  'BLR', CASE WHEN v % 2 = 1 THEN '{{(,)}}' ELSE '{{}}' END::tstzmultirange
FROM generate_series(0, {partners} - 1) AS p CROSS JOIN generate_series(1, 14) AS v;
RESET session_replication_role;
"""
# What closing must write at least: a row of each entry and party, into a table without indexes.
_BARE = """
CREATE UNLOGGED TABLE bench.lines AS
SELECT p.entry_id, p.account, -sum(p.paise) AS paise FROM reconciliation.postings p
WHERE p.account ~ '^(partner|network|merchant|cash):' GROUP BY p.entry_id, p.account
"""


def anonymous_mb(pid: int) -> float:
    """The memory of a process that is its own."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


async def measure(servers: EmbeddedServers) -> None:
    owner = await asyncpg.connect(servers.dsn(), command_timeout=_DEADLINE_S)
    fill = _FILL.format(entries=ENTRIES, partners=PARTNERS, merchants=MERCHANTS)
    await owner.execute(fill)
    await owner.execute("VACUUM ANALYZE")
    await owner.execute("CREATE SCHEMA bench")
    began_s = time.perf_counter()
    await owner.execute(_BARE)
    bare_s = time.perf_counter() - began_s
    limits, peak_mb = SettlementLimits(cycle="never", settle_s=0), 0.0
    took_s: dict[str, float] = defaultdict(float)
    pool_limits = PoolLimits(connections_max=1, statement_timeout_ms=600_000)
    async with await create_pool(servers.dsn("reconciliation_worker"), pool_limits, "bench") as pool:
        async with pool.acquire() as connection, connection.transaction():
            await open_now(connection, limits, "", "bench", datetime.now(UTC) + timedelta(seconds=1))
        backend = await pool.fetchval("SELECT pg_backend_pid()")
        closer = Closer(pool, limits)
        while state := await owner.fetchval(
            "SELECT state FROM reconciliation.settlement_cycles WHERE closed_at IS NULL"
        ):
            began_s = time.perf_counter()
            await closer.work_once()
            took_s[state] += time.perf_counter() - began_s
            peak_mb = max(peak_mb, anonymous_mb(backend))
    statements, lines, top_ups, line_bytes = await owner.fetchrow(
        "SELECT (SELECT count(*) FROM reconciliation.settlement_statements),"
        " (SELECT count(*) FROM reconciliation.settlement_lines),"
        " (SELECT count(*) FROM reconciliation.settlement_top_ups),"
        " pg_total_relation_size('reconciliation.settlement_lines')"
    )
    await owner.close()
    assert lines == 2 * ENTRIES + top_ups
    report(
        "settle",
        [
            lower(f"closing {ENTRIES:,} entries", sum(took_s.values()), "s", "a bare table of the lines", bare_s),
            *(Row(f"of that: {state}", seconds, "s") for state, seconds in took_s.items()),
            Row("statements, of which each is hashed", statements, ""),
            Row("guarantees that topped up", top_ups, ""),
            Row("a line, with its indexes", line_bytes / lines, "bytes"),
            Row("most memory of the worker", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB"),
            Row("most memory of its server process, of its own, between pieces", peak_mb, "MB"),
        ],
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedServers(Path(folder) / "home") as servers:
        asyncio.run(measure(servers))


if __name__ == "__main__":
    main()
