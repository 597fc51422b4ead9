"""Holds, disputes and releases lines: looks at the table of states, and writes who did it, when and why."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.reconciliation.errors import HoldTransitionError, LinePaidOutError, SettlementLineNotFoundError
from services.reconciliation.ledger.postings import Account, AccountKind
from services.reconciliation.settlements import store
from services.reconciliation.settlements.holds import store as holds
from services.reconciliation.settlements.holds.store import Hold, HoldChange
from services.reconciliation.settlements.lifecycle import HoldAction, HoldState, held


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to be done with a line, and why."""

    party: Account
    entry_id: UUID
    action: HoldAction
    reason: str
    by: str


def accounts_of(party: Account) -> list[str]:
    """Return the accounts of the ledger whose postings are a party's."""
    cash = [str(Account(AccountKind.CASH, party.owner))] if party.kind is AccountKind.PARTNER else []
    return [str(party), *cash]


async def change(connection: asyncpg.Connection, asked: Asked, now: datetime) -> Hold:
    """Do it, within the caller's transaction.

    Raises SettlementLineNotFoundError, HoldTransitionError, and LinePaidOutError for a line that no hold can keep back
    any more.
    """
    # Payouts are made under the same lock: a line is in a batch or held, never both.
    await store.lock(connection)
    party = str(asked.party)
    paise = await holds.amount(connection, asked.entry_id, accounts_of(asked.party))
    if paise is None:
        raise SettlementLineNotFoundError(f"entry {asked.entry_id} has nothing of {party}")
    if await holds.is_held_with_another(connection, asked.entry_id, accounts_of(asked.party)):
        raise HoldTransitionError(
            "a correction is held with the first line of its delivery: hold that", metadata={"state": ""}
        )
    before = await holds.get(connection, party, asked.entry_id)
    state = before.state if before else HoldState.NONE
    then = held(asked.action, state)
    if then is None:
        said = f"a line that is {state} cannot be told to {asked.action}"
        raise HoldTransitionError(said, metadata={"state": state})
    if asked.action is not HoldAction.RELEASE and state in (HoldState.NONE, HoldState.RELEASED):
        batch_no = await holds.paid_out_by(connection, party, asked.entry_id, before.changed_at if before else None)
        if batch_no is not None:
            raise LinePaidOutError(f"the line is in batch {batch_no} already", metadata={"batch_no": str(batch_no)})
    number = (before.changes_count if before else 0) + 1
    hold = Hold(party, asked.entry_id, then, paise, number, now)
    await holds.put(connection, hold, HoldChange(number, asked.action, then, asked.reason, now, asked.by))
    return hold
