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


@pytest.mark.parametrize("extra", ["<RvslInd>0</RvslInd>", "<Sts>BOOK</Sts>", "<Sts>\n<Cd>BOOK</Cd>\n</Sts>"])
def test_what_is_booked_is_taken(extra: str) -> None:
    lines, refused = read(CAMT_HEAD + entry(extra=extra) + CAMT_TAIL, CAMT)
    assert ([line[1:] for line in lines], refused) == ([TAKEN], [])


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("<RvslInd>1</RvslInd>", "REVERSAL_NOT_READ"),
        ("<RvslInd> true </RvslInd>", "REVERSAL_NOT_READ"),
        ("<RvslInd>yes</RvslInd>", "REVERSAL_NOT_READ"),
        ("<Sts>PDNG</Sts>", "ENTRY_NOT_BOOKED"),
        ("<Sts>INFO</Sts>", "ENTRY_NOT_BOOKED"),
        ("<Sts><Cd>PDNG</Cd></Sts>", "ENTRY_NOT_BOOKED"),
        ("<Sts><Prtry>held</Prtry></Sts>", "ENTRY_NOT_BOOKED"),
    ],
)
@pytest.mark.parametrize("sign", ["DBIT", "CRDT"])
def test_what_is_taken_back_or_not_booked_is_no_payment(extra: str, reason: str, sign: str) -> None:
    lines, refused = read(CAMT_HEAD + entry(sign=sign, extra=extra) + CAMT_TAIL, CAMT)
    assert lines == []
    assert [(row.reason, row.paise) for row in refused] == [(reason, 71_16)]


AMOUNT, OTHER = '<Amt Ccy="INR">71.16</Amt>', '<Amt Ccy="INR">5</Amt>'


@pytest.mark.parametrize(
    ("batch", "amounts", "paise"),
    [
        # As camt.053.001.02 has it: the amount of one transaction is its entry's.
        ("", [""], [71_16]),
        ("<Btch><NbOfTxs>1</NbOfTxs></Btch>", [""], [71_16]),
        ("", [OTHER], [5_00]),
        ("", [f"<AmtDtls><TxAmt>{OTHER}</TxAmt></AmtDtls>"], [5_00]),
        # What one of several is worth, nobody says.
        ("<Btch><NbOfTxs>2</NbOfTxs></Btch>", [""], [None]),
        ("", ["", ""], [None, None]),
        ("", ["", OTHER], [None, 5_00]),
        ("", [OTHER, ""], [5_00, None]),
    ],
)
def test_a_transaction_without_an_amount_has_its_entry_s_when_it_is_alone(
    batch: str, amounts: list[str], paise: list[int | None]
) -> None:
    details = "".join(f"<TxDtls>{amount}</TxDtls>" for amount in amounts)
    one = entry()
    start, end = one.index("<TxDtls>"), one.index("</NtryDtls>")
    lines, refused = read(CAMT_HEAD + (one[:start] + batch + details + one[end:]) * 2 + CAMT_TAIL, CAMT)
    found = {line[0]: line[5] for line in lines} | dict.fromkeys((row.line for row in refused), None)
    assert [found[number] for number in sorted(found)] == paise * 2
    assert {row.reason for row in refused} <= {"AMOUNT_NOT_A_NUMBER"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('<!DOCTYPE a [<!ENTITY b "b">]>' + CAMT_HEAD + CAMT_TAIL, "XML_DOCTYPE"),
        ("<html/>", "XML_NOT_CAMT053"),
        (CAMT_HEAD.replace("?>", ' encoding="klingon"?>') + CAMT_TAIL, "ENCODING_UNEXPECTED"),
        (CAMT_HEAD.replace("?>", ' encoding="gb2312"?>') + CAMT_TAIL, "ENCODING_UNEXPECTED"),
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
