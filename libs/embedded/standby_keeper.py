"""Watches the standby: one that runs but can no longer follow the primary is built anew."""

import asyncio
from dataclasses import dataclass

from libs.embedded.postgres import PostgresServers
from libs.embedded.supervisor import Supervisor

CHECKS_IN_TIME = 6
FAILURES_MAX = 3


@dataclass
class StandbyKeeper:
    """Only a standby that is up while the primary answers can be found wanting."""

    servers: PostgresServers
    supervisor: Supervisor
    standby: str

    async def watch(self) -> None:
        """Check until cancelled."""
        loop = asyncio.get_running_loop()
        rebuild_after_s = self.servers.settings.standby_rebuild_after_s
        last_good_s = loop.time()
        distrusted = False
        while True:
            await asyncio.sleep(rebuild_after_s / CHECKS_IN_TIME)
            if not self.supervisor.is_ready(self.standby):
                last_good_s = loop.time()
                # Once for each row of failures: what a new copy does not cure (a taken port), another will not.
                if self.supervisor.failures(self.standby) >= FAILURES_MAX and not distrusted:
                    self.servers.distrust_standby()
                    distrusted = True
                continue
            distrusted = False
            if await self.servers.is_streaming() is not False:
                last_good_s = loop.time()
            elif loop.time() - last_good_s > rebuild_after_s:
                self.supervisor.say("the standby has received nothing for too long: building it anew")
                self.servers.distrust_standby()
                self.supervisor.restart(self.standby)
                last_good_s = loop.time()
