"""A bank's account statement: each transaction of each entry is a row, and what is no payment is none."""

import pytest

from services.reconciliation.statements.problems import FileRefusedError
from tests.recon_files import CAMT, CAMT_HEAD, CAMT_TAIL, TAKEN, entry, read


def test_a_bank_s_statement_is_read_by_its_transactions() -> None:
    plain = '<Ntry><Amt Ccy="INR">5</Amt><CdtDbtInd>CRDT</CdtDbtInd><BookgDt><Dt>2026-11-25</Dt></BookgDt></Ntry>'
    taken_back = entry(extra="<RvslInd>true</RvslInd>")
    dollars = entry().replace("INR", "USD")
    lines, refused = read(CAMT_HEAD + entry() + plain + taken_back + dollars + CAMT_TAIL, CAMT)
    assert lines[0][1:] == TAKEN
    assert lines[1][1:6] == ("cash", "", None, "network:swiftwheels", 500)
    assert {row.line: row.reason for row in refused} == {3: "REVERSAL_NOT_READ", 4: "CURRENCY_MISMATCH"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('<!DOCTYPE a [<!ENTITY b "b">]>' + CAMT_HEAD + CAMT_TAIL, "XML_DOCTYPE"),
        ("<html/>", "XML_NOT_CAMT053"),
        (CAMT_HEAD + entry(), "FILE_TRUNCATED"),
        (CAMT_HEAD + "&lol;" + CAMT_TAIL, "XML_MALFORMED"),
        (CAMT_HEAD + "<a>" * 100, "XML_TOO_DEEP"),
        (CAMT_HEAD + "<a>" + "x" * 200_000, "LINE_TOO_LONG"),
        (CAMT_HEAD + '<a b="' + "x>" * 200_000, "LINE_TOO_LONG"),
    ],
)
def test_a_document_is_refused_by_its_reason(content: str, reason: str) -> None:
    with pytest.raises(FileRefusedError) as error:
        read(content, CAMT)
    assert error.value.reason == reason
