"""Reads the replication slot. Only one process can: whoever has it is the leader, and the others wait for it."""

import asyncio
from contextlib import suppress
from typing import Any

import psycopg2
import psycopg2.errors
from psycopg2.extras import LogicalReplicationConnection

from libs.postgres.event_slot import PUBLICATION
from services.relay.slot.pgoutput import Batch, TransactionParser

# asyncpg speaks no replication protocol.
OPTIONS = {"proto_version": "1", "publication_names": PUBLICATION, "messages": "true"}
# Well below the server's wal_sender_timeout of 60 s.
_STATUS_EVERY_S = 10


class SlotBusyError(Exception):
    """Another process reads the slot."""


class SlotReader:
    """An open slot. Use it from one task."""

    def __init__(self, connection: LogicalReplicationConnection, prefix: str) -> None:
        self._connection = connection
        # Its stubs leave half of its methods without types.
        self._cursor: Any = connection.cursor()
        self._parser = TransactionParser(prefix)

    @classmethod
    async def open(cls, dsn: str, slot_name: str, prefix: str, connect_timeout_s: int) -> "SlotReader":
        """Begin to read from where the slot was acknowledged last; SlotBusyError when another process does."""
        connection = await asyncio.to_thread(
            psycopg2.connect,
            dsn,
            connection_factory=LogicalReplicationConnection,
            connect_timeout=connect_timeout_s,
            application_name="relay",
            # A server whose host has vanished closes nothing.
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
        )
        reader = cls(connection, prefix)
        try:
            await asyncio.to_thread(reader._start, slot_name)
        except BaseException:
            reader.close()
            raise
        return reader

    def _start(self, slot_name: str) -> None:
        try:
            self._cursor.start_replication(
                slot_name=slot_name, options=OPTIONS, decode=False, status_interval=_STATUS_EVERY_S
            )
        except psycopg2.errors.ObjectInUse as error:
            raise SlotBusyError(str(error).strip()) from error

    def read(self, events_max: int) -> Batch:
        """Return what has arrived, without waiting: up to `events_max` events."""
        batch = Batch()
        while len(batch.entries) < events_max:
            message = self._cursor.read_message()
            if message is None:
                break
            self._parser.feed(message.payload, batch)
        return batch

    async def wait_readable(self, timeout_s: float) -> None:
        """Wait until something may have arrived, or for `timeout_s`."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        descriptor = self._cursor.fileno()
        loop.add_reader(descriptor, arrived.set)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(arrived.wait(), timeout_s)
        finally:
            loop.remove_reader(descriptor)

    def acknowledge(self, lsn: int) -> None:
        """Let PostgreSQL forget what is before `lsn`."""
        self._cursor.send_feedback(flush_lsn=lsn, force=True)

    def close(self) -> None:
        """Let the slot go."""
        with suppress(psycopg2.Error):
            self._connection.close()
