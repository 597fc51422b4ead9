"""When cycles end, and how closing one works."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.reconciliation.settlements.cycles import parse


class SettlementLimits(BaseModel):
    """The cycles of all cities and of those that have their own, and how they are closed."""

    model_config = ConfigDict(frozen=True)

    cycle: str = Field(
        "weekly mon 00:00+05:30",
        description="When cycles end: never, daily 00:00+05:30, weekly mon 00:00+05:30, every 3 days 00:00+05:30",
    )
    city_cycles: dict[str, str] = Field(
        default_factory=dict,
        description="The same for cities with cycles of their own, by their codes; where no network lends partners",
    )
    entries_piece: int = Field(20_000, gt=0, description="Entries that become lines in one transaction")
    partners_piece: int = Field(2_000, gt=0, description="Partners whose guarantee is worked out in one transaction")
    parties_piece: int = Field(500, gt=0, description="Parties whose statements are made in one transaction")
    settle_s: float = Field(
        5.0, ge=0, description="How old entries are that a cycle takes: younger ones may be written still"
    )
    overlap_s: float = Field(
        300.0,
        ge=0,
        description="How far back a cycle looks for entries that were being written when the last one ended",
    )
    poll_s: float = Field(1.0, gt=0, description="How often is looked for a cycle to close where there is none")
    retry_s: float = Field(30.0, gt=0, description="How long what failed is left alone, while others go on")

    @field_validator("cycle")
    @classmethod
    def _is_cycle(cls, value: str) -> str:
        parse(value)
        return value

    @field_validator("city_cycles")
    @classmethod
    def _are_cycles(cls, value: dict[str, str]) -> dict[str, str]:
        for cycle in value.values():
            parse(cycle)
        return value

    @property
    def own_cities(self) -> list[str]:
        """The cities that have cycles of their own, in order."""
        return sorted(self.city_cycles)

    @property
    def calendars(self) -> Mapping[str, str]:
        """When cycles end, by calendar: a city's code, or empty for all others."""
        return {"": self.cycle, **self.city_cycles}


class PayoutLimits(BaseModel):
    """How payouts are written and confirmed."""

    model_config = ConfigDict(frozen=True)

    file_piece: int = Field(2_000, gt=0, description="Payouts in one message of a file that is downloaded")
    confirm_piece: int = Field(5_000, gt=0, description="Lines of a bank's statement that are in memory at once")
    problems_shown_max: int = Field(100, ge=0, description="Lines shown that settle nothing; all of them are counted")
