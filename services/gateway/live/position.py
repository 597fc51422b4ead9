"""Where a client is in the events of all cities: the id that it was told last, and says again when it comes back."""

import re
from dataclasses import dataclass

_TEXT = re.compile(r"(\d{1,19})\.(\d{1,20})-(\d{1,20})", re.ASCII)
_NUMBER_MAX = 2**64 - 1


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """An entry's id and its epoch. Ids are places in the log, so they order the events of all cities.

    Spelled `<epoch>.<position of the commit>-<place in the transaction>`.
    """

    epoch: int
    lsn: int
    place: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.entry_id}"

    @property
    def entry_id(self) -> str:
        """The id in the stream."""
        return f"{self.lsn}-{self.place}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Return the position that a client says, or None for what is none."""
        found = _TEXT.fullmatch(text)
        if found is None:
            return None
        epoch, lsn, place = map(int, found.groups())
        return cls(epoch, lsn, place) if max(lsn, place) <= _NUMBER_MAX else None

    @classmethod
    def of_entry(cls, epoch: int, entry_id: bytes) -> "Position":
        """Return an entry's position."""
        lsn, _, place = entry_id.partition(b"-")
        return cls(epoch, int(lsn), int(place))
