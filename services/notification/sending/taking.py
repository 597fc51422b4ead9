"""Deciding about messages that are due: whether each is sent, over whom, and in which words."""

import logging
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from libs.ids import new_id
from libs.privacy.vault import TamperedError, VaultKeyError
from services.notification.messages.lifecycle import MessageState
from services.notification.providers.outgoing import Outgoing
from services.notification.sending.carriers import Carrier, Places
from services.notification.sending.outcomes import RetryLimits, put_off_s
from services.notification.sending.store import Begun
from services.notification.sending.waiting import Unsent, Waiting, Writer, quiet_until, unsent
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
        address = self.together[0].address_sealed
        return Begun(self.outgoing.attempt_id, ids, self.carrier.name, self.content_sealed, address)


@dataclass(slots=True)
class Taking:
    """What is decided about the messages that are due."""

    places: Places
    writer: Writer
    now: datetime
    retry: RetryLimits
    ready: list[Ready] = field(default_factory=list)
    ended: list[tuple[UUID, Unsent]] = field(default_factory=list)
    # Nobody can be asked to send them now: until when they are left alone.
    postponed: dict[UUID, datetime] = field(default_factory=dict)
    digested: list[UUID] = field(default_factory=list)
    # When the quiet hours end that each waits for.
    quiet: dict[UUID, datetime] = field(default_factory=dict)
    # Of a merchant's own receiver, how many are about to be given to it.
    _to: Counter[tuple[str, UUID | None]] = field(default_factory=Counter)

    def prepare(self, together: Sequence[Waiting]) -> bool:
        """Decide about messages to one recipient; whether they are sent."""
        checked = [(waiting, unsent(waiting, self.now)) for waiting in together]
        self.ended += [(waiting.id, why) for waiting, why in checked if why is not None]
        good = tuple(waiting for waiting, why in checked if why is None)
        if not good:
            return False
        try:
            good = self._awake(good)
        except Exception as error:  # noqa: BLE001 - as in _ready
            return self._failed(good, error)
        carrier = self._carrier_for(good) if good else None
        return carrier is not None and self._ready(good, carrier)

    def _ready(self, good: tuple[Waiting, ...], carrier: Carrier) -> bool:
        try:
            self.ready.append(Ready(good, carrier, *self._written(good)))
        except (VaultKeyError, TamperedError):
            # Whoever has the keys can mend that: nothing is lost meanwhile, and nobody else waits for it.
            log.exception("what a message needs does not open", extra={"message_id": str(good[0].id)})
            carrier.release()
            self._put_off(good)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one message, the others go out
            carrier.release()
            return self._failed(good, error)
        else:
            return True
        return False

    def _failed(self, good: Sequence[Waiting], error: Exception) -> bool:
        # What any error says could be somebody's name.
        is_ours = isinstance(error, TemplateTextError) and error.__cause__ is None
        said = str(error) if is_ours else type(error.__cause__ or error).__name__
        log.warning("no words for a message", extra={"message_id": str(good[0].id), "error": said})
        self.ended += [(waiting.id, Unsent(MessageState.FAILED, "NO_WORDS")) for waiting in good]
        return False

    def _awake(self, good: Sequence[Waiting]) -> tuple[Waiting, ...]:
        """Return what need not wait for the end of quiet hours, and note of the rest until when it does."""
        quiet = {waiting.id: until for waiting in good if (until := quiet_until(waiting, self.now)) is not None}
        self.quiet |= quiet
        return tuple(waiting for waiting in good if waiting.id not in quiet)

    def _written(self, good: Sequence[Waiting]) -> tuple[Outgoing, bytes]:
        first, words = good[0], self.writer.words_of(good)
        outgoing = Outgoing(
            new_id(), first.id, first.channel, first.merchant_id, self.writer.address_of(first), words,
            self.writer.secrets_of(first),
        )  # fmt: skip
        return outgoing, self.writer.sealed(words)

    def _carrier_for(self, good: Sequence[Waiting]) -> Carrier | None:
        """Take a place at a provider, and at the receiver that it leads to, if there is one; or put them off."""
        first = good[0]
        carrier = self.places.take(first.refused_by)
        if carrier is None:
            self._put_off(good)
            return None
        receiver = (carrier.name, first.merchant_id)
        if carrier.room_for(first.merchant_id) <= self._to[receiver]:
            carrier.release()
            self._put_off(good, is_busy=carrier.is_busy_for(first.merchant_id))
            return None
        self._to[receiver] += 1
        return carrier

    def _put_off(self, good: Sequence[Waiting], *, is_busy: bool = False) -> None:
        # Together, as they are told of.
        age_s = (self.now - min(waiting.planned_at for waiting in good)).total_seconds()
        wait_s = put_off_s(age_s, random.random(), self.retry, is_busy=is_busy)  # noqa: S311 - spreads
        self.postponed |= dict.fromkeys((waiting.id for waiting in good), self.now + timedelta(seconds=wait_s))
