"""What a rolling horizon sees at one moment, and what it may decide."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from services.assignment.matching.horizon.day import Day, Floats, Ints


@dataclass(slots=True)
class Visit:
    """A partner's stay at a pickup and the drops after it; times are what they will be unless more is added.

    orders: in the order of their drops. goods_min: the goods leave the pickup's counter, with half the dwell to go.
    """

    partner: int
    pickup: int
    orders: list[int]
    depart_min: float
    arrive_min: float
    goods_min: float
    drops_min: list[float]
    end_min: float


@dataclass(frozen=True, slots=True)
class Situation:
    """The world at `now_min`.

    next_min: when the policy is asked again at the latest; sooner where an order is urgent. orders: open ones.
    partners: on duty. free_min (m,), place (m, 2) of every partner: when and where the last thing it has agreed to
    ends. visits: those that have not left their pickup yet and are the last thing of their partner.
    """

    day: Day
    now_min: float
    next_min: float
    orders: Ints
    partners: Ints
    free_min: Floats
    place: Floats
    visits: Sequence[Visit]


@dataclass(frozen=True, slots=True)
class Take:
    """The partner takes orders from one pickup, to be dropped in this order, after all that it has agreed to.

    `more`: its visit to that pickup goes on, and `orders` are all of the visit's, the old ones included.
    """

    partner: int
    orders: tuple[int, ...]
    more: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """An idle partner goes to a pickup and waits there for orders."""

    partner: int
    pickup: int


@dataclass(slots=True)
class Decisions:
    """What is decided at a moment, and what the matching behind it was."""

    takes: list[Take] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    edges: int = 0
    cost: float = 0.0
    lower_bound: float = 0.0


class Policy(Protocol):
    """Decides again and again over a day. It may remember, and never looks ahead.

    window_min: how often it wants to be asked. urgent_min: an order that is ready so soon after it is placed has it
    asked at once.
    """

    window_min: float
    urgent_min: float

    def decide(self, seen: Situation) -> Decisions:
        """Return what to do now."""


NOBODY = np.empty(0, dtype=np.int64)
