"""What the desk does: each command is one transaction that locks its cases, asks the rules, and writes its decision.

A command of several cases is done for all of them or for none; what refuses it names the cases that it is refused for.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import asyncpg

from libs.ids import new_id
from services.reconciliation.errors import (
    CaseNotFoundError,
    CasesRefusedError,
    CaseStateError,
    OwnProposalError,
    ResolutionDecidedError,
    ResolutionNotFoundError,
    SettledMeanwhileError,
)
from services.reconciliation.exceptions import resolutions, store
from services.reconciliation.exceptions.auditing import store as audit
from services.reconciliation.exceptions.case import Case, Outcome, Resolution
from services.reconciliation.exceptions.lifecycle import CaseState, Command, after, may_decide
from services.reconciliation.exceptions.limits import DeskLimits
from services.reconciliation.exceptions.resolutions import ResolutionKind, Worth
from services.reconciliation.exceptions.resolving import store as resolving
from services.reconciliation.ledger import store as ledger
from services.reconciliation.settlements import store as settlements

_REFUSALS_SHOWN = 20
# Who closes what runs have settled.
RUNS = "runs"
_NOBODY_ELSE = "you have proposed it: another must decide"


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be decided about cases."""

    kind: ResolutionKind
    write_off_rest: bool
    note: str


class Desk:
    """The desk in one transaction: who is at it, and when."""

    def __init__(
        self, connection: asyncpg.Connection, limits: DeskLimits, own_cities: Sequence[str], by: str, now: datetime
    ) -> None:
        self._connection, self._limits, self._by, self._now = connection, limits, by, now
        self._own_cities = own_cities

    async def assign(self, case_ids: Sequence[UUID], assignee: str, note: str) -> list[Case]:
        """Give cases to somebody, or to nobody for an empty name; those that are so already are left alone."""
        cases = await self._locked(case_ids)
        fresh = [case for case in cases if case.assignee != assignee]
        moved = self._moved(fresh, Command.ASSIGN if assignee else Command.UNASSIGN)
        changed = [replace(case, assignee=assignee) for case in moved]
        await self._save(changed, "assign" if assignee else "unassign", {"assignee": assignee, "note": note})
        return _merged(cases, changed)

    async def comment(self, case_ids: Sequence[UUID], text: str) -> list[Case]:
        """Add a comment to cases, in whatever state they are."""
        cases = await self._locked(case_ids)
        # It moves nothing: what a run has settled meanwhile is for the end of the run to say.
        sequences = await self._audit(cases, "comment", {"text": text})
        await store.note(self._connection, [case.id for case in cases], sequences)
        return cases

    async def resolve(self, case_ids: Sequence[UUID], decided: Decision) -> tuple[Resolution, list[Case]]:
        """Resolve cases, or propose it where what is at stake is above the limit."""
        cases = await self._locked(case_ids)
        tolerance, limits = self._limits.tolerance_paise, self._limits
        amount = resolutions.amount_of(decided.kind, cases, tolerance)
        limit = limits.approval_over_paise if resolutions.is_checked(decided.kind, cases) else None
        made = Resolution(new_id(), decided.kind.value, len(cases), amount, limit, decided.note, self._by, self._now)
        moved = self._moved(cases, Command.PROPOSE if made.needs_approval else Command.RESOLVE)
        self._judge(cases, decided)
        worth = await self._worth(made, moved)
        if not made.needs_approval:
            made = replace(made, outcome=Outcome.APPROVED, decided_by=self._by, decided_at=self._now)
        await resolving.add(self._connection, made)
        changed = [replace(case, resolution_id=made.id) for case in moved]
        entry_id = None if made.needs_approval else await self._take_effect(made, changed, worth)
        await self._save(changed, "propose" if made.needs_approval else "resolve", _told(made, decided.note, entry_id))
        return made, changed

    async def decide(self, resolution_id: UUID, outcome: Outcome, note: str) -> tuple[Resolution, list[Case]]:
        """Approve or decline what another has proposed; what is decided so already stays so."""
        await store.lock(self._connection, [case.id for case in await self._of(resolution_id)])
        made = await resolving.get(self._connection, resolution_id)
        if made is None:
            raise ResolutionNotFoundError(f"there is no resolution {resolution_id}")
        cases = await self._of(resolution_id)
        if made.outcome is not None:
            if made.outcome is outcome and made.decided_by == self._by:
                return made, cases
            raise ResolutionDecidedError(f"resolution {resolution_id} was {made.outcome} by {made.decided_by}")
        if not may_decide(made.proposed_by, self._by):
            raise OwnProposalError(_NOBODY_ELSE)
        is_approval = outcome is Outcome.APPROVED
        # What a run has settled meanwhile is nobody's any more; it can be approved of none then.
        waiting = cases if is_approval else [case for case in cases if case.state is CaseState.PROPOSED]
        moved = self._moved(waiting, Command.APPROVE if is_approval else Command.DECLINE)
        if is_approval and len(moved) < made.cases_count:
            raise CaseStateError(f"runs have settled {made.cases_count - len(moved)} of its cases: decline it")
        done = await resolving.decide(self._connection, resolution_id, outcome, self._by, self._now, note)
        if done is None:
            raise ResolutionDecidedError(f"resolution {resolution_id} was decided meanwhile")
        entry_id = await self._take_effect(done, moved, await self._worth(done, moved)) if is_approval else None
        changed = moved if is_approval else [_given_back(case, made.proposed_by) for case in moved]
        await self._save(changed, "approve" if is_approval else "decline", _told(done, note, entry_id))
        return done, changed if is_approval else _merged(cases, changed)

    async def _worth(self, made: Resolution, cases: Sequence[Case]) -> Worth:
        # Of what was at stake: the tolerance may be another one since.
        tolerance = self._limits.tolerance_paise if made.amount_paise == 0 else 0
        postings = resolutions.postings_of(ResolutionKind(made.kind), cases, tolerance)
        cities = await resolving.cities(self._connection, resolutions.partners_of(postings))
        calendars = resolutions.calendars_of(postings, cities, self._own_cities)
        if len(calendars) > 1:
            # They are booked as one entry, and that is in the cycles of one calendar.
            raise CasesRefusedError("their payees are in cities whose cycles differ: resolve them city by city")
        return Worth(postings, next(iter(calendars), ""))

    async def _take_effect(self, made: Resolution, cases: Sequence[Case], worth: Worth) -> UUID | None:
        kind = ResolutionKind(made.kind)
        # Payouts are made under the same lock: what is given up is in a batch, or known to whoever makes it.
        await settlements.lock(self._connection)
        gives_up = resolutions.gives_up(kind, made.amount_paise)
        if await resolving.resolve(self._connection, cases, kind, gives_up=gives_up):
            raise SettledMeanwhileError(
                "some of it was settled, corrected, undone or paid out meanwhile; look again, and dismiss what is put"
                " right by its party's statement"
            )
        if not worth.postings:
            return None
        entry_id = new_id()
        await resolving.book(self._connection, entry_id, made, [case.id for case in cases], worth)
        await ledger.add_postings(self._connection, entry_id, worth.postings, self._now)
        return entry_id

    def _judge(self, cases: Sequence[Case], decided: Decision) -> None:
        if decided.kind is ResolutionKind.MATCH:
            why = resolutions.together_refusal(
                cases, self._limits.tolerance_paise, write_off_rest=decided.write_off_rest
            )
            if why:
                raise CasesRefusedError(why)
            return
        self._refuse(cases, lambda case: resolutions.refusal_of(decided.kind, case))

    def _moved(self, cases: Sequence[Case], command: Command) -> list[Case]:
        then = {case.id: after(case.state, command) for case in cases}
        refused = {str(case.id): str(case.state) for case in cases if then[case.id] is None}
        if refused:
            said = f"{len(refused)} of {len(cases)} cases are in no state to {command}"
            raise CaseStateError(said, metadata=_shown(refused))
        return [replace(case, state=state) for case in cases if (state := then[case.id]) is not None]

    def _refuse(self, cases: Sequence[Case], why: Callable[[Case], str]) -> None:
        refused = {str(case.id): said for case in cases if (said := why(case))}
        if refused:
            first = next(iter(refused.values()))
            raise CasesRefusedError(f"{len(refused)} of {len(cases)} cases: {first}", metadata=_shown(refused))

    async def _locked(self, case_ids: Sequence[UUID]) -> list[Case]:
        wanted = list(dict.fromkeys(case_ids))
        if len(wanted) > self._limits.cases_max:
            raise CasesRefusedError(f"{len(wanted)} cases are more than {self._limits.cases_max} at once")
        await store.lock(self._connection, wanted)
        found = {case.id: case for case in await store.get(self._connection, wanted)}
        if missing := [str(case_id) for case_id in wanted if case_id not in found]:
            raise CaseNotFoundError(
                f"there is no case {missing[0]}", metadata=_shown(dict.fromkeys(missing, "unknown"))
            )
        return [found[case_id] for case_id in wanted]

    async def _of(self, resolution_id: UUID) -> list[Case]:
        return await store.of_resolution(self._connection, resolution_id)

    async def _save(self, cases: Sequence[Case], action: str, content: dict[str, object]) -> None:
        if cases:
            await store.save(self._connection, cases, await self._audit(cases, action, content))

    async def _audit(self, cases: Sequence[Case], action: str, content: dict[str, object]) -> list[int]:
        text = json.dumps(content, ensure_ascii=False, sort_keys=True)
        told = [(subject_of(case.id), text) for case in cases]
        sequences = await audit.add(self._connection, self._now, self._by, action, told)
        return [sequences[subject_of(case.id)] for case in cases]


def subject_of(case_id: UUID) -> str:
    """Return what the audit trail calls a case."""
    return f"cases/{case_id}"


async def close_settled(connection: asyncpg.Connection, now: datetime) -> int:
    """Resolve the cases that the desk was at and runs have settled, in the transaction that closes one; count them."""
    settled = await store.settled(connection)
    if settled:
        told = [(subject_of(case_id), json.dumps({"settled_run_no": run_no})) for case_id, run_no in settled.items()]
        sequences = await audit.add(connection, now, RUNS, "settle", told)
        await store.settle(connection, list(settled), [sequences[subject_of(case_id)] for case_id in settled])
    return len(settled)


def _told(made: Resolution, note: str, entry_id: UUID | None) -> dict[str, object]:
    return {
        "resolution_id": str(made.id),
        "resolution": made.kind,
        "amount_paise": made.amount_paise,
        "limit_paise": made.limit_paise,
        "note": note,
        "entry_id": str(entry_id) if entry_id else None,
    }


def _given_back(case: Case, proposed_by: str) -> Case:
    return replace(case, assignee=proposed_by, resolution_id=None)


def _merged(cases: Sequence[Case], changed: Sequence[Case]) -> list[Case]:
    by_id = {case.id: case for case in changed}
    return [by_id.get(case.id, case) for case in cases]


def _shown(refused: dict[str, str]) -> dict[str, str]:
    return dict(list(refused.items())[:_REFUSALS_SHOWN])
