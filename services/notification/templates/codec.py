"""Templates between protobuf and plain values."""

from lastmile.notification.v1 import template_pb2

from services.notification.enums.codec import AUDIENCE_NUMBERS, AUDIENCES, CHANNEL_NUMBERS, CHANNELS
from services.notification.templates.builtin import Use
from services.notification.templates.store import TemplateVersion
from services.notification.timestamps import timestamp


def use_from(text: template_pb2.TemplateText) -> Use:
    """Return when a template is used."""
    return Use(text.status, AUDIENCES[text.audience], CHANNELS[text.channel], text.language)


def template_to(version: TemplateVersion) -> template_pb2.Template:
    """Return a version as its callers see it."""
    stored = version.template
    return template_pb2.Template(
        id=str(stored.id),
        merchant_id=str(stored.merchant_id or ""),
        text=template_pb2.TemplateText(
            status=stored.use.status,
            audience=AUDIENCE_NUMBERS[stored.use.audience],
            channel=CHANNEL_NUMBERS[stored.use.channel],
            language=stored.use.language,
            subject=stored.subject,
            body=stored.body,
        ),
        version=stored.version,
        created_at=timestamp(version.created_at),
        retired_at=timestamp(version.retired_at) if version.retired_at else None,
    )
