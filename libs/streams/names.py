"""What is called how in Redis. All keys of one city share a hash tag, so that a cluster keeps them on one node.

lastmile:events:streams                       set: every stream that has events
lastmile:events:groups                        set: every consumer group; what it has not read is not trimmed
lastmile:events:alive:<group>                 sorted set: the group's processes, by until when they count as alive
lastmile:events:{BLR}:<epoch>                 stream: a city's events, in the order of their commits
lastmile:events:{BLR}:replay:<group>          stream: dead letters that one group is to see again
lastmile:events:{BLR}:dead:<group>            stream: what one group could not handle
lastmile:events:{BLR}:lease:<group>           string: the process that reads the city for the group
"""

import re
from dataclasses import dataclass

PREFIX = "lastmile:events"
STREAMS = f"{PREFIX}:streams"
GROUPS = f"{PREFIX}:groups"
# The epochs that have begun to be written: a Redis without the current one has lost its streams.
EPOCHS = f"{PREFIX}:epochs"
# The one field of a stream's entry: the CloudEvents JSON.
FIELD = b"event"
# Where Debezium Server's Redis sink puts it, in its extended format.
DEBEZIUM_FIELD = b"value"
# What belongs to no city: merchants, partner networks.
NO_CITY = "-"
_STREAM = re.compile(rf"{PREFIX}:\{{([^{{}}]+)\}}:(\d+)")


@dataclass(frozen=True, order=True, slots=True)
class StreamName:
    """A city's stream of one epoch: a new epoch begins when log positions no longer continue those before."""

    city_code: str
    epoch: int

    def __str__(self) -> str:
        return f"{PREFIX}:{{{self.city_code}}}:{self.epoch}"

    @classmethod
    def parse(cls, text: str) -> "StreamName | None":
        """Return the name that a key spells, or None for a key that is no event stream."""
        found = _STREAM.fullmatch(text)
        return cls(found[1], int(found[2])) if found else None


def alive_key(group: str) -> str:
    """Where the group's processes say that they live."""
    return f"{PREFIX}:alive:{group}"


def replay_key(city_code: str, group: str) -> str:
    """Where dead letters go that the group is to see again."""
    return f"{PREFIX}:{{{city_code}}}:replay:{group}"


def dead_key(city_code: str, group: str) -> str:
    """Where what the group could not handle is kept."""
    return f"{PREFIX}:{{{city_code}}}:dead:{group}"


def lease_key(city_code: str, group: str) -> str:
    """Who reads the city for the group."""
    return f"{PREFIX}:{{{city_code}}}:lease:{group}"
