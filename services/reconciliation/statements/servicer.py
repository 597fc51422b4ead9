"""StatementService: translates between the calls and the noun's rules and store."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lastmile.reconciliation.v1 import statement_pb2, statement_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from services.reconciliation.database import Database
from services.reconciliation.errors import SourceNotFoundError, StatementNotFoundError, StatementRefusedError
from services.reconciliation.statements import store
from services.reconciliation.statements.codec import mapping_from, mapping_to, refused_row_to, statement_to
from services.reconciliation.statements.intake import ReceivedFile, SourceUnknownError, take_in
from services.reconciliation.statements.limits import IntakeLimits
from services.reconciliation.statements.problems import FileRefusedError
from services.reconciliation.statements.store import SourceMapping


class StatementServicer(statement_pb2_grpc.StatementServiceServicer):
    """Answers StatementService."""

    def __init__(self, database: Database, limits: IntakeLimits) -> None:
        self._database = database
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.files_at_once_max)

    async def SaveMapping(  # noqa: N802 - named by the proto
        self, request: statement_pb2.SaveMappingRequest, context: Any
    ) -> statement_pb2.SaveMappingResponse:
        """Make the next version of a source's mapping."""
        call, now, mapping = current_call(), datetime.now(UTC), mapping_from(request.mapping)
        async with self._database.command(call) as connection:
            await store.lock(connection, request.source_code, "mapping")
            last = await store.last_mapping(connection, request.source_code)
            if last is not None and last.mapping == mapping:
                return statement_pb2.SaveMappingResponse(mapping=mapping_to(last))
            version = last.version + 1 if last else 1
            made = SourceMapping(request.source_code, version, mapping, now, call.principal.subject)
            await store.add_mapping(connection, made)
        return statement_pb2.SaveMappingResponse(mapping=mapping_to(made))

    async def ListMappings(  # noqa: N802 - named by the proto
        self, request: statement_pb2.ListMappingsRequest, context: Any
    ) -> statement_pb2.ListMappingsResponse:
        """List mappings by source and version."""
        call, size = current_call(), paging.page_size(request)
        source_code, _, version = (paging.decode(request) or "").partition(" ")
        after_version = _number(request, version)
        async with self._database.query(call) as connection:
            found = await store.mappings(connection, source_code, after_version, size + 1)
        last = found[size - 1] if len(found) > size else None
        token = paging.encode(request, f"{last.source_code} {last.version}") if last else ""
        return statement_pb2.ListMappingsResponse(mappings=map(mapping_to, found[:size]), next_page_token=token)

    async def UploadStatement(  # noqa: N802 - named by the proto
        self, requests: AsyncIterator[statement_pb2.UploadStatementRequest], context: Any
    ) -> statement_pb2.UploadStatementResponse:
        """Take a file in. Initial metadata say that the first message is well, and the file may come."""
        call, now = current_call(), datetime.now(UTC)
        first = await anext(aiter(requests), None)
        if first is None or not first.HasField("file"):
            raise InvalidArgumentError.of(FieldViolation("file", "must be the first message", "upload.order"))
        await context.send_initial_metadata((("upload", "goes on"),))
        async with self._turns:
            with ReceivedFile(self._limits) as received:
                try:
                    async for request in requests:
                        if not request.HasField("content"):
                            raise InvalidArgumentError.of(
                                FieldViolation("content", "must be every message after the first", "upload.order")
                            )
                        received.add(request.content)
                    async with self._database.command(call) as connection:
                        taken = await take_in(
                            connection, received, first.file.source_code, first.file.file_name,
                            call.principal.subject, now, self._limits,
                        )  # fmt: skip
                except FileRefusedError as error:
                    raise StatementRefusedError(str(error), reason=error.reason) from None
                except SourceUnknownError as error:
                    raise SourceNotFoundError(str(error)) from None
        return statement_pb2.UploadStatementResponse(statement=statement_to(taken.statement), was_there=taken.was_there)

    async def GetStatement(  # noqa: N802 - named by the proto
        self, request: statement_pb2.GetStatementRequest, context: Any
    ) -> statement_pb2.GetStatementResponse:
        """Return one statement."""
        async with self._database.query(current_call()) as connection:
            found = await store.get(connection, UUID(request.statement_id))
        if found is None:
            raise StatementNotFoundError(f"there is no statement {request.statement_id}")
        return statement_pb2.GetStatementResponse(statement=statement_to(found))

    async def ListStatements(  # noqa: N802 - named by the proto
        self, request: statement_pb2.ListStatementsRequest, context: Any
    ) -> statement_pb2.ListStatementsResponse:
        """List statements, the youngest first."""
        call, size = current_call(), paging.page_size(request)
        before_id = paging.decode_id(request)
        async with self._database.query(call) as connection:
            found = await store.search(connection, before_id, size + 1)
        token = paging.encode(request, str(found[size - 1].id)) if len(found) > size else ""
        return statement_pb2.ListStatementsResponse(statements=map(statement_to, found[:size]), next_page_token=token)

    async def ListRefusedRows(  # noqa: N802 - named by the proto
        self, request: statement_pb2.ListRefusedRowsRequest, context: Any
    ) -> statement_pb2.ListRefusedRowsResponse:
        """List a statement's refused rows."""
        call, size = current_call(), paging.page_size(request)
        after_line = _number(request, paging.decode(request) or "")
        async with self._database.query(call) as connection:
            found = await store.refused_rows(connection, UUID(request.statement_id), after_line, size + 1)
        token = paging.encode(request, str(found[size - 1].line)) if len(found) > size else ""
        return statement_pb2.ListRefusedRowsResponse(rows=map(refused_row_to, found[:size]), next_page_token=token)


def _number(request: Any, text: str) -> int:
    """Return the number in a page token; 0 on the first page."""
    if not text and not request.page_token:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidArgumentError.of(
            FieldViolation("page_token", "is not a token that this list issued", "page_token.foreign")
        )
    return int(text)
