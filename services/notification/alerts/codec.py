"""Alerts between protobuf, events and plain values."""

from datetime import datetime

from lastmile.events.v1 import event_pb2
from lastmile.notification.v1 import alert_pb2

from libs.streams.codec import encode
from services.notification.alerts.alert import Alert, Symptom
from services.notification.timestamps import timestamp

SOURCE = "/notification"
# The payload's field in Event -> the event's type.
TYPES = {"alert_changed": "lastmile.alert.changed.v1"}
_SYMPTOMS = {symptom: alert_pb2.Symptom.Value(f"SYMPTOM_{symptom.name}") for symptom in Symptom}


def alert_to(alert: Alert) -> alert_pb2.Alert:
    """Return the alert as its callers see it."""
    impact = alert.impact
    proto = alert_pb2.Alert(
        id=str(alert.id),
        kind=alert_pb2.AlertKind.Value(f"ALERT_KIND_{alert.key.kind.name}"),
        subject=alert.key.subject,
        state=alert_pb2.AlertState.Value(f"ALERT_STATE_{alert.state.name}"),
        symptoms=sorted(_SYMPTOMS[symptom] for symptom in alert.symptoms),
        what=alert.what,
        action=alert.action,
        impact=alert_pb2.AlertImpact(
            partners=impact.partners,
            offers_withdrawn=impact.offers_withdrawn,
            deliveries_rematched=impact.deliveries_rematched,
            messages_waiting=impact.messages_waiting,
            messages_unknown=impact.messages_unknown,
            merchants=impact.merchants,
        ),
        since=timestamp(alert.since),
        opened_at=timestamp(alert.opened_at),
        acknowledged_by=alert.acknowledged_by,
        relapses=alert.relapses,
        version=alert.version,
    )
    if alert.acknowledged_at is not None:
        proto.acknowledged_at.CopyFrom(timestamp(alert.acknowledged_at))
    if alert.recovered_at is not None:
        proto.recovered_at.CopyFrom(timestamp(alert.recovered_at))
    return proto


def changed_event(alert: Alert, at: datetime) -> str:
    """Return the event of an alert's change. It belongs to no city and no merchant: ops alone see it."""
    event = event_pb2.Event(alert_changed=event_pb2.AlertChanged(alert=alert_to(alert)))
    return encode(
        event, TYPES["alert_changed"], SOURCE, subject=f"alerts/{alert.id}", city_code="", sequence=alert.version, at=at
    )
