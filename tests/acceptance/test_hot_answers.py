"""Answers that the gateway gives again by itself: to whom they belong, until something outdates them, and 304."""

import httpx

from libs.embedded.stack import RunningStack
from tests.rest import Rest, until


def look(rest: Rest, path: str, **headers: str) -> httpx.Response:
    """Read without a token: whatever there is."""
    told = {"Authorization": rest.http.headers["Authorization"]} | headers
    return httpx.get(f"{rest.base_url}{path}", headers=told, timeout=30)


def calls(stack: RunningStack) -> float:
    """How many answers the api for reads has given from its cache."""
    url = f"http://{stack.settings.host}:{stack.settings.assignment_queries_metrics_port}/metrics"
    lines = httpx.get(url, timeout=30).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("lastmile_cache_hits_total"))


def test_a_hot_answer_costs_its_service_nothing(ops: Rest, running_stack: RunningStack) -> None:
    path = f"/v1/partners?cityCode={ops.city()}"

    def is_hot() -> bool:
        before = calls(running_stack)
        answers = [look(ops, path) for _ in range(10)]
        assert {answer.status_code for answer in answers} == {200}
        ages = [int(answer.headers["Lastmile-Age-Ms"]) for answer in answers if "Lastmile-Age-Ms" in answer.headers]
        sources = {answer.headers["Lastmile-Source"] for answer in answers}
        return sources == {"cache"} and len(ages) == 10 and calls(running_stack) == before

    until(is_hot)


def test_who_has_the_content_is_told_that_it_is_unchanged_until_it_changes(ops: Rest) -> None:
    city = ops.city()
    path = f"/v1/partners?cityCode={city}"
    until(lambda: look(ops, path).headers["Lastmile-Source"] == "cache")
    tag = look(ops, path).headers["ETag"]
    unchanged = look(ops, path, **{"If-None-Match": tag})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == tag
    assert int(unchanged.headers["Lastmile-Age-Ms"]) >= 0
    partner = ops.partner(city)

    def is_told() -> bool:
        answer = look(ops, path, **{"If-None-Match": tag})
        assert answer.status_code in {200, 304}, answer.text
        return answer.status_code == 200 and [one["id"] for one in answer.json()["partners"]] == [partner]

    until(is_told)


def test_nobody_is_given_anothers_hot_answer(ops: Rest) -> None:
    city = ops.city()
    one, two = ops.merchant(), ops.merchant()
    delivery = ops.delivery(city, one)
    callers = {one: ops.key("merchant", merchantId=one), two: ops.key("merchant", merchantId=two)}
    path = f"/v1/deliveries?cityCode={city}"

    def seen(merchant: str, **headers: str) -> list[str]:
        return [found["id"] for found in look(callers[merchant], path, **headers).json()["deliveries"]]

    until(lambda: seen(one) == [delivery])
    until(lambda: look(callers[one], path).headers["Lastmile-Source"] == "cache")
    tag = look(callers[one], path).headers["ETag"]
    for _ in range(10):
        assert seen(one) == [delivery]
        assert seen(two, **{"If-None-Match": tag}) == []
        # What names another does not open it.
        assert seen(two, **{"X-Merchant-Id": one}) == []
    assert look(callers[two], f"/v1/partners?cityCode={city}").status_code == 403
    assert httpx.get(f"{ops.base_url}{path}", timeout=30).status_code == 401


def test_ones_own_write_is_seen_though_an_answer_is_hot(ops: Rest) -> None:
    city = ops.city()
    path = f"/v1/partners?cityCode={city}"
    known: list[str] = []
    for _ in range(5):
        until(lambda: look(ops, path).headers["Lastmile-Source"] == "cache")
        known.insert(0, ops.partner(city))
        # The token of the command comes along.
        assert [one["id"] for one in ops.get(path)["partners"]] == known


def test_a_revoked_key_opens_no_hot_answer(ops: Rest) -> None:
    merchant, path = ops.merchant(), "/v1/deliveries"
    made = ops.post("/v1/apiKeys", {"name": "test", "role": "ROLE_MERCHANT", "merchantId": merchant})
    caller = Rest(ops.base_url, made["secret"])
    until(lambda: look(caller, path).headers.get("Lastmile-Source") == "cache")
    assert ops.ask("DELETE", f"/v1/apiKeys/{made['apiKey']['id']}").status_code == 200
    assert look(caller, path).status_code == 401


def test_a_read_with_a_body_is_refused_though_its_answer_is_hot(ops: Rest) -> None:
    path = f"/v1/partners?cityCode={ops.city()}"
    until(lambda: look(ops, path).headers["Lastmile-Source"] == "cache")
    for headers in ({"X-Request-Timeout-Ms": "1"}, {"Consistency-Token": "nonsense"}):
        assert look(ops, path, **headers).status_code == 400
    told = {"Authorization": ops.http.headers["Authorization"]}
    refused = httpx.request("GET", f"{ops.base_url}{path}", headers=told, content=b"{}", timeout=30)
    assert (refused.status_code, refused.json()["reason"]) == (400, "UNEXPECTED_BODY")
