"""What a partner network is: a third party that lends partners."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class PartnerNetwork:
    """A network; `health` says how well its API answers, from 0, down, to 1, well."""

    code: str
    health: float
    note: str
    version: int
    updated_at: datetime
