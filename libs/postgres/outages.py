"""What asyncpg and the network raise when a server is gone, hangs, or goes away in the middle of a statement."""

import asyncpg

# The connection is lost, or was never made.
CONNECTION_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # asyncpg's word for a connection that has died between two of its steps.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
# The same, or the server answers with any error at all.
NOT_ANSWERED = (*CONNECTION_LOST, asyncpg.PostgresError)


def went_away(error: Exception) -> bool:
    """Whether the server went away in the middle: who only reads may ask again then, but not after a slow statement."""
    return isinstance(error, CONNECTION_LOST) and not isinstance(error, TimeoutError | asyncpg.QueryCanceledError)
