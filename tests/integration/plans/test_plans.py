"""Every statement's plan on a million deliveries, under the role and the row-level security that run it.

A plan is looked at as made for its values, as made for any values, and as what PostgreSQL settles on for a prepared
statement. It may read no larger table whole, and no more rows than its case states.
"""

import ast
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from libs.postgres.tenancy import Visibility, visible
from tests.integration.plans.case import OPERATOR, TAKEN, TENANTS, Case
from tests.integration.plans.cases_alerts import ALERTS
from tests.integration.plans.cases_deliveries import DELIVERIES, IDEMPOTENCY
from tests.integration.plans.cases_desk import DESK
from tests.integration.plans.cases_dispatch import DISPATCH
from tests.integration.plans.cases_ledger import BOOKKEEPING
from tests.integration.plans.cases_notification import NOTIFICATION
from tests.integration.plans.cases_offers import OFFERS
from tests.integration.plans.cases_papers import PAPERS
from tests.integration.plans.cases_partners import OTHERS, PARTNERS
from tests.integration.plans.cases_picture import PICTURE
from tests.integration.plans.cases_recon import RECON
from tests.integration.plans.cases_settlements import SETTLEMENTS
from tests.integration.plans.cases_windows import WINDOWS
from tests.integration.plans.conftest import Filled
from tests.integration.plans.explain import Mode, explain
from tests.statements import named_statements, nameless_in, nameless_statements

# The indexes of tables, each with those of the partitions; keys are there for what they forbid.
_INDEXES = """
SELECT whole.relname AS whole, array_agg(part.relname) FILTER (WHERE part.relname IS NOT NULL) AS parts
FROM pg_index i JOIN pg_class whole ON whole.oid = i.indexrelid
LEFT JOIN pg_inherits h ON h.inhparent = whole.oid LEFT JOIN pg_class part ON part.oid = h.inhrelid
WHERE whole.relnamespace IN ('assignment'::regnamespace, 'notification'::regnamespace)
  AND NOT whole.relispartition AND NOT i.indisunique
GROUP BY whole.relname
"""
# What the plans of each case that has run went by.
USED: dict[Case, set[str]] = defaultdict(set)
CASES = [
    *(*DELIVERIES, *IDEMPOTENCY, *OFFERS, *PARTNERS, *OTHERS, *PICTURE, *WINDOWS, *DISPATCH),
    *(*NOTIFICATION, *ALERTS, *BOOKKEEPING, *RECON, *DESK, *SETTLEMENTS, *PAPERS),
]


@asynccontextmanager
async def rolled_back(filled: Filled, case: Case) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that sees what the statement's callers may see, and leaves nothing behind."""
    async with filled.pools[case.role].acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            merchants = [case.merchant(filled.world)] if case.role in TENANTS else []
            role = case.role if case.role in TAKEN else "none"
            async with visible(connection, Visibility.of(role, merchants)):
                yield connection
        finally:
            await transaction.rollback()


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_plan_reads_what_its_case_states(filled: Filled, case: Case) -> None:
    text = case.text or named_statements()[case.statement]
    for mode in Mode:
        async with rolled_back(filled, case) as connection:
            plan = await explain(connection, text, case.values(filled.world), mode)
        USED[case].update(plan.indexes)
        assert not plan.scanned_whole, f"{mode}: reads {plan.scanned_whole} whole\n{plan.text}"
        assert plan.rows <= case.rows_max, f"{mode}: reads {plan.rows} rows\n{plan.text}"
        # A plan for any values is not always taken, and a list of ids does not prune it.
        if case.weeks_max is not None and mode is not Mode.GENERIC:
            assert plan.weeks <= case.weeks_max, f"{mode}: looks into {plan.weeks} weeks\n{plan.text}"


async def test_every_index_serves_a_statement(filled: Filled) -> None:
    if len(USED) < len(CASES):
        pytest.skip("what serves nothing is known once every case has run")
    async with rolled_back(filled, Case("", lambda w: [], 0, OPERATOR)) as connection:
        indexes = {row["whole"]: row["parts"] for row in await connection.fetch(_INDEXES)}
    used = frozenset[str]().union(*USED.values())
    assert [whole for whole, parts in indexes.items() if not used.intersection([whole, *(parts or [])])] == []


async def test_a_scan_of_a_large_table_is_seen_with_all_that_it_reads(filled: Filled) -> None:
    case = Case("", lambda w: [], 0, OPERATOR)
    text = "SELECT count(*) FROM assignment.deliveries WHERE weight_g = 1"
    async with rolled_back(filled, case) as connection:
        plan = await explain(connection, text, [], Mode.CUSTOM)
    assert len(plan.scanned_whole) >= 12
    assert plan.rows >= 1_000_000
    assert plan.weeks >= 12


def test_every_statement_has_a_case_and_every_case_a_statement() -> None:
    assert {case.statement for case in CASES} == set(named_statements())


def test_no_statement_is_without_a_name() -> None:
    assert nameless_statements() == []


def test_a_statement_inside_a_function_is_without_a_name() -> None:
    named = 'A = "SELECT 1 FROM assignment.cities"\n'
    assert nameless_in(ast.parse(named)) == []
    assert nameless_in(ast.parse(named + 'def f():\n  return "DELETE FROM assignment.cities"\n')) == [3]
    assert nameless_in(ast.parse('def f(x):\n  return f"UPDATE assignment.cities SET a = {x}"\n')) == [2]
