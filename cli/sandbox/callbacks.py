"""Sends callbacks as a network does: signed, again until they are taken, now and then twice or out of order."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import uuid4

import httpx
from standardwebhooks.webhooks import Webhook

from cli.sandbox.behaviour import Faults

ATTEMPTS_MAX = 12
_AGAIN_MS, _AGAIN_MS_MAX = 100, 5_000
_TIMEOUT_S = 10.0


class Callbacks:
    """One worker for each offer: its updates go in their order, unless a fault has it otherwise."""

    def __init__(self, url: str, secret: str, random: Random, faults: Callable[[], Faults]) -> None:
        self._url = url
        self._webhook = Webhook(secret)
        self._random = random
        self._faults = faults
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S)
        # How each delivery of a callback was answered.
        self.answers: Counter[str] = Counter()
        self.given_up = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, update: dict[str, Any]) -> dict[str, Any]:
        """Send one update, perhaps twice at once, until it is taken; return the last answer."""
        webhook_id = f"msg_{uuid4().hex}"
        times = 2 if self._random.random() < self._faults().duplicate_share else 1
        answers = await asyncio.gather(*(self._until_taken(webhook_id, update) for _ in range(times)))
        return answers[-1]

    async def send_all(self, updates: list[dict[str, Any]], pause_ms: int) -> None:
        """Send updates of one offer with pauses; one that is drawn for it is overtaken by the next."""
        overtaken: list[asyncio.Task[dict[str, Any]]] = []
        for number, update in enumerate(updates):
            last = number == len(updates) - 1
            if not last and self._random.random() < self._faults().reorder_share:
                # It happened first; what happens next is told first.
                told = {**update, "data": {**update["data"], "occurred_at": now_text()}}
                overtaken.append(asyncio.create_task(self._after(pause_ms * 1.5, told)))
            else:
                await self.send({**update, "data": {**update["data"], "occurred_at": now_text()}})
            await asyncio.sleep(pause_ms / 1000)
        await asyncio.gather(*overtaken)

    async def _after(self, wait_ms: float, update: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(wait_ms / 1000)
        return await self.send(update)

    async def _until_taken(self, webhook_id: str, update: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(update)
        for attempt in range(ATTEMPTS_MAX):
            status, answer = await self._post(webhook_id, body)
            self.answers[f"{status} {answer.get('outcome', answer.get('reason', ''))}".strip()] += 1
            if 200 <= status < 300:
                return answer
            await asyncio.sleep(min(_AGAIN_MS * 2**attempt, _AGAIN_MS_MAX) / 1000)
        self.given_up += 1
        return {}

    async def _post(self, webhook_id: str, body: str) -> tuple[int, dict[str, Any]]:
        at = datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": self._webhook.sign(webhook_id, at.replace(microsecond=0), body),
        }
        try:
            response = await self._client.post(self._url, content=body, headers=headers)
            answer = response.json()
        except (httpx.HTTPError, ValueError):
            return 0, {}
        return response.status_code, answer if isinstance(answer, dict) else {}


def now_text() -> str:
    """Return the time of now as updates say it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
