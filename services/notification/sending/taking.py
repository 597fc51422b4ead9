"""Deciding about messages that are due: whether each is sent, over whom, and in which words."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from libs.ids import new_id
from services.notification.messages.lifecycle import MessageState
from services.notification.providers.outgoing import Outgoing
from services.notification.sending.carriers import Carrier, Places
from services.notification.sending.store import Begun
from services.notification.sending.waiting import Unsent, Waiting, Writer, unsent
from services.notification.templates.language import TemplateTextError

log = logging.getLogger("notification")


@dataclass(frozen=True, slots=True)
class Ready:
    """Messages that are sent together, with everything decided."""

    together: tuple[Waiting, ...]
    carrier: Carrier
    outgoing: Outgoing
    content_sealed: bytes

    @property
    def begun(self) -> Begun:
        ids = tuple(waiting.id for waiting in self.together)
        return Begun(self.outgoing.attempt_id, ids, self.carrier.name, self.content_sealed)


@dataclass(slots=True)
class Taking:
    """What is decided about the messages that are due."""

    places: Places
    writer: Writer
    now: datetime
    ready: list[Ready] = field(default_factory=list)
    ended: list[tuple[UUID, Unsent]] = field(default_factory=list)
    # Nobody who could be asked has not refused them.
    postponed: list[UUID] = field(default_factory=list)
    digested: list[UUID] = field(default_factory=list)

    def prepare(self, together: Sequence[Waiting]) -> bool:
        """Decide about messages to one recipient; whether they are sent."""
        checked = [(waiting, unsent(waiting, self.now)) for waiting in together]
        self.ended += [(waiting.id, why) for waiting, why in checked if why is not None]
        good = tuple(waiting for waiting, why in checked if why is None)
        if not good:
            return False
        first = good[0]
        try:
            words = self.writer.words_of(good)
        except TemplateTextError as error:
            log.warning("no words for a message", extra={"message_id": str(first.id), "error": str(error)})
            self.ended += [(waiting.id, Unsent(MessageState.FAILED, "NO_WORDS")) for waiting in good]
            return False
        carrier = self.places.take(first.refused_by)
        if carrier is None:
            self.postponed += [waiting.id for waiting in good]
            return False
        outgoing = Outgoing(
            new_id(), first.id, first.channel, first.merchant_id, self.writer.address_of(first), words,
            self.writer.secrets_of(first),
        )  # fmt: skip
        self.ready.append(Ready(good, carrier, outgoing, self.writer.sealed(words)))
        return True
