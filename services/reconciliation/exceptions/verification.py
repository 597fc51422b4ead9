"""Verifies the audit trail, a page at a time: what is held of it at once is bounded."""

import asyncpg

from services.reconciliation.exceptions.audit import Broken, Head, Verifier
from services.reconciliation.exceptions.auditing import store


async def verify(connection: asyncpg.Connection, known: Head | None, page_rows: int) -> tuple[Head, Broken | None]:
    """Return the last row up to which all is right, and the first that is wrong.

    Cases say how far the trail must go; they are read first, since both only grow.
    """
    verifier = Verifier(known)
    told_until = await store.told_until(connection)
    while rows := await store.page(connection, verifier.head.sequence, page_rows):
        if broken := verifier.follow(rows):
            return verifier.head, broken
    return verifier.head, verifier.end(told_until)
