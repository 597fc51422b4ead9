"""TemplateService: the words of messages, tried before they are stored."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lastmile.notification.v1 import template_pb2, template_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.grpc_server.identity import Principal
from libs.ids import new_id
from services.notification.database import Database
from services.notification.errors import TemplateInvalidError, TemplateNotFoundError
from services.notification.planning.rules import SMS, wants
from services.notification.templates import store
from services.notification.templates.book import StoredTemplate
from services.notification.templates.codec import template_to, use_from
from services.notification.templates.language import DIGEST, TemplateTextError
from services.notification.templates.rendering import RenderLimits, Words, checked, sms_segments
from services.notification.templates.store import TemplateVersion

ID_MAX = UUID(int=(1 << 128) - 1)


class TemplateServicer(template_pb2_grpc.TemplateServiceServicer):
    """Answers TemplateService."""

    def __init__(self, database: Database, limits: RenderLimits) -> None:
        self._database = database
        self._limits = limits

    async def SaveTemplate(  # noqa: N802 - named by the proto
        self, request: template_pb2.SaveTemplateRequest, context: Any
    ) -> template_pb2.SaveTemplateResponse:
        """Store a new version."""
        call = current_call()
        merchant_id = _merchant_of(request.merchant_id, call.principal)
        self._tried(request.text)
        stored = StoredTemplate(
            new_id(), merchant_id, use_from(request.text), 0, request.text.subject, request.text.body
        )
        expected = request.expected_version if request.HasField("expected_version") else None
        async with self._database.command(call) as connection:
            version = await store.save(connection, TemplateVersion(stored, datetime.now(UTC), None), expected)
        return template_pb2.SaveTemplateResponse(template=template_to(version))

    async def GetTemplate(  # noqa: N802 - named by the proto
        self, request: template_pb2.GetTemplateRequest, context: Any
    ) -> template_pb2.GetTemplateResponse:
        """Return one version."""
        async with self._database.query(current_call()) as connection:
            version = await store.get(connection, UUID(request.template_id))
        return template_pb2.GetTemplateResponse(template=template_to(_found(version, request.template_id)))

    async def ListTemplates(  # noqa: N802 - named by the proto
        self, request: template_pb2.ListTemplatesRequest, context: Any
    ) -> template_pb2.ListTemplatesResponse:
        """List stored templates."""
        call = current_call()
        merchant_id = _merchant_of(request.merchant_id, call.principal)
        size, before_id = paging.page_size(request), paging.decode_id(request) or ID_MAX
        async with self._database.query(call) as connection:
            found = await store.search(connection, merchant_id, before_id, size + 1)
        page = [template_to(version) for version in found[:size]]
        token = paging.encode(request, page[-1].id) if len(found) > size else ""
        return template_pb2.ListTemplatesResponse(templates=page, next_page_token=token)

    async def RetireTemplate(  # noqa: N802 - named by the proto
        self, request: template_pb2.RetireTemplateRequest, context: Any
    ) -> template_pb2.RetireTemplateResponse:
        """Use a version no more."""
        async with self._database.command(current_call()) as connection:
            version = await store.retire(connection, UUID(request.template_id), datetime.now(UTC))
        return template_pb2.RetireTemplateResponse(template=template_to(_found(version, request.template_id)))

    async def PreviewTemplate(  # noqa: N802 - named by the proto
        self, request: template_pb2.PreviewTemplateRequest, context: Any
    ) -> template_pb2.PreviewTemplateResponse:
        """Render a text with made-up values."""
        words = self._tried(request.text)
        segments = sms_segments(words.body) if use_from(request.text).channel == SMS else 0
        return template_pb2.PreviewTemplateResponse(subject=words.subject, body=words.body, sms_segments=segments)

    def _tried(self, text: template_pb2.TemplateText) -> Words:
        """Return what a text says. Raises TemplateInvalidError."""
        use = use_from(text)
        if use.status != DIGEST and not wants(use.status, use.audience):
            said = f"is told to no {use.audience}"
            raise InvalidArgumentError.of(FieldViolation("text.status", said, "template.status"))
        try:
            return checked(use.status, use.channel, text.subject, text.body, self._limits)
        except TemplateTextError as error:
            # The text begins with the part that is wrong: "body, line 3: ..." or "subject: ...".
            part = re.split(r"[:,]", str(error), maxsplit=1)[0]
            said = str(error).removeprefix(part).lstrip(":, ")
            violation = FieldViolation(f"text.{part}", said, "template.text")
            raise TemplateInvalidError(str(error), violations=[violation]) from None


def _merchant_of(given: str, principal: Principal) -> UUID | None:
    own = principal.merchant_id
    if own is not None and given.lower() not in ("", own.lower()):
        raise InvalidArgumentError.of(FieldViolation("merchant_id", "is not you; leave it empty", "merchant.own"))
    merchant_id = own or given
    return UUID(merchant_id) if merchant_id else None


def _found(version: TemplateVersion | None, template_id: str) -> TemplateVersion:
    if version is None:
        raise TemplateNotFoundError(f"no template that you may see has the id {template_id}")
    return version
