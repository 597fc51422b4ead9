"""A batch of payouts, and the bytes of its file. Pure: the same batch gives the same bytes.

The fixed-width form is in the manner of NACH credits: lines of 120 characters, a header 12, a line 23 for each payout,
a trailer 99; counts and sums are in the header and in the trailer. The CSV has the same in columns. Who is paid is said
by a reference, which the bank or payment partner maps to an account: no account numbers are known here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum

from services.reconciliation.settlements.lifecycle import PayoutState

LINE_CHARS = 120
# Banks' days are those of India.
_INDIA = timezone(timedelta(hours=5, minutes=30))
_END = "\r\n"


class FileFormat(StrEnum):
    """What a file looks like."""

    NACH = "nach"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Batch:
    """What is paid out for one cycle."""

    batch_no: int
    cycle_no: int
    payouts_count: int
    paise: int
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Payout:
    """What one party is paid. Sequences count from 1 in the order of parties."""

    sequence: int
    reference: str
    party: str
    paise: int
    state: PayoutState


@dataclass(frozen=True, slots=True)
class Writer:
    """The parts of a file of one format."""

    head: Callable[[Batch], str]
    record: Callable[[Payout], str]
    tail: Callable[[Batch], str]


def writer(form: FileFormat) -> Writer:
    """Return how a format is written; what it writes is ASCII."""
    return _WRITERS[form]


def file_name(batch: Batch, form: FileFormat) -> str:
    """Return what a file is called."""
    return f"payouts-{batch.batch_no:06}-{_day(batch)}.{'csv' if form is FileFormat.CSV else 'txt'}"


def _nach_head(batch: Batch) -> str:
    sums = f"{batch.payouts_count:09}{batch.paise:018}"
    return _fixed(f"12LASTMILE  {batch.batch_no:06}{batch.cycle_no:06}{_day(batch)}{sums}INR")


def _nach_record(payout: Payout) -> str:
    return _fixed(f"23{payout.sequence:08}{payout.reference:<16}{payout.paise:015}{payout.party:<79}")


def _nach_tail(batch: Batch) -> str:
    return _fixed(f"99LASTMILE  {batch.batch_no:06}{batch.payouts_count:09}{batch.paise:018}")


def _fixed(text: str) -> str:
    if len(text) > LINE_CHARS:
        raise ValueError(f"a line of {len(text)} characters does not fit into {LINE_CHARS}")
    return text.ljust(LINE_CHARS) + _END


def _csv_head(batch: Batch) -> str:
    names = "record,number,reference,beneficiary,amount,currency,date"
    first = f"HEADER,{batch.batch_no},{batch.payouts_count},,{_rupees(batch.paise)},INR,{_day(batch)}"
    return f"{names}{_END}{first}{_END}"


def _csv_record(payout: Payout) -> str:
    return f"PAYOUT,{payout.sequence},{payout.reference},{payout.party},{_rupees(payout.paise)},INR,{_END}"


def _csv_tail(batch: Batch) -> str:
    return f"TRAILER,{batch.batch_no},{batch.payouts_count},,{_rupees(batch.paise)},INR,{_day(batch)}{_END}"


def _day(batch: Batch) -> str:
    return batch.created_at.astimezone(_INDIA).strftime("%Y%m%d")


def _rupees(paise: int) -> str:
    return f"{paise // 100}.{paise % 100:02}"


_WRITERS = {
    FileFormat.NACH: Writer(_nach_head, _nach_record, _nach_tail),
    FileFormat.CSV: Writer(_csv_head, _csv_record, _csv_tail),
}
