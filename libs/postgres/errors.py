"""What PostgreSQL's exceptions mean to a caller: retry, or fix the request."""

import asyncpg

from libs.grpc_server.errors import FieldViolation, InvalidArgumentError, ServiceError, UnavailableError
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


class QueriesTooManyError(UnavailableError):
    """More queries wait for the standby than may, or this one has for too long; commands go on."""

    reason = "QUERIES_TOO_MANY"

    def __init__(self) -> None:
        super().__init__("too many queries wait for the database; try again")


class PrimaryBudgetSpentError(UnavailableError):
    """No standby can answer, and what the primary does for queries is spent; commands go on."""

    reason = "READ_BUDGET_SPENT"

    def __init__(self) -> None:
        super().__init__("no standby can answer this now, and the primary answers few queries; try again")


class ConsistencyTokenUnknownError(InvalidArgumentError):
    """The token is of a position that the log has not come to: made up, or from before the database was restored."""

    reason = "CONSISTENCY_TOKEN_UNKNOWN"

    def __init__(self) -> None:
        violation = FieldViolation(
            "consistency-token", "is none that an answer carried; go on without it", "token.known"
        )
        super().__init__(f"{violation.field}: {violation.description}", violations=[violation])


def translate(error: Exception) -> ServiceError | None:
    """Return the error for the caller, or None for a bug of ours."""
    if isinstance(error, UNREACHABLE):
        return DatabaseUnavailableError("the database did not answer; try again")
    if isinstance(error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError):
        return InvalidArgumentError("text may not contain the character NUL", reason="INVALID_TEXT")
    return None
