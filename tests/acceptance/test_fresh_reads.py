"""What a caller is told of an answer's age, when it sees changes of others, and that it sees its own."""

import asyncio
import time
import uuid
from typing import Any

import grpc
import httpx
from lastmile.assignment.v1 import partner_pb2, partner_pb2_grpc

from libs.embedded.stack import RunningStack
from tests.rest import Rest, until
from tests.standby import replay_paused


def look(rest: Rest, path: str, **headers: str) -> httpx.Response:
    """Read without a token: whatever there is."""
    told = {"Authorization": rest.http.headers["Authorization"]} | headers
    return httpx.get(f"{rest.base_url}{path}", headers=told, timeout=30)


def names_of(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [partner["profile"]["displayName"] for partner in response.json()["partners"]]


def profile_of(rest: Rest, partner_id: str) -> dict[str, Any]:
    profile: dict[str, Any] = rest.get(f"/v1/partners/{partner_id}")["partner"]["profile"]
    return profile


def test_every_answer_says_where_it_comes_from_and_how_old_it_is(ops: Rest) -> None:
    city = ops.city()
    made = ops.ask("POST", "/v1/merchants", {"name": "Test", "reference": city})
    assert (made.headers["Lastmile-Source"], made.headers["Lastmile-Age-Ms"], made.headers["Age"]) == (
        "primary", "0", "0",
    )  # fmt: skip
    merchant = made.json()["merchant"]["id"]
    delivery = ops.delivery(city, merchant)
    ops.partner(city)
    for path in (
        f"/v1/partners?cityCode={city}", f"/v1/deliveries/{delivery}", f"/v1/deliveries?cityCode={city}", "/v1/cities",
        f"/v1/deliveries/{delivery}/history", f"/v1/offers?cityCode={city}", "/v1/windows", "/v1/apiKeys",
        "/v1/partner-networks", f"/v1/merchants/{merchant}", "/v1/merchants",
    ):  # fmt: skip
        answer = ops.ask("GET", path)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Lastmile-Source"] in {"standby", "cache", "primary"}, path
        assert int(answer.headers["Age"]) == int(answer.headers["Lastmile-Age-Ms"]) // 1000, path


def test_that_there_is_no_such_thing_has_an_age_as_any_answer(ops: Rest) -> None:
    path = f"/v1/partners/{uuid.uuid4()}"

    def is_remembered() -> bool:
        answer = look(ops, path)
        assert answer.status_code == 404
        assert int(answer.headers["Age"]) == int(answer.headers["Lastmile-Age-Ms"]) // 1000
        return answer.headers["Lastmile-Source"] == "cache"

    assert not is_remembered()
    until(is_remembered)


def test_a_new_key_is_in_the_next_list_that_asks_for_it(ops: Rest) -> None:
    merchant = ops.merchant()
    made = ops.ask("POST", "/v1/apiKeys", {"name": "test", "role": "ROLE_MERCHANT", "merchantId": merchant}).json()
    assert ops.get("/v1/apiKeys?pageSize=1")["apiKeys"][0]["id"] == made["apiKey"]["id"]


def test_a_list_comes_from_the_cache_until_something_in_it_changes(ops: Rest) -> None:
    city = ops.city()
    ops.partner(city, displayName="Asha")
    path = f"/v1/partners?cityCode={city}"
    until(lambda: names_of(look(ops, path)) == ["Asha"])
    until(lambda: look(ops, path).headers["Lastmile-Source"] == "cache")
    ops.partner(city, displayName="Bina")
    changed_s = time.monotonic()
    until(lambda: names_of(look(ops, path)) == ["Bina", "Asha"], 30)
    assert time.monotonic() - changed_s < 30, "an event outdates the list long before its window of a minute passes"
    until(lambda: look(ops, path).headers["Lastmile-Source"] == "cache")


def test_a_partners_profile_is_written_through(ops: Rest) -> None:
    partner_id = ops.partner(ops.city())
    path = f"/v1/partners/{partner_id}"

    def is_there() -> bool:
        # Nobody has asked for this profile before: only the event can have brought it.
        answer = look(ops, path)
        return answer.status_code == 200 and answer.headers["Lastmile-Source"] == "cache"

    until(is_there)
    ops.post(f"{path}:setAvailability", {"availability": "AVAILABILITY_OFFLINE"})
    until(lambda: look(ops, path).json()["partner"]["availability"] == "AVAILABILITY_OFFLINE")
    until(lambda: look(ops, path).headers["Lastmile-Source"] == "cache")


def test_a_partner_that_moves_leaves_the_list_of_its_old_city(ops: Rest) -> None:
    old, new = ops.city(), ops.city()
    partner_id = ops.partner(old)
    lists = [f"/v1/partners?cityCode={city}" for city in (old, new)]
    until(lambda: [len(names_of(look(ops, path))) for path in lists] == [1, 0])
    until(lambda: all(look(ops, path).headers["Lastmile-Source"] == "cache" for path in lists))
    # The projector has seen the partner once its profile is there.
    until(lambda: look(ops, f"/v1/partners/{partner_id}").headers["Lastmile-Source"] == "cache")
    moved = ops.ask("PUT", f"/v1/partners/{partner_id}", {"profile": profile_of(ops, partner_id) | {"cityCode": new}})
    assert moved.status_code == 200, moved.text
    until(lambda: [len(names_of(look(ops, path))) for path in lists] == [0, 1], 30)


def test_a_merchant_never_gets_anothers_cached_answer(ops: Rest) -> None:
    city = ops.city()
    one, two = ops.merchant(), ops.merchant()
    ops.delivery(city, one)
    callers = {one: ops.key("merchant", merchantId=one), two: ops.key("merchant", merchantId=two)}
    path = f"/v1/deliveries?cityCode={city}"
    counts = {one: 1, two: 0}

    def seen(merchant: str) -> int:
        return len(look(callers[merchant], path).json()["deliveries"])

    until(lambda: seen(one) == 1)
    for _ in range(20):
        for merchant in callers:
            assert seen(merchant) == counts[merchant]
    assert look(callers[one], path).headers["Lastmile-Source"] == "cache"
    # What would make it another's question is refused, or changes nothing.
    assert look(callers[two], f"{path}&merchantId={one}").status_code == 400
    forged = {"X-Merchant-Id": one, "Merchant-Id": one, "Lastmile-Source": "cache"}
    assert look(callers[two], path, **forged).json()["deliveries"] == []
    assert look(callers[two], f"/v1/merchants/{one}").status_code == 404
    assert look(callers[one], f"/v1/merchants/{one}").status_code == 200
    assert look(callers[two], f"/v1/merchants/{one}").status_code == 404


async def test_ones_own_write_is_seen_while_the_standby_stands_still(ops: Rest, running_stack: RunningStack) -> None:
    async with replay_paused(running_stack):
        await asyncio.to_thread(_meet_a_lagging_standby, ops, running_stack)
    path = f"/v1/partners?cityCode={await asyncio.to_thread(ops.city)}"

    def caught_up() -> bool:
        answer = ops.ask("GET", path)
        return answer.status_code == 200 and answer.headers["Lastmile-Source"] == "standby"

    await asyncio.to_thread(until, caught_up)


def _meet_a_lagging_standby(ops: Rest, stack: RunningStack) -> None:
    city = ops.city()
    changed_s = time.monotonic()
    partner_id = ops.partner(city)
    delivery = f"/v1/deliveries/{ops.delivery(city, ops.merchant())}"
    # Its token comes along: it sees its own, from where it is.
    own = ops.ask("GET", delivery)
    assert own.status_code == 200, own.text
    assert (own.headers["Lastmile-Source"], own.headers["Age"]) == ("primary", "0")
    token = ops.http.headers["Consistency-Token"]
    with grpc.insecure_channel(stack.grpc_target) as channel:
        access = ops.post("/v1/tokens", {"apiKey": stack.ops_api_key})["accessToken"]
        sent = (("authorization", f"Bearer {access}"), ("consistency-token", token))
        request = partner_pb2.ListPartnersRequest(city_code=city)
        answer, call = partner_pb2_grpc.PartnerServiceStub(channel).ListPartners.with_call(request, metadata=sent)
        assert [partner.id for partner in answer.partners] == [partner_id]
        assert dict(call.trailing_metadata())["answer-source"] == "primary"
    # Whoever brings none gets what there is, and is told how old that is.
    other = look(ops, delivery)
    assert other.status_code == 404
    asked_s = time.monotonic()
    stale = look(ops, f"/v1/deliveries?cityCode={city}")
    assert stale.json()["deliveries"] == []
    assert int(stale.headers["Lastmile-Age-Ms"]) > (asked_s - changed_s) * 1000 - 1_500
    # Commands never noticed.
    assert ops.ask("POST", "/v1/merchants", {"name": "Test", "reference": f"{city}-2"}).status_code == 200
