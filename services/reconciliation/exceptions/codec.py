"""Cases, resolutions and the audit trail, as messages."""

from collections.abc import Iterable

from lastmile.reconciliation.v1 import exception_pb2

from services.reconciliation.exceptions.ageing import Age
from services.reconciliation.exceptions.audit import AuditRow, Broken, Head
from services.reconciliation.exceptions.case import Case, Resolution
from services.reconciliation.exceptions.lifecycle import CaseState
from services.reconciliation.exceptions.resolutions import ResolutionKind
from services.reconciliation.exceptions.suggestions import WAIT, suggestion_of
from services.reconciliation.runs.codec import discrepancy_to
from services.reconciliation.runs.reading.store import Discrepancy
from services.reconciliation.timestamps import timestamp

_STATES = {state: exception_pb2.CaseState.Value(f"CASE_STATE_{state.name}") for state in CaseState}
_KINDS = {kind.value: exception_pb2.ResolutionKind.Value(f"RESOLUTION_KIND_{kind.name}") for kind in ResolutionKind}
_WAIT = exception_pb2.RESOLUTION_KIND_UNSPECIFIED
_KINDS_FROM: dict[int, ResolutionKind] = {number: ResolutionKind(value) for value, number in _KINDS.items()}
_STATES_FROM: dict[int, str] = {number: state.value for state, number in _STATES.items()}
_SUGGESTED_IN = frozenset({CaseState.OPEN, CaseState.ASSIGNED})


def kind_from(number: int) -> ResolutionKind:
    """Return the kind of resolution that a message names."""
    return _KINDS_FROM[number]


def state_from(number: int) -> str:
    """Return the state that a message names; empty for none."""
    return _STATES_FROM.get(number, "")


def case_to(case: Case, small_paise: int) -> exception_pb2.Case:
    """Return a case as a message, with what is suggested for it while nothing is decided."""
    sent = exception_pb2.Case(
        discrepancy=discrepancy_to(_discrepancy_of(case)),
        state=_STATES[case.state],
        assignee=case.assignee,
        found_at=timestamp(case.found_at),
        rest_paise=case.rest_paise,
        resolution_id=str(case.resolution_id) if case.resolution_id else "",
    )
    if case.state in _SUGGESTED_IN:
        found = suggestion_of(case, small_paise)
        sent.suggestion.resolution = _WAIT if found.resolution == WAIT else _KINDS[found.resolution]
        sent.suggestion.confidence_pct, sent.suggestion.because = found.confidence_pct, found.because
    return sent


def resolution_to(made: Resolution) -> exception_pb2.Resolution:
    """Return a resolution as a message."""
    return exception_pb2.Resolution(
        id=str(made.id),
        kind=_KINDS[made.kind],
        cases_count=made.cases_count,
        amount_paise=made.amount_paise,
        limit_paise=made.limit_paise,
        note=made.note,
        proposed_by=made.proposed_by,
        proposed_at=timestamp(made.proposed_at),
        outcome=made.outcome.value if made.outcome else "",
        decided_by=made.decided_by,
        decided_at=timestamp(made.decided_at) if made.decided_at else None,
        decided_note=made.decided_note,
    )


def row_to(row: AuditRow) -> exception_pb2.AuditRow:
    """Return a row of the audit trail as a message."""
    return exception_pb2.AuditRow(
        sequence=row.sequence,
        at=timestamp(row.at),
        actor=row.actor,
        action=row.action,
        subject=row.subject,
        content_json=row.content,
        sha256_hex=row.sha256.hex(),
    )


def ages_to(ages: Iterable[Age]) -> exception_pb2.GetCaseAgesResponse:
    """Return the ages of cases as a message."""
    answer = exception_pb2.GetCaseAgesResponse()
    for age in ages:
        sent = answer.ages.add(
            days_from=age.days_from, days_until=age.days_until, cases_count=age.cases, paise=age.paise
        )
        # Python has the word for itself.
        setattr(sent, "class", age.kind)
    return answer


def verified_to(head: Head, broken: Broken | None) -> exception_pb2.VerifyAuditResponse:
    """Return what came of a verification as a message."""
    return exception_pb2.VerifyAuditResponse(
        head_sequence=head.sequence,
        head_sha256_hex=head.sha256.hex(),
        broken_sequence=broken.sequence if broken else 0,
        problem=broken.problem.value if broken else "",
    )


def _discrepancy_of(case: Case) -> Discrepancy:
    return Discrepancy(
        case.id, case.run_no, case.kind, case.leg, case.delivery_id, case.statement_id, case.line, case.payee,
        case.expected_paise, case.paid_paise, case.evidence, case.settled_run_no,
    )  # fmt: skip
