"""What each client may ask of the port that is open to anybody: so that none takes what providers need."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from libs.resilience.rate import Rate
from services.notification.providers.outgoing import ReceiptError


class ClientGuard:
    """Counts what clients, known by their hosts, have under way and ask for."""

    def __init__(
        self, at_once_max: int, per_s_max: float, clients_max: int, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._at_once_max = at_once_max
        self._per_s_max = per_s_max
        self._clients_max = clients_max
        self._now_s = now_s
        self._under_way: Counter[str] = Counter()
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    @property
    def known(self) -> int:
        """How many clients' rates are remembered."""
        return len(self._rates)

    @contextmanager
    def admitted(self, client: str) -> Iterator[None]:
        """Count a request of a client as under way until the block ends. Raises ReceiptError for one too many."""
        if self._under_way[client] >= self._at_once_max or not self._rate_of(client).take():
            raise ReceiptError("too_many")
        self._under_way[client] += 1
        try:
            yield
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _rate_of(self, client: str) -> Rate:
        rate = self._rates.pop(client, None) or Rate(self._per_s_max, self._now_s)
        self._rates[client] = rate
        if len(self._rates) > self._clients_max:
            self._rates.popitem(last=False)
        return rate
