"""RecipientService: who is told, where, and what they want to hear; and which addresses get nothing."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from lastmile.notification.v1 import recipient_pb2, recipient_pb2_grpc

from libs.grpc_server import paging
from libs.grpc_server.call import current_call
from libs.grpc_server.errors import FieldViolation, InvalidArgumentError
from libs.grpc_server.identity import Principal
from libs.privacy.addresses import AddressError
from libs.privacy.vault import Vault
from services.notification.database import Database
from services.notification.enums.codec import AUDIENCES, CHANNELS
from services.notification.errors import RecipientNotFoundError, SuppressionNotFoundError
from services.notification.planning.limits import PlanLimits
from services.notification.planning.planner import OPS_OWNER
from services.notification.planning.rules import EMAIL, MERCHANT, OPS, SMS
from services.notification.recipients import places, store, suppressing
from services.notification.recipients.addresses import kept, spelled
from services.notification.recipients.codec import preferences_from, recipient_to, suppression_to
from services.notification.recipients.recipient import owned_by

ID_MAX = UUID(int=(1 << 128) - 1)


class RecipientServicer(recipient_pb2_grpc.RecipientServiceServicer):
    """Answers RecipientService."""

    def __init__(self, database: Database, vault: Vault, limits: PlanLimits) -> None:
        self._database = database
        self._vault = vault
        self._limits = limits

    async def SetContact(  # noqa: N802 - named by the proto
        self, request: recipient_pb2.SetContactRequest, context: Any
    ) -> recipient_pb2.SetContactResponse:
        """Say how a merchant, a partner or ops is reached."""
        call, violations = current_call(), list[FieldViolation]()
        audience = AUDIENCES[request.audience]
        owner_id = _owner_of(request, audience, call.principal, violations)
        addresses: dict[str, tuple[bytes, bytes] | None] = {}
        for channel, name in ((SMS, "phone"), (EMAIL, "email")):
            given = str(getattr(request, name))
            try:
                addresses[channel] = kept(self._vault, channel, spelled(channel, given)) if given else None
            except AddressError as error:
                violations.append(FieldViolation(name, str(error), f"contact.{name}"))
        if violations:
            raise InvalidArgumentError.of(*violations)
        async with self._database.command(call) as connection:
            merchant_id = owner_id if audience == MERCHANT else None
            made = owned_by(audience, owner_id, merchant_id, self._vault.seal(request.name, places.NAME), self._limits)
            recipient = await store.set_owner(connection, made, addresses)
            known = await store.addresses_of(connection, recipient.id)
        return recipient_pb2.SetContactResponse(recipient=recipient_to(recipient, known, self._vault))

    async def GetRecipient(  # noqa: N802 - named by the proto
        self, request: recipient_pb2.GetRecipientRequest, context: Any
    ) -> recipient_pb2.GetRecipientResponse:
        """Return a recipient; the database hides other merchants' from a merchant."""
        recipient_id = UUID(request.recipient_id)
        async with self._database.query(current_call()) as connection:
            recipient = await store.get(connection, recipient_id)
            known = await store.addresses_of(connection, recipient_id)
        if recipient is None:
            raise _not_found(request.recipient_id)
        return recipient_pb2.GetRecipientResponse(recipient=recipient_to(recipient, known, self._vault))

    async def SetPreferences(  # noqa: N802 - named by the proto
        self, request: recipient_pb2.SetPreferencesRequest, context: Any
    ) -> recipient_pb2.SetPreferencesResponse:
        """Replace a recipient's preferences."""
        call, violations = current_call(), list[FieldViolation]()
        wanted = preferences_from(request.preferences, violations)
        if violations:
            raise InvalidArgumentError.of(*violations)
        expected = request.expected_version if request.HasField("expected_version") else None
        recipient_id = UUID(request.recipient_id)
        async with self._database.command(call) as connection:
            recipient = await store.set_preferences(connection, recipient_id, wanted, expected, datetime.now(UTC))
            known = await store.addresses_of(connection, recipient_id)
        if recipient is None:
            raise _not_found(request.recipient_id)
        return recipient_pb2.SetPreferencesResponse(recipient=recipient_to(recipient, known, self._vault))

    async def ListSuppressions(  # noqa: N802 - named by the proto
        self, request: recipient_pb2.ListSuppressionsRequest, context: Any
    ) -> recipient_pb2.ListSuppressionsResponse:
        """List the addresses that nothing is sent to."""
        size, before_id = paging.page_size(request), paging.decode_id(request) or ID_MAX
        async with self._database.query(current_call()) as connection:
            found = await store.suppressions(connection, before_id, size + 1)
        page = [suppression_to(one, self._vault) for one in found[:size]]
        token = paging.encode(request, page[-1].id) if len(found) > size else ""
        return recipient_pb2.ListSuppressionsResponse(suppressions=page, next_page_token=token)

    async def SuppressAddress(  # noqa: N802 - named by the proto
        self, request: recipient_pb2.SuppressAddressRequest, context: Any
    ) -> recipient_pb2.SuppressAddressResponse:
        """Send nothing more to an address; one that is suppressed already is so by hand too, and answered as it is."""
        channel = CHANNELS[request.channel]
        try:
            address = spelled(channel, request.address)
        except AddressError as error:
            raise InvalidArgumentError.of(FieldViolation("address", str(error), "suppression.address")) from None
        async with self._database.command(current_call()) as connection:
            await suppressing.suppress(connection, self._vault, channel, address, "BY_HAND")
            found = await store.find_suppression(connection, channel, kept(self._vault, channel, address)[1])
        if found is None:
            raise SuppressionNotFoundError("somebody lifted it at the same moment")
        return recipient_pb2.SuppressAddressResponse(suppression=suppression_to(found, self._vault))

    async def LiftSuppression(  # noqa: N802 - named by the proto
        self, request: recipient_pb2.LiftSuppressionRequest, context: Any
    ) -> recipient_pb2.LiftSuppressionResponse:
        """Let an address get messages again, unless it is suppressed for another reason too."""
        async with self._database.command(current_call()) as connection:
            if not await store.lift(connection, UUID(request.suppression_id)):
                raise SuppressionNotFoundError(f"no suppression has the id {request.suppression_id}")
        return recipient_pb2.LiftSuppressionResponse()


def _owner_of(
    request: recipient_pb2.SetContactRequest, audience: str, principal: Principal, violations: list[FieldViolation]
) -> UUID:
    own = principal.merchant_id
    if own is not None:
        if audience != MERCHANT:
            violations.append(FieldViolation("audience", "of a merchant is AUDIENCE_MERCHANT", "contact.audience"))
        if request.owner_id.lower() not in ("", own.lower()):
            violations.append(FieldViolation("owner_id", "is not you; leave it empty", "contact.own"))
        return UUID(own)
    if (audience == OPS) != (not request.owner_id):
        said = "is the merchant's or partner's id, and empty for ops"
        violations.append(FieldViolation("owner_id", said, "contact.owner"))
    return UUID(request.owner_id) if request.owner_id else OPS_OWNER


def _not_found(recipient_id: str) -> RecipientNotFoundError:
    return RecipientNotFoundError(f"no recipient that you may see has the id {recipient_id}")
