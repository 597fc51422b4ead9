"""Answers as JSON, remembered by their bytes: what a service answers from its cache, it answers again and again.

The JSON follows from the bytes and from nothing else: who asks, and when, makes no difference to it.
"""

from collections import OrderedDict
from collections.abc import Callable

# What an entry takes beside its texts.
_ENTRY_BYTES = 400


class RenderedAnswers:
    """Renderings by message type and bytes; the one that was not used for longest goes first."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_left = bytes_max
        self._known: OrderedDict[tuple[str, bytes], bytes] = OrderedDict()

    def get(self, message_type: str, raw: bytes, render: Callable[[], bytes]) -> bytes:
        """Return the JSON of a message from its bytes."""
        key = (message_type, raw)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        rendered = render()
        size = len(raw) + len(rendered) + _ENTRY_BYTES
        self._bytes_left -= size
        self._known[key] = rendered
        while self._bytes_left < 0:
            (_, old), gone = self._known.popitem(last=False)
            self._bytes_left += len(old) + len(gone) + _ENTRY_BYTES
        return rendered
