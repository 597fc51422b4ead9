"""Ports for servers of tests and benchmarks that nobody else listens on."""

import random
from collections import deque

from libs.embedded.errors import NotReadyError
from libs.embedded.process_info import port_is_free

# Below what the kernel hands out to outgoing connections.
PORTS_MIN, PORTS_MAX = 20_000, 32_000
PORTS_LOOKED_AT_MAX = 4_000
PORTS_LATELY_GIVEN_MAX = 4_000

_lately_given: deque[int] = deque(maxlen=PORTS_LATELY_GIVEN_MAX)


def free_ports(count: int, in_a_row: int = 1) -> list[int]:
    """Ports that are free now, each with the `in_a_row` - 1 that follow it.

    They are chosen at random, so that stacks started at once seldom meet; this process gets none that it got lately,
    as whoever got it may not listen on it yet. Raises NotReadyError when there are not as many.
    """
    found: list[int] = []
    for first in random.SystemRandom().sample(range(PORTS_MIN, PORTS_MAX - in_a_row + 1), PORTS_LOOKED_AT_MAX):
        if len(found) == count:
            break
        row = range(first, first + in_a_row)
        if not any(port in _lately_given for port in row) and all(port_is_free("127.0.0.1", port) for port in row):
            _lately_given.extend(row)
            found.append(first)
    if len(found) < count:
        raise NotReadyError(f"of {PORTS_LOOKED_AT_MAX} ports from {PORTS_MIN} to {PORTS_MAX}, not {count} are free")
    return found
