"""Statements for tests: what a source's file holds, and how it is read."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from services.reconciliation.statements.fields import Line
from services.reconciliation.statements.intake import parsed_batches
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.mapping import Format, Mapping
from services.reconciliation.statements.problems import RefusedRow

DELIVERY = "0190a000-0000-7000-8000-0000000000aa"
PARTNER = "0190a000-0000-7000-8000-0000000000bb"
COLUMNS = {"reference": "ref", "payee": "to", "amount": "amount", "paid_at": "when"}
AT = datetime(2026, 11, 25, 14, tzinfo=UTC)
HEADER = "ref,to,amount,when,note\n"
# What a row and an entry say, without their number.
TAKEN = ("payout", DELIVERY, DELIVERY, f"partner:{PARTNER}", 7_116, AT)


def mapping(**changes: Any) -> Mapping:
    """A CSV with a reference, a payee, an amount and a moment."""
    return Mapping.model_validate({"format": "csv", "columns": COLUMNS} | changes)


def row(amount: str = "71.16", **changes: str) -> str:
    """A row of that CSV."""
    told = {"ref": DELIVERY, "to": PARTNER, "when": "2026-11-25T14:00:00Z", "note": "n", "end": "\n"} | changes
    return f"{told['ref']},{told['to']},{amount},{told['when']},{told['note']}{told['end']}"


def read(
    content: bytes | str, how: Mapping | None = None, limits: IntakeLimits | None = None
) -> tuple[list[Line], list[RefusedRow]]:
    """Return the lines and the refused rows of a file."""
    data = content.encode() if isinstance(content, str) else content
    batches = list(parsed_batches(io.BytesIO(data), len(data), how or mapping(), limits or IntakeLimits(), AT))
    return [x for b in batches for x in b.lines], [x for b in batches for x in b.refused]


def reasons(rows: Sequence[RefusedRow]) -> list[str]:
    """Return why rows were refused."""
    return [row.reason for row in rows]


JSON = mapping(format="json_lines")
FIXED = mapping(
    format="fixed_width", amount_unit="paise", skip_lines=1, time_format="%d%m%Y%H%M%z", payee="swiftwheels",
    columns={"reference": "1-36", "amount": "37-48", "paid_at": "49-65", "leg": "66-66"},
    legs={"P": "payout", "C": "cash"},
)  # fmt: skip
CAMT = Mapping(format=Format.CAMT053, payee="swiftwheels")
CAMT_HEAD = (
    '<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>'
)
CAMT_TAIL = "</Stmt></BkToCstmrStmt></Document>"


def entry(amount: str = "71.16", sign: str = "DBIT", extra: str = "", reference: str = DELIVERY) -> str:
    """An entry of a bank's statement, of one transaction."""
    return (
        f'<Ntry><Amt Ccy="INR">{amount}</Amt><CdtDbtInd>{sign}</CdtDbtInd>{extra}<BookgDt><DtTm>2026-11-25T14:00:00Z'
        f'</DtTm></BookgDt><NtryDtls><TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs><Amt Ccy="INR">{amount}'
        f"</Amt><RltdPties><Cdtr><Pty><Id><PrvtId><Othr><Id>{PARTNER}</Id></Othr></PrvtId></Id></Pty></Cdtr></RltdPties>"
        "</TxDtls></NtryDtls></Ntry>"
    )
