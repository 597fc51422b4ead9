"""A refusal of one row of a batch, as the single call would have refused it."""

from lastmile.assignment.v1 import partner_pb2

from libs.grpc_server.errors import ServiceError


def row_error(error: ServiceError) -> partner_pb2.RowError:
    """Return the error as a row's result."""
    return partner_pb2.RowError(
        code=error.code.name,
        reason=error.reason,
        message=error.message,
        field_violations=[
            partner_pb2.FieldViolation(field=v.field, description=v.description, rule=v.rule) for v in error.violations
        ],
        metadata=error.metadata,
    )
