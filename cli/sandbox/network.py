"""A partner network's API, with its partners behind it.

POST /offers              an offer; its Idempotency-Key makes again harmless
POST /offers/{id}/end     an offer is over
GET  /health              it works
GET  /updates?after=      what happened, in pages, for those who poll
PUT  /control/behaviour   how it behaves from now on: cli/sandbox/behaviour.py
POST /control/updates     send this update now; answers what the other side said
GET  /control/record      what it was told, and how its callbacks were answered

Nothing goes wrong with /control.
"""

import asyncio
import json
from collections import Counter
from random import Random
from typing import Any

from pydantic import ValidationError

from cli.sandbox.behaviour import Behaviour
from cli.sandbox.callbacks import Callbacks, now_text
from cli.sandbox.http_server import HangError, Reply, Request, ResetError

_PAGE = 100
_STEPS = ("delivery.picked_up", "delivery.out_for_delivery", "delivery.delivered")
_NOT_FOUND = Reply(404, b'{"error":"no such thing"}')


class SandboxNetwork:
    """The network. Without callbacks its updates are there to be polled, and nothing else."""

    def __init__(self, behaviour: Behaviour, random: Random, callbacks: Callbacks | None) -> None:
        self.behaviour = behaviour
        self._random = random
        self._callbacks = callbacks
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys: Counter[str] = Counter()
        self._offers: dict[str, dict[str, Any]] = {}
        self._updates: list[dict[str, Any]] = []
        self._calls: Counter[str] = Counter()

    async def close(self) -> None:
        """End what its partners are doing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def answer(self, request: Request) -> Reply:
        """Answer a call; raises HangError and ResetError where that is the fault of the moment."""
        if request.path.startswith("/control/"):
            return await self._control(request)
        faults = self.behaviour.faults
        fault = faults.drawn(self._random)
        self._calls[fault] += 1
        if faults.latency_ms:
            await asyncio.sleep(faults.latency_ms / 1000)
        if fault == "hang":
            raise HangError
        if fault == "reset":
            raise ResetError
        if fault == "busy":
            return Reply(429, b"{}", {"retry-after": str(faults.retry_after_s)})
        if fault == "error":
            return Reply(503, b'{"error":"out of order"}')
        reply = self._api(request)
        if fault == "reset_after":
            raise ResetError
        return Reply(200, b"<html>it works</html>", content_type="text/html") if fault == "garbage" else reply

    def _api(self, request: Request) -> Reply:
        parts = request.path.strip("/").split("/")
        match request.method, parts:
            case "POST", ["offers"]:
                return self._offer(request)
            case "POST", ["offers", offer_id, "end"]:
                return self._end(offer_id, request)
            case "GET", ["health"]:
                return _json({"status": "ok"})
            case "GET", ["updates"]:
                after = int(request.query.get("after") or 0)
                page = self._updates[after : after + _PAGE]
                return _json({"updates": page, "cursor": after + len(page)})
        return _NOT_FOUND

    def _offer(self, request: Request) -> Reply:
        body = _object(request)
        offer_id = body.get("offer_id") if body is not None else None
        if body is None or not isinstance(offer_id, str):
            return Reply(422, b'{"error":"an offer needs an offer_id"}')
        key = request.headers.get("idempotency-key", "")
        self._keys[key] += 1
        if self._keys[key] == 1 or not key:
            known = self._offers.setdefault(offer_id, {"offer": body, "told": 0, "ended": 0, "reason": ""})
            known["told"] += 1
            if self.behaviour.answers:
                self._begin(self._carry_out(offer_id, bool(body.get("needs_answer", True))))
        return _json({"status": "pending"})

    def _end(self, offer_id: str, request: Request) -> Reply:
        known, body = self._offers.get(offer_id), _object(request) or {}
        if known is None:
            return _NOT_FOUND
        known["ended"] += 1
        known["reason"] = body.get("reason", "")
        return _json({"status": "ended"})

    async def _carry_out(self, offer_id: str, needs_answer: bool) -> None:
        await asyncio.sleep(self.behaviour.answer_ms / 1000)
        accepts = self._random.random() < self.behaviour.accept_share
        updates: list[dict[str, Any]] = []
        if needs_answer:
            updates.append(_update("offer.accepted" if accepts else "offer.rejected", offer_id))
        if self._offers[offer_id]["ended"]:
            return
        if accepts and self.behaviour.delivers:
            updates += [_update(step, offer_id) for step in _STEPS]
        if self._callbacks is not None:
            await self._callbacks.send_all(updates, self.behaviour.step_ms)
            return
        for update in updates:
            self._updates.append({**update, "data": {**update["data"], "occurred_at": now_text()}})
            await asyncio.sleep(self.behaviour.step_ms / 1000)

    async def _control(self, request: Request) -> Reply:
        match request.method, request.path:
            case "PUT", "/control/behaviour":
                return self._behave(request)
            case "POST", "/control/updates":
                return await self._send_now(request)
            case "GET", "/control/record":
                return _json(self.record())
        return _NOT_FOUND

    def _behave(self, request: Request) -> Reply:
        try:
            self.behaviour = Behaviour.model_validate_json(request.body)
        except ValidationError as error:
            return Reply(422, error.json(include_url=False).encode())
        return _json(self.behaviour.model_dump())

    async def _send_now(self, request: Request) -> Reply:
        update = _object(request)
        if update is None:
            return Reply(422, b'{"error":"an update is an object"}')
        if self._callbacks is not None:
            return _json(await self._callbacks.send(update))
        self._updates.append(update)
        return _json({})

    def record(self) -> dict[str, Any]:
        """Return what the network was told, and how its callbacks were answered."""
        callbacks = self._callbacks
        return {
            "offers": self._offers,
            "calls": self._calls,
            "repeated": sum(count - 1 for key, count in self._keys.items() if key),
            "callbacks": callbacks.answers if callbacks else {},
            "given_up": callbacks.given_up if callbacks else 0,
        }

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _update(kind: str, offer_id: str) -> dict[str, Any]:
    return {"type": kind, "data": {"offer_id": offer_id}}


def _object(request: Request) -> dict[str, Any] | None:
    try:
        value = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _json(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode())
