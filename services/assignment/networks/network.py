"""What a partner network is: a third party that lends partners."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PartnerNetwork:
    """A network; `health` says how well its API answers, from 0, down, to 1, well: the least of what ops say and of
    the share of calls that its circuit lets through.
    """

    code: str
    health: float
    note: str
    version: int
    updated_at: datetime
    said_health: float = 1.0
    circuit_share: float = 1.0
    circuit_note: str = ""
