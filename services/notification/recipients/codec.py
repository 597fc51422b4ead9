"""Recipients between protobuf and plain values."""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from lastmile.notification.v1 import recipient_pb2

from libs.grpc_server.errors import FieldViolation
from libs.privacy.addresses import masked
from libs.privacy.vault import Vault
from services.notification.enums.codec import AUDIENCE_NUMBERS, CHANNEL_NUMBERS, CHANNELS
from services.notification.planning.rules import CUSTOMER, OPS, STATUSES
from services.notification.recipients import places
from services.notification.recipients.recipient import KeptAddress, Preferences, Recipient, Suppression
from services.notification.timestamps import timestamp


def recipient_to(recipient: Recipient, addresses: Iterable[KeptAddress], vault: Vault) -> recipient_pb2.Recipient:
    """Return a recipient as its callers see it."""
    preferences = recipient.preferences
    owned = recipient.owner_id is not None and recipient.audience not in (CUSTOMER, OPS)
    return recipient_pb2.Recipient(
        id=str(recipient.id),
        audience=AUDIENCE_NUMBERS[recipient.audience],
        merchant_id=str(recipient.merchant_id or ""),
        owner_id=str(recipient.owner_id) if owned else "",
        name=vault.open(recipient.name_sealed, places.NAME),
        addresses=[
            recipient_pb2.MaskedAddress(
                channel=CHANNEL_NUMBERS[one.channel],
                masked=masked(vault.open(one.address_sealed, places.ADDRESS)),
                suppressed_reason=one.suppressed_reason,
            )
            for one in addresses
        ],
        preferences=recipient_pb2.Preferences(
            language=preferences.language,
            time_zone=preferences.time_zone,
            quiet_from_min=preferences.quiet_from_min,
            quiet_until_min=preferences.quiet_until_min,
            opted_out=[CHANNEL_NUMBERS[channel] for channel in preferences.opted_out],
            muted_statuses=preferences.muted_statuses,
        ),
        version=recipient.version,
        updated_at=timestamp(recipient.updated_at),
    )


def preferences_from(proto: recipient_pb2.Preferences, violations: list[FieldViolation]) -> Preferences:
    """Return preferences, after adding to `violations` what of them there is not."""
    try:
        ZoneInfo(proto.time_zone)
    except (KeyError, ValueError, OSError):
        said = "is no time zone of the IANA database, such as Asia/Kolkata"
        violations.append(FieldViolation("preferences.time_zone", said, "time_zone.known"))
    if unknown := sorted(set(proto.muted_statuses) - STATUSES):
        said = f"knows no {', '.join(unknown)}; there are {', '.join(sorted(STATUSES))}"
        violations.append(FieldViolation("preferences.muted_statuses", said, "status.known"))
    return Preferences(
        proto.language,
        proto.time_zone,
        proto.quiet_from_min,
        proto.quiet_until_min,
        tuple(CHANNELS[number] for number in proto.opted_out),
        tuple(proto.muted_statuses),
    )


def suppression_to(suppression: Suppression, vault: Vault) -> recipient_pb2.Suppression:
    """Return a suppression as its callers see it."""
    return recipient_pb2.Suppression(
        id=str(suppression.id),
        channel=CHANNEL_NUMBERS[suppression.channel],
        masked_address=masked(vault.open(suppression.address_sealed, places.ADDRESS)),
        reason=suppression.reason,
        created_at=timestamp(suppression.created_at),
    )
