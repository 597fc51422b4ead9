"""A city's picture that follows its stream, for tests: what it holds beside what the database does."""

import asyncio
from typing import Any

import asyncpg
import redis.asyncio as redis

from services.assignment.picture.drift import suspects
from services.assignment.picture.follower import CityFollower, CompanyFollower
from services.assignment.picture.keeper import CityKeeper, CompanyKeeper
from services.assignment.picture.lag import PublishingLag
from services.assignment.picture.reconcile import Reconciler
from services.assignment.picture.settings import PictureLimits
from services.assignment.picture.source import Source
from services.assignment.picture.store import read_city
from tests.assignment_api import until

QUICK = PictureLimits(
    read_wait_ms=50, check_every_s=0.05, without_events_s=0.2, reconcile_wait_s=20.0, unseen_tries=2, overlap_events=20
)
ALWAYS = (0.0, float("inf"))


class Followed:
    """A city's picture that follows its stream."""

    def __init__(self, pool: asyncpg.Pool, client: redis.Redis, city_code: str, limits: PictureLimits) -> None:
        self.lag = PublishingLag(limits.lag_s_max)
        self.pool = pool
        self.company = CompanyKeeper(pool)
        self.keeper = CityKeeper(Source(pool), city_code, self.company)
        self.follower = CityFollower(client, self.keeper, limits, self.lag)
        self.company_follower = CompanyFollower(client, self.company, limits, self.lag)
        self.reconciler = Reconciler(self.keeper, self.follower, limits, self.lag)
        self.rebuilds: list[str] = []
        rebuild = self.keeper.rebuild

        async def counted(why: str, *, anew: bool = True) -> Any:
            self.rebuilds.append(why)
            return await rebuild(why, anew=anew)

        self.keeper.rebuild = counted  # type: ignore[method-assign]  # to see what it is asked for

    async def differs(self) -> bool:
        """Whether the picture is another than what the database holds."""
        async with self.pool.acquire() as connection:
            read = await read_city(connection, self.keeper.city_code)
        return bool(suspects(self.keeper.picture, read.partners, read.deliveries, read.completed, ALWAYS))

    async def settled(self) -> None:
        """Return once the picture is what the database holds."""

        async def equal() -> bool:
            return not await self.differs()

        await until(equal)

    async def watch_lag(self) -> None:
        while True:
            async with self.pool.acquire() as connection:
                await self.lag.look(connection)
            await asyncio.sleep(0.1)
