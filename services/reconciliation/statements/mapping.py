"""How the files of a source are read: which format, and where in it each field stands. Pure."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# A row as every format gives it: the texts of these fields in this order, empty where the source has none.
FIELDS = ("reference", "payee", "amount", "paid_at", "leg", "currency")
REQUIRED = ("reference", "amount", "paid_at")
Row = tuple[str, str, str, str, str, str]
# Some rows: the texts of each field in turn.
Columns = Sequence[Sequence[str]]
# What a bank's account statement calls money that leaves the account, and money that comes.
BANK_LEGS: dict[str, Literal["payout", "cash"]] = {"DBIT": "payout", "CRDT": "cash"}


class Format(StrEnum):
    """Which of `formats/` reads it."""

    CSV = "csv"
    JSON_LINES = "json_lines"
    FIXED_WIDTH = "fixed_width"
    CAMT053 = "camt053"


class Mapping(BaseModel):
    """One version of how a source is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Format
    # The header's name of a CSV column, the key of a JSON object, or "first-last" characters of a line, from 1.
    columns: dict[str, str] = Field(default_factory=dict)
    encoding: Literal["utf-8", "utf-16", "cp1252", "iso-8859-1"] = "utf-8"
    delimiter: str = Field(",", min_length=1, max_length=1)
    # Lines before the first row of a fixed-width file, such as a header record.
    skip_lines: int = Field(0, ge=0, le=100)
    # Paise are how banks write amounts with an implied point.
    amount_unit: Literal["rupees", "paise"] = "rupees"
    # As of strptime; empty is ISO 8601.
    time_format: str = Field("", max_length=60)
    # Of moments that state none.
    utc_offset_min: int = Field(330, ge=-840, le=840)
    reference_prefix: str = Field("", max_length=60)
    # Who is paid, where the rows do not say.
    payee: str = Field("", max_length=80)
    leg: Literal["payout", "cash"] = "payout"
    # What the source's words for it mean.
    legs: dict[str, Literal["payout", "cash"]] = Field(default_factory=dict)
    # Its rows name payouts of settlements and no deliveries: runs leave them alone.
    confirms_payouts: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if unknown := sorted(set(self.columns) - set(FIELDS)):
            raise ValueError(f"columns: there is no field {', '.join(unknown)}; there are {', '.join(FIELDS)}")
        if self.format is Format.CAMT053:
            if self.columns:
                raise ValueError("columns: camt.053 says itself where everything stands")
            return self
        if missing := [name for name in REQUIRED if not self.columns.get(name)]:
            raise ValueError(f"columns: {', '.join(missing)} must be told")
        if not self.payee and not self.columns.get("payee"):
            raise ValueError("payee: tell its column, or one payee for all rows")
        if self.columns.get("leg") and not self.legs:
            raise ValueError("legs: tell what the words of the column mean")
        if self.format is Format.FIXED_WIDTH:
            for name in self.columns:
                self.span(name)
        return self

    def span(self, field: str) -> slice:
        """Return where a field of a fixed-width line stands; ValueError for no "first-last"."""
        first, _, last = self.columns[field].partition("-")
        if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
            raise ValueError(f"columns.{field}: write first-last, such as 1-36")
        if not 1 <= int(first) <= int(last) <= 10_000:
            raise ValueError(f"columns.{field}: first is at least 1 and not after last, which is at most 10000")
        return slice(int(first) - 1, int(last))
