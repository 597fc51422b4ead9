"""A settlement statement as it is printed. Pure: what is printed adds up to what the statement says."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta

from services.reconciliation.papers.issuing import INDIA
from services.reconciliation.papers.statement import PartnerStatement, StatementDetail, StatementLine, StatementSection
from services.reconciliation.settlements.statement import LineKind, Statement
from services.reconciliation.settlements.statement import StatementLine as SettledLine

_LABELS = {
    LineKind.DELIVERY: "Deliveries",
    LineKind.REVERSAL: "Taken back",
    LineKind.ADJUSTMENT: "Taken back, of an earlier cycle",
    LineKind.CORRECTION: "Corrected hand-overs",
    LineKind.GUARANTEE: "Hourly guarantee",
    LineKind.PAYMENT: "Paid, as others state",
    LineKind.REMITTANCE: "Cash handed in",
    LineKind.PAYOUT: "Paid out",
    LineKind.PAYOUT_RETURN: "Payout that came back",
}
_DOOR, _AT_THE_DOOR = (LineKind.DELIVERY, "cash_paise"), "Collected at the door"
# Title of the work, of the tax on it, and of the column of work, by the kind of party.
_WORDS = {"merchant": ("Fees", "GST", "Fee"), "": ("Earnings", "Tax withheld", "Earned")}
_NAMES = {"partner": "Partner", "merchant": "Merchant", "network": "Network"}


def printed(statement: Statement, issuer_name: str, lines_max: int) -> PartnerStatement:
    """Return a closed statement as it is printed; with more than `lines_max` lines, its sums without the lines.

    ValueError for one whose cycle is not closed.
    """
    cycle, totals = statement.cycle, statement.totals
    if cycle.closed_at is None:
        raise ValueError(f"cycle {cycle.cycle_no} is not closed")
    kind, _, owner = statement.party.partition(":")
    lines = statement.lines if totals.lines_count <= lines_max else ()
    work_title = _WORDS.get(kind, _WORDS[""])[2]
    return PartnerStatement(
        heading=f"{_NAMES[kind]} statement",
        number=f"{cycle.cycle_no}{f', {cycle.calendar}' if cycle.calendar else ''}",
        payee_name=f"{_NAMES[kind]} {owner}" if kind == "network" else _NAMES[kind],
        payee_account=statement.party,
        issuer_name=issuer_name,
        first_day=cycle.from_at.astimezone(INDIA).date(),
        last_day=(cycle.until_at - timedelta(microseconds=1)).astimezone(INDIA).date(),
        closed_on=cycle.closed_at.astimezone(INDIA).date(),
        sections=tuple(_sections(statement, lines, kind)),
        content_sha256=statement.content_sha256.hex(),
        note="" if lines or not totals.lines_count else f"It has {totals.lines_count} lines, which are not printed.",
        work_title=work_title,
        details=tuple(_detail(line) for line in lines),
    )


def _sections(statement: Statement, lines: tuple[SettledLine, ...], kind: str) -> Iterator[StatementSection]:
    totals, (work, tax, _) = statement.totals, _WORDS.get(kind, _WORDS[""])
    if totals.opening_paise:
        yield _single("Brought forward", "From the last statement", totals.opening_paise)
    for title, column, paise in (
        (work, "work_paise", totals.work_paise),
        (tax, "tax_paise", totals.tax_paise),
        ("Cash", "cash_paise", totals.cash_paise),
        ("Paid", "paid_paise", totals.paid_paise),
    ):
        found = _by_kind(lines, column) if lines else ()
        if found or paise:
            yield StatementSection(title, found) if found else _single(title, title, paise)
    if totals.held_paise:
        yield _single("Held back", "Lines that are held", -totals.held_paise)
    if totals.unsettled_paise:
        yield _single("On their way", "Payouts that no bank has confirmed yet", -totals.unsettled_paise)
    # Only what is owed can be kept back: beyond it there is nothing to pay, and no debt.
    beyond_paise = totals.held_paise + totals.unsettled_paise - max(0, totals.closing_paise)
    if beyond_paise > 0:
        yield _single("Not taken off yet", "Held or on its way beyond what is owed", beyond_paise)


def _single(title: str, label: str, paise: int) -> StatementSection:
    return StatementSection(title, (StatementLine(label, 0, paise),))


def _by_kind(lines: tuple[SettledLine, ...], column: str) -> tuple[StatementLine, ...]:
    sums: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for line in lines:
        if paise := getattr(line, column):
            count, sum_paise = sums[line.kind]
            sums[line.kind] = (count + 1, sum_paise + paise)
    return tuple(
        StatementLine(_AT_THE_DOOR if (kind, column) == _DOOR else _label(kind), count, paise)
        for kind, (count, paise) in sums.items()
    )


def _label(kind: str) -> str:
    return _LABELS[LineKind(kind)] if kind in frozenset(LineKind) else kind.replace("_", " ").capitalize()


def _detail(line: SettledLine) -> StatementDetail:
    label = "Delivery" if line.kind == LineKind.DELIVERY else _label(line.kind)
    if line.adjusts_cycle_no:
        what = "Corrected hand-over" if line.kind == LineKind.CORRECTION else "Taken back"
        label = f"{what}, of cycle {line.adjusts_cycle_no}"
    return StatementDetail(
        occurred_at=line.occurred_at.astimezone(INDIA),
        label=label,
        reference=str(line.delivery_id or ""),
        work_paise=line.work_paise,
        tax_paise=line.tax_paise,
        cash_paise=line.cash_paise,
        paid_paise=line.paid_paise,
    )
