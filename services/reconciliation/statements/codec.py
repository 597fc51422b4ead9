"""Statements and mappings between messages and the domain."""

from lastmile.reconciliation.v1 import statement_pb2
from pydantic import ValidationError

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from services.reconciliation.statements.mapping import Format, Mapping
from services.reconciliation.statements.problems import RefusedRow
from services.reconciliation.statements.store import SourceMapping, Statement
from services.reconciliation.timestamps import timestamp

_FORMATS = {
    Format.CSV: statement_pb2.STATEMENT_FORMAT_CSV,
    Format.JSON_LINES: statement_pb2.STATEMENT_FORMAT_JSON_LINES,
    Format.FIXED_WIDTH: statement_pb2.STATEMENT_FORMAT_FIXED_WIDTH,
    Format.CAMT053: statement_pb2.STATEMENT_FORMAT_CAMT053,
}
_FORMAT_OF = {number: name for name, number in _FORMATS.items()}


def mapping_from(sent: statement_pb2.StatementMapping) -> Mapping:
    """Return the mapping that is sent; InvalidArgumentError names all that does not fit together."""
    given = {
        "format": _FORMAT_OF[sent.format],
        "columns": dict(sent.columns),
        "encoding": sent.encoding or "utf-8",
        "delimiter": sent.delimiter or ",",
        "skip_lines": sent.skip_lines,
        "amount_unit": "paise" if sent.amounts_in_paise else "rupees",
        "time_format": sent.time_format,
        "reference_prefix": sent.reference_prefix,
        "payee": sent.payee,
        "leg": sent.leg or "payout",
        "legs": dict(sent.legs),
        "confirms_payouts": sent.confirms_payouts,
    }
    if sent.HasField("utc_offset_min"):
        given["utc_offset_min"] = sent.utc_offset_min
    try:
        return Mapping.model_validate(given)
    except ValidationError as error:
        violations = [
            FieldViolation(
                ".".join(["mapping", *map(str, problem["loc"])]),
                problem["msg"].removeprefix("Value error, "),
                "statement_mapping",
            )
            for problem in error.errors()
        ]
        raise InvalidArgumentError.of(*violations) from None


def mapping_to(made: SourceMapping) -> statement_pb2.SourceMapping:
    """Return a version as a message."""
    mapping = made.mapping
    sent = statement_pb2.StatementMapping(
        format=_FORMATS[mapping.format],
        columns=mapping.columns,
        encoding=mapping.encoding,
        delimiter=mapping.delimiter,
        skip_lines=mapping.skip_lines,
        amounts_in_paise=mapping.amount_unit == "paise",
        time_format=mapping.time_format,
        utc_offset_min=mapping.utc_offset_min,
        reference_prefix=mapping.reference_prefix,
        payee=mapping.payee,
        leg=mapping.leg,
        legs=dict(mapping.legs),
        confirms_payouts=mapping.confirms_payouts,
    )
    return statement_pb2.SourceMapping(
        source_code=made.source_code,
        version=made.version,
        mapping=sent,
        created_at=timestamp(made.created_at),
        created_by=made.created_by,
    )


def statement_to(made: Statement) -> statement_pb2.Statement:
    """Return a statement as a message."""
    return statement_pb2.Statement(
        id=str(made.id),
        source_code=made.source_code,
        mapping_version=made.mapping_version,
        file_name=made.file_name,
        content_sha256=made.content_sha256.hex(),
        size_bytes=made.size_bytes,
        rows_taken=made.rows_taken,
        rows_refused=made.rows_refused,
        taken_paise=made.taken_paise,
        refused_paise=made.refused_paise,
        received_at=timestamp(made.received_at),
        received_by=made.received_by,
    )


def refused_row_to(row: RefusedRow) -> statement_pb2.RefusedRow:
    """Return a refused row as a message."""
    return statement_pb2.RefusedRow(line=row.line, reason=row.reason, said=row.said, content=row.content)
