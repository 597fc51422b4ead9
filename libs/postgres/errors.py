"""What PostgreSQL's exceptions mean to a caller: retry, or fix the request."""

import asyncpg

from libs.grpc_server.errors import InvalidArgumentError, ServiceError, UnavailableError
from libs.postgres.outages import CONNECTION_LOST

UNREACHABLE = (
    *CONNECTION_LOST,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
)


class DatabaseUnavailableError(UnavailableError):
    """The database cannot be reached or has given the statement up; the same request may succeed later."""

    reason = "DATABASE_UNAVAILABLE"


def translate(error: Exception) -> ServiceError | None:
    """Return the error for the caller, or None for a bug of ours."""
    if isinstance(error, UNREACHABLE):
        return DatabaseUnavailableError("the database did not answer; try again")
    if isinstance(error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
        return InvalidArgumentError("text may not contain the character NUL", reason="INVALID_TEXT")
    return None
