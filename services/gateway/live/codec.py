"""An event of the streams as a live event: CloudEvents JSON whose data is the payload's public JSON, for one reader.

https://html.spec.whatwg.org/multipage/server-sent-events.html is the form of the frames,
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md that of their data.
"""

import json
from datetime import UTC
from typing import Any

from lastmile.events.v1 import event_pb2

from libs.streams.codec import UndecodableEventError, decode
from services.gateway.live.audience import Audience, Concern
from services.gateway.live.position import Position
from services.gateway.live.tail import Entry
from services.gateway.rest.codec import JsonCodec

_DELIVERIES, _PARTNERS = "deliveries/", "partners/"


class LiveEvent:
    """One event: decoded when somebody follows, rendered once for all who see the same of it."""

    def __init__(self, entry: Entry, codec: JsonCodec) -> None:
        self.position = entry.position
        self._entry: Entry | None = entry
        self._codec = codec
        self._message: event_pb2.Event | None = None
        self._concern: Concern | None = None
        self._frames: dict[str, bytes] = {}

    @property
    def concern(self) -> Concern | None:
        """Whom it concerns; None for bytes that are no event."""
        self._decode()
        return self._concern

    def frame(self, audience: Audience) -> bytes:
        """Return the event as `audience` may see it. Only for those whom it concerns."""
        known = self._frames.get(audience.view)
        if known is None:
            message = self._decode()
            if message is None:
                raise ValueError("there is no event to show")
            known = frame_of(self.position, message.type, self._rendered(_shown(message, audience)))
            # A partner is one among tens of thousands: its view is nobody else's.
            if not audience.partner_id:
                self._frames[audience.view] = known
        return known

    def _decode(self) -> event_pb2.Event | None:
        if self._entry is not None:
            entry, self._entry = self._entry, None
            try:
                self._message = decode(entry.stream, entry.position.entry_id, entry.content).message
            except UndecodableEventError:
                # Every consumer keeps it as a dead letter, and says so.
                return None
            # The customer is nobody's business here, sealed or not.
            if self._message.HasField("delivery_created"):
                self._message.delivery_created.ClearField("sealed_customer")
            self._concern = _concern_of(self._message)
        return self._message

    def _rendered(self, message: event_pb2.Event) -> bytes:
        attributes: dict[str, Any] = {
            "specversion": "1.0",
            "id": message.id,
            "type": message.type,
            "source": message.source,
            "subject": message.subject,
            "time": message.time.ToDatetime(tzinfo=UTC).isoformat(),
            "datacontenttype": "application/json",
            "merchantid": message.merchant_id,
            "citycode": message.city_code,
            "sequence": str(message.sequence),
            "traceparent": message.traceparent,
        }
        head = json.dumps({name: value for name, value in attributes.items() if value}, separators=(",", ":"))
        kind = message.WhichOneof("data")
        data = self._codec.render(getattr(message, kind)) if kind else b"{}"
        return head[:-1].encode() + b',"data":' + data + b"}"


def frame_of(position: Position | None, event_type: str, data: bytes) -> bytes:
    """Return one event of the stream; `data` is one line."""
    told = b"" if position is None else f"id: {position}\n".encode()
    return told + f"event: {event_type}\ndata: ".encode() + data + b"\n\n"


def _concern_of(message: event_pb2.Event) -> Concern:
    partners = set()
    if message.HasField("delivery_state_changed"):
        moved = message.delivery_state_changed
        partners = {moved.change.partner_id, moved.offer.partner_id}
    elif message.HasField("partner_changed"):
        partners = {message.subject.removeprefix(_PARTNERS)}
    delivery_id = message.subject.removeprefix(_DELIVERIES) if message.subject.startswith(_DELIVERIES) else ""
    return Concern(message.merchant_id, message.city_code, delivery_id, frozenset(filter(None, partners)))


def _shown(message: event_pb2.Event, audience: Audience) -> event_pb2.Event:
    """Return what of the event its reader may see: as over the RPCs, offers are for no merchant."""
    if audience.sees_everything:
        return message
    shown = event_pb2.Event()
    shown.CopyFrom(message)
    shown.ClearField("traceparent")
    if audience.partner_id:
        shown.ClearField("merchant_id")
    if shown.HasField("delivery_state_changed"):
        moved = shown.delivery_state_changed
        if moved.offer.partner_id != audience.partner_id:
            for of_the_offer in ("offer", "pickup_rank", "drop_rank"):
                moved.ClearField(of_the_offer)
        if audience.partner_id and moved.change.partner_id != audience.partner_id:
            for of_another in ("partner_id", "location", "reason", "note"):
                moved.change.ClearField(of_another)
    return shown
