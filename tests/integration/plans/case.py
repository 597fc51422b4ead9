"""A statement as the product runs it, and what its plan may read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from libs.ids import new_id
from tests.integration.plans.world import World

ID_MAX = UUID(int=(1 << 128) - 1)
BATCH, PAGE = 256, 101
# A list without bounds looks for its first row in every week.
WEEKS = 25
# A page of what at least a tenth of the rows are may come from the whole list's order, the others filtered out.
COMMON = 10 * PAGE + WEEKS
# A plan for any city takes it for an average one, of 25, where that costs about as much; the small one is half of that.
AVERAGE = 60 * PAGE
TENANT, OPERATOR, MATCHER = "assignment_tenant", "assignment_operator", "assignment_matcher"
NOTIFICATION_TENANT, NOTIFICATION_OPERATOR = "notification_tenant", "notification_operator"
NOTIFICATION_WORKER = "notification_worker"
GATEWAY, RELAY = "gateway", "relay"
BOOKS = "reconciliation_consumer"
BOOKS_WORKER = "reconciliation_worker"
BOOKS_OPERATOR, BOOKS_READER = "reconciliation_operator", "reconciliation_operator_reader"
TENANTS = frozenset({TENANT, NOTIFICATION_TENANT})
# What a transaction takes; the other roles log in as what they are.
TAKEN = TENANTS | {OPERATOR, NOTIFICATION_OPERATOR, BOOKS_OPERATOR, BOOKS_READER}
Values = Callable[[World], Sequence[object]]


@dataclass(frozen=True, slots=True)
class Case:
    """A statement as it is run. `rows_max` bounds the rows that its plan reads from tables, with those filtered out.

    `weeks_max` bounds the partitions of a table that it looks into. `text` is a template's filled form.
    """

    statement: str
    values: Values
    rows_max: int
    role: str = OPERATOR
    weeks_max: int | None = None
    note: str = ""
    text: str = ""
    merchant: Callable[[World], UUID] = lambda w: w.merchant

    def __str__(self) -> str:
        return f"{self.statement} {self.note}".strip()


def many(*values: object, times: int = BATCH) -> list[list[object]]:
    """Columns of one value each."""
    return [[value] * times for value in values]


def new_ids(times: int = BATCH) -> list[UUID]:
    """A column of fresh ids."""
    return [new_id() for _ in range(times)]
