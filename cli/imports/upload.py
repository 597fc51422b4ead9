"""Bring a source into a running system through the public API, and wait until everything is matched or reasoned."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from cli.gateway import Gateway, GatewayError, RefusedError
from cli.imports.plan import Json, Refusal, Row, Source
from cli.imports.rejects import RejectsFile

BATCH_ROWS = 500
BATCHES_AT_ONCE_MAX = 4
LIST_ROWS = 500
POLL_S_MIN, POLL_S_MAX = 0.1, 3.0
REFERENCE_TAKEN = "REFERENCE_TAKEN"


@dataclass
class Tally:
    """What became of one kind of row."""

    read: int = 0
    created: int = 0
    there_already: int = 0
    refused: int = 0


@dataclass
class Summary:
    """What an import did, and how its deliveries stand."""

    city_code: str
    merchant_id: str
    partners: Tally = field(default_factory=Tally)
    deliveries: Tally = field(default_factory=Tally)
    refusals: dict[str, int] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    unassigned_reasons: dict[str, int] = field(default_factory=dict)
    undecided: int = 0
    upload_s: float = 0.0
    matched_s: float = 0.0


# Told as work goes on: the stage, how much of it is done, how much there is.
Progress = Callable[[str, int, int], None]


async def bring_in(
    gateway: Gateway, source: Source, rejects: RejectsFile, progress: Progress, wait_s: float
) -> Summary:
    """Create what is not there yet. Raises GatewayError; what was taken in until then stays."""
    started_s = time.monotonic()
    city = await _ensure_city(gateway, source.city())
    merchant_id = await _ensure_merchant(gateway, source.merchant)
    summary = Summary(city["code"], merchant_id)
    for stage, path, outcome, rows, total, tally in (
        ("partners", "/v1/partners:batchOnboard", "partner", source.partners(), source.partner_rows, summary.partners),
        (
            "deliveries", "/v1/deliveries:batchCreate", "delivery", _owned(source.deliveries(), merchant_id),
            source.delivery_rows, summary.deliveries,
        ),
    ):  # fmt: skip
        await _upload(gateway, stage, path, outcome, rows, total, tally, rejects, progress)
    summary.upload_s = time.monotonic() - started_s
    summary.refusals = dict(rejects.reasons)
    summary.undecided = await _await_matching(gateway, summary, progress, wait_s)
    summary.matched_s = time.monotonic() - started_s
    await _count(gateway, summary)
    return summary


async def _ensure_city(gateway: Gateway, city: Json) -> Json:
    try:
        found: Json = (await gateway.get(f"/v1/cities/{city['code']}"))["city"]
    except RefusedError as error:
        if error.status != 404:
            raise
        found = (await gateway.post("/v1/cities", {"city": city}))["city"]
    if found["timeZone"] != city["timeZone"]:
        raise GatewayError(f"city {city['code']} is there already, in the time zone {found['timeZone']}")
    return found


async def _ensure_merchant(gateway: Gateway, merchant: Json) -> str:
    try:
        created = await gateway.post("/v1/merchants", merchant)
    except RefusedError as error:
        if error.reason != REFERENCE_TAKEN:
            raise
        known: str = error.problem["metadata"]["merchant_id"]
        return known
    merchant_id: str = created["merchant"]["id"]
    return merchant_id


def _owned(rows: Iterable[Row | Refusal], merchant_id: str) -> Iterator[Row | Refusal]:
    for row in rows:
        if isinstance(row, Row):
            row.request["details"]["merchantId"] = merchant_id
        yield row


async def _upload(
    gateway: Gateway,
    stage: str,
    path: str,
    outcome: str,
    rows: Iterable[Row | Refusal],
    total: int,
    tally: Tally,
    rejects: RejectsFile,
    progress: Progress,
) -> None:
    def refuse(refusal: Refusal) -> None:
        tally.refused += 1
        rejects.add(refusal)

    def good(source: Iterable[Row | Refusal]) -> Iterator[Row]:
        for row in source:
            tally.read += 1
            if isinstance(row, Refusal):
                refuse(row)
            else:
                yield row

    async def send(batch: Sequence[Row]) -> None:
        answer = await gateway.post(path, {"requests": [row.request for row in batch]})
        for row, result in zip(batch, answer["results"], strict=True):
            if outcome in result:
                tally.created += 1
            elif result["error"]["reason"] == REFERENCE_TAKEN:
                tally.there_already += 1
            else:
                refuse(_refusal(row, result["error"]))
        progress(stage, tally.created + tally.there_already + tally.refused, total)

    progress(stage, 0, total)
    usable = good(rows)
    async with _a_few_at_once(BATCHES_AT_ONCE_MAX) as start:
        while batch := list(itertools.islice(usable, BATCH_ROWS)):
            await start(partial(send, batch))
    progress(stage, tally.created + tally.there_already + tally.refused, total)


def _refusal(row: Row, error: Json) -> Refusal:
    violations = [f"{v['field']}: {v['description']}" for v in error.get("fieldViolations", [])]
    return Refusal(row.origin, error["reason"], "; ".join(violations) or error["message"])


@asynccontextmanager
async def _a_few_at_once(tasks_max: int) -> AsyncIterator[Callable[[Callable[[], Any]], Any]]:
    """Yield a function that starts a task once fewer than `tasks_max` run; the first failure ends all of them."""
    slots = asyncio.Semaphore(tasks_max)
    try:
        async with asyncio.TaskGroup() as group:

            async def start(work: Callable[[], Any]) -> None:
                await slots.acquire()
                group.create_task(work()).add_done_callback(lambda _: slots.release())

            yield start
    except* GatewayError as errors:
        raise errors.exceptions[0] from None


async def _await_matching(gateway: Gateway, summary: Summary, progress: Progress, wait_s: float) -> int:
    """Return how many deliveries neither have a partner nor a reason when `wait_s` are over; 0 as soon as none."""
    total = summary.deliveries.created + summary.deliveries.there_already
    deadline_s = time.monotonic() + wait_s
    while True:
        looked_s, undecided = time.monotonic(), 0
        async for delivery in _own(gateway, summary, states="DELIVERY_STATE_PENDING"):
            undecided += not delivery.get("unassignedReason")
        progress("matching", total - undecided, total)
        if not undecided or time.monotonic() > deadline_s:
            return undecided
        # Looking at a long list should not take from the matching what it waits for.
        await asyncio.sleep(min(max(3 * (time.monotonic() - looked_s), POLL_S_MIN), POLL_S_MAX))


async def _count(gateway: Gateway, summary: Summary) -> None:
    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    async for delivery in _own(gateway, summary):
        states[delivery["state"].removeprefix("DELIVERY_STATE_").lower()] += 1
        if delivery.get("unassignedReason"):
            reasons[delivery["unassignedReason"]] += 1
    summary.states, summary.unassigned_reasons = dict(states.most_common()), dict(reasons.most_common())


def _own(gateway: Gateway, summary: Summary, **filters: str) -> AsyncIterator[Json]:
    filters |= {"merchantId": summary.merchant_id, "cityCode": summary.city_code, "pageSize": str(LIST_ROWS)}
    return gateway.pages("/v1/deliveries", "deliveries", **filters)
