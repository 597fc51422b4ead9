"""Where a city's partners stand at a window, beyond what they have room for: cash held, earnings, merchants' wishes."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import numpy as np

from services.assignment.matching.geography import Floats, Ints
from services.assignment.matching.problem import UNLIMITED, UNRATED
from services.assignment.merchants import store as merchants
from services.assignment.merchants.merchant import MerchantPartners
from services.assignment.partners import store as partners
from services.assignment.windows.settings import MatcherSettings

HOUR_S = 3_600.0
Column = Ints | Floats


@dataclass(frozen=True, slots=True)
class Standing:
    """Cash on delivery that partners hold and what they have earned for each hour of their shift, where it is not 0."""

    cash_held_paise: Mapping[UUID, int]
    earned_paise_per_h: Mapping[UUID, int]
    lists: Sequence[MerchantPartners]


class StandingReader:
    """Reads it for each window. Earnings change slowly and are read again after a while."""

    def __init__(self, settings: MatcherSettings) -> None:
        self._settings = settings
        self._earned: dict[str, tuple[float, Mapping[UUID, int]]] = {}

    async def read(self, connection: asyncpg.Connection, city_code: str, merchant_ids: Collection[UUID]) -> Standing:
        """Return where the city's partners stand towards these merchants' deliveries."""
        return Standing(
            await partners.cash_held(connection, city_code),
            await self._earnings(connection, city_code),
            await merchants.partners_of(connection, merchant_ids),
        )

    async def _earnings(self, connection: asyncpg.Connection, city_code: str) -> Mapping[UUID, int]:
        stale_at_s, earned = self._earned.get(city_code, (0.0, {}))
        if time.monotonic() >= stale_at_s:
            settings = self._settings
            rows = await partners.completed_in_shift(connection, city_code, settings.matcher_shift_s_assumed)
            pay = settings.matcher_pay_per_delivery_paise
            earned = {id_: earned_per_h(completed * pay, shift_s) for id_, completed, shift_s in rows}
            self._earned[city_code] = (time.monotonic() + settings.matcher_earnings_refresh_s, earned)
        return earned


def earned_per_h(earned_paise: int, shift_s: float) -> int:
    """Return whole paise an hour; a shift that has just begun counts as an hour: one delivery is not a fortune."""
    return round(earned_paise / max(1.0, shift_s / HOUR_S))


def partner_columns(
    rows: Sequence[asyncpg.Record], standing: Standing, merchant_of: Mapping[UUID, int]
) -> dict[str, Column]:
    """Return the columns of Partners that these are; `merchant_of` numbers the merchants of the packages."""
    place_of = {row["id"]: place for place, row in enumerate(rows)}
    pairs = {
        name: [
            (place_of[partner_id], merchant_of[lists.merchant_id])
            for lists in standing.lists
            for partner_id in getattr(lists, name)
            if partner_id in place_of
        ]
        for name in ("denied", "allowed")
    }
    choosing = [merchant_of[lists.merchant_id] for lists in standing.lists if lists.allowed]
    held, earned = standing.cash_held_paise, standing.earned_paise_per_h
    return {
        "rating": np.array([UNRATED if row["rating"] is None else row["rating"] for row in rows], dtype=float),
        "network_health": np.array([row["network_health"] for row in rows], dtype=float),
        "cash_paise_left": np.array([cash_left(row, held.get(row["id"], 0)) for row in rows], dtype=np.int64),
        "earned_paise_per_h": np.array([earned.get(row["id"], 0) for row in rows], dtype=np.int64),
        "merchants_denied": np.array(pairs["denied"], dtype=np.int64).reshape(-1, 2),
        "merchants_allowed": np.array(pairs["allowed"], dtype=np.int64).reshape(-1, 2),
        "merchants_choosing": np.array(choosing, dtype=np.int64),
    }


def cash_left(row: asyncpg.Record, held_paise: int) -> int:
    """Return how much more cash the partner may hold; nothing where its limit is below what it holds already."""
    limit = row["cash_limit_minor"]
    return UNLIMITED if limit is None else max(0, limit - held_paise)
