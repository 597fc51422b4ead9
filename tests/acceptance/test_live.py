"""Live events on the running platform: what happens comes, to those alone who may see it, and resumes where it was."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from libs.embedded.stack import RunningStack
from tests.live import EventSource
from tests.rest import Rest, until

CREATED, MOVED = "lastmile.delivery.created.v1", "lastmile.delivery.state_changed.v1"
KEY_KNOWN_S = 1.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    told = {
        "LASTMILE_SERVICES": "assignment",
        "LASTMILE_GATEWAY_LIVE__HEARTBEAT_S": "0.3",
        "LASTMILE_GATEWAY_LIVE__FOLLOWERS_OF_CALLER_MAX": "8",
        "LASTMILE_GATEWAY_LIVE__CREDENTIAL_CHECK_S": "0.2",
        "LASTMILE_GATEWAY_CREDENTIALS__KNOWN_S": str(KEY_KNOWN_S),
    }
    with RunningStack(tmp_path_factory.mktemp("live") / "home", told) as started:
        yield started


@pytest.fixture
def ops(stack: RunningStack) -> Rest:
    return Rest(stack.base_url, stack.ops_api_key)


def secret(ops: Rest, role: str, **owner: str) -> str:
    return str(ops.post("/v1/apiKeys", {"name": f"test {role}", "role": f"ROLE_{role}", **owner})["secret"])


def everything(source: EventSource) -> str:
    return json.dumps([[event.name, event.data] for event in source.events])


def test_a_delivery_is_followed_from_its_creation_to_its_partner(stack: RunningStack, ops: Rest) -> None:
    city, merchant = ops.city(), ops.merchant()
    partner = ops.partner(city, acceptance="ACCEPTANCE_AUTOMATIC")
    with (
        EventSource(stack.base_url, stack.ops_api_key, city_code=city) as of_city,
        EventSource(stack.base_url, secret(ops, "MERCHANT", merchantId=merchant)) as of_merchant,
        EventSource(stack.base_url, secret(ops, "PARTNER", partnerId=partner)) as of_partner,
    ):
        assert of_city.headers["content-type"].startswith("text/event-stream")
        assert of_city.headers["x-accel-buffering"] == "no"
        assert of_city.headers["cache-control"] == "no-store"
        delivery = ops.delivery(city, merchant)
        for source in (of_city, of_merchant):
            source.until(lambda source=source: [d["type"] for d in source.of(delivery)][:2] == [CREATED, MOVED])
        of_partner.until(lambda: bool(of_partner.of(delivery)))
        created, moved = of_city.of(delivery)[:2]
        assert created["data"]["delivery"]["details"]["merchantId"] == merchant == created["merchantid"]
        assert (created["specversion"], created["source"], created["citycode"]) == ("1.0", "/assignment", city)
        assert created["datacontenttype"] == "application/json"
        assert moved["data"]["offer"]["partnerId"] == partner
        assert [int(data["sequence"]) for data in of_city.of(delivery)] == [1, 2]
        # As over the RPCs: offers are nothing for a merchant, and other people's merchants nothing for a partner.
        assert "offer" not in of_merchant.of(delivery)[1]["data"]
        assert of_merchant.of(delivery)[1]["data"]["change"]["toState"] == "DELIVERY_STATE_ASSIGNED"
        assert {data["type"] for data in of_partner.of(delivery)} == {MOVED}
        assert merchant not in everything(of_partner)
        assert of_partner.of(delivery)[0]["data"]["offer"]["deliveryId"] == delivery


def test_a_corrected_proof_is_one_more_event_of_its_delivery(stack: RunningStack, ops: Rest) -> None:
    city, merchant = ops.city(), ops.merchant()
    ops.partner(city, acceptance="ACCEPTANCE_AUTOMATIC")
    delivery = ops.delivery(city, merchant)
    until(lambda: ops.state(delivery) == "ASSIGNED")
    for state in ("PICKED_UP", "OUT_FOR_DELIVERY", "DELIVERED"):
        ops.post(f"/v1/deliveries/{delivery}:recordStatus", {"state": f"DELIVERY_STATE_{state}"})
    path = f"/v1/deliveries/{delivery}:correctProof"
    with EventSource(stack.base_url, secret(ops, "MERCHANT", merchantId=merchant)) as of_merchant:
        at = datetime.now(UTC).isoformat()
        refused = ops.key("merchant", merchantId=merchant).ask(
            "POST", path, {"deliveredAt": at, "reason": "WRONG_TIME"}
        )
        assert refused.status_code == 403
        corrected = ops.post(path, {"deliveredAt": at, "reason": "WRONG_TIME"})["delivery"]
        assert (corrected["state"], corrected["version"]) == ("DELIVERY_STATE_DELIVERED", "6")
        of_merchant.until(lambda: "6" in {data["sequence"] for data in of_merchant.of(delivery)})
    (told,) = (data for data in of_merchant.of(delivery) if data["sequence"] == "6")
    change = told["data"]["change"]
    assert (told["type"], change["fromState"], change["toState"]) == (MOVED, *2 * ("DELIVERY_STATE_DELIVERED",))
    assert datetime.fromisoformat(change["occurredAt"]) == datetime.fromisoformat(at)
    assert (change["reason"], "offer" in told["data"]) == ("WRONG_TIME", False)


def test_nobody_gets_what_is_anothers_however_it_asks(stack: RunningStack, ops: Rest) -> None:
    city, own, other = ops.city(), ops.merchant(), ops.merchant()
    ops.partner(city, acceptance="ACCEPTANCE_AUTOMATIC")
    stranger = ops.partner(city)
    theirs = ops.delivery(city, other)
    until(lambda: ops.state(theirs) == "ASSIGNED")
    attacker, partner = secret(ops, "MERCHANT", merchantId=own), secret(ops, "PARTNER", partnerId=stranger)
    with (
        EventSource(stack.base_url, attacker) as everything_own,
        EventSource(stack.base_url, attacker, city_code=city) as of_city,
        EventSource(stack.base_url, attacker, delivery_id=theirs) as of_theirs,
        EventSource(stack.base_url, attacker, merchantId=own.upper(), delivery_id=theirs) as of_both,
        EventSource(stack.base_url, partner, delivery_id=theirs) as of_partner,
    ):
        ops.post(f"/v1/deliveries/{theirs}:cancel", {})
        ops.merchant()
        ops.partner(city)
        ops.city()
        mine = ops.delivery(city, own)
        for source in (everything_own, of_city):
            source.until(lambda source=source: bool(source.of(mine)))
            assert {event.data["merchantid"] for event in source.events} == {own}
        for source in (of_theirs, of_both, of_partner):
            position = everything_own.parser.last_id
            source.until(lambda source=source, position=position: _after(source.parser.last_id, position))
            assert source.events == []
        for source in (everything_own, of_city, of_theirs, of_both, of_partner):
            assert other not in everything(source)
    for key in (attacker, partner):
        refused = _ask(stack, key, merchant_id=other)
        assert refused.status_code == 400
        assert refused.json()["errors"][0]["rule"] == "merchant_id.own"


def test_a_merchants_resume_shows_nothing_of_others_either(stack: RunningStack, ops: Rest) -> None:
    city, own, other = ops.city(), ops.merchant(), ops.merchant()
    with EventSource(stack.base_url, stack.ops_api_key) as source:
        begin = source.parser.last_id
        theirs, mine = ops.delivery(city, other), ops.delivery(city, own)
        source.until(lambda: bool(source.of(mine)))
    key = secret(ops, "MERCHANT", merchantId=own)
    with EventSource(stack.base_url, key, last_event_id=begin) as resumed:
        resumed.until(lambda: bool(resumed.of(mine)))
        assert theirs not in everything(resumed)
    with EventSource(stack.base_url, key, last_event_id=begin, delivery_id=theirs) as resumed:
        resumed.until(lambda: _after(resumed.parser.last_id, begin))
        assert resumed.events == []


def _after(last_id: str, other: str) -> bool:
    return _order(last_id) >= _order(other)


def _order(last_id: str) -> tuple[int, ...]:
    return tuple(map(int, last_id.replace("-", ".").split("."))) if last_id else ()


def _ask(stack: RunningStack, key: str, verb: str = "GET", **query: str) -> httpx.Response:
    """A request that is refused, so that it has an end."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.request(verb, f"{stack.base_url}/v1/live", params=query, headers=headers, timeout=10)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"merchant_id": "x"}, "merchant_id"),
        ({"delivery_id": "' OR 1=1"}, "delivery_id"),
        ({"city_code": "blr; drop"}, "city_code"),
        ({"last_event_id": "0-0"}, "last_event_id"),
        ({"last_event_id": f"1.{2**64}-0"}, "last_event_id"),
        ({"since": "1"}, "since"),
    ],
)
def test_what_cannot_be_asked_is_a_problem(stack: RunningStack, query: dict[str, str], field: str) -> None:
    refused = _ask(stack, stack.ops_api_key, **query)
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in refused.json()["errors"]] == [field]


def test_refusals_are_problems(stack: RunningStack) -> None:
    assert _ask(stack, "lm_wrongwrongwrongwrongwrong").status_code == 401
    assert _ask(stack, "").status_code == 401
    refused = _ask(stack, stack.ops_api_key, "POST")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET")


def test_a_caller_has_no_more_streams_than_it_may(stack: RunningStack, ops: Rest) -> None:
    key, other = (secret(ops, "MERCHANT", merchantId=ops.merchant()) for _ in range(2))
    sources = [EventSource(stack.base_url, key).__enter__() for _ in range(8)]
    refused = _ask(stack, key)
    assert (refused.status_code, refused.json()["reason"]) == (429, "LIVE_STREAMS_TOO_MANY")
    assert int(refused.headers["retry-after"]) >= 1
    with EventSource(stack.base_url, other):
        pass
    for source in sources:
        source.__exit__()

    def opens() -> bool:
        with EventSource(stack.base_url, key, comes_back=False) as source:
            return not source.refusal

    until(opens)


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_credential_that_ends_ends_its_streams(stack: RunningStack, ops: Rest, how: str) -> None:
    ends_at = datetime.now(UTC) + timedelta(seconds=6)
    ends = {"expiresAt": ends_at.isoformat()} if how == "expired" else {}
    made = ops.post("/v1/apiKeys", {"name": "short", "role": "ROLE_OPS", **ends})
    with EventSource(stack.base_url, made["secret"]) as source:
        if how == "revoked":
            assert ops.ask("DELETE", f"/v1/apiKeys/{made['apiKey']['id']}").status_code == 200
        source.until(lambda: bool(source.refusal))
        assert source.refusal["reason"] == "CREDENTIAL_INVALID"
        assert [event.data["reason"] for event in source.named("end")] == ["CREDENTIAL_ENDED"]
        assert source.statuses == [200, 401]


def test_streams_that_show_nothing_live_and_move_on(stack: RunningStack, ops: Rest) -> None:
    with EventSource(stack.base_url, stack.ops_api_key, city_code="NOWHERE") as source:
        begin = source.parser.last_id
        assert source.parser.retry_ms == 2_000
        ops.merchant()
        source.until(lambda: len(source.parser.comments) > 2 and source.parser.last_id != begin)
        assert source.events == []
        assert all(comment.startswith("alive") for comment in source.parser.comments)


def test_an_id_of_another_epoch_has_the_client_load_anew(stack: RunningStack, ops: Rest) -> None:
    with EventSource(stack.base_url, stack.ops_api_key, last_event_id="1.77-0") as source:
        source.until(lambda: bool(source.named("reset")))
        assert source.events[0].data["reason"] == "OTHER_EPOCH"
        ops.merchant()
        source.until(lambda: len(source.events) == 2)
    with EventSource(stack.base_url, stack.ops_api_key, last_event_id=source.events[0].last_id) as resumed:
        resumed.until(lambda: bool(resumed.events))
        assert resumed.events[0].name == "lastmile.merchant.created.v1"


def test_the_command_line_follows_over_the_death_of_the_gateway(stack: RunningStack, ops: Rest) -> None:
    known = {"LASTMILE_API_KEY": stack.ops_api_key, "LASTMILE_GATEWAY_URL": stack.base_url}
    with EventSource(stack.base_url, stack.ops_api_key) as source:
        city, merchant = ops.city(), ops.merchant()
        # The city's own event is before it in the log, and is not what is followed here.
        source.until(lambda: f"merchants/{merchant}" in [event.data["subject"] for event in source.events])
        begin = source.parser.last_id
    command = [sys.executable, "-m", "cli", "live", "--city", city, "--after", begin, "--count", "3", "--json"]
    with subprocess.Popen(
        command, env=stack.environment | known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as following:
        assert following.stdout is not None
        first = ops.delivery(city, merchant)
        assert json.loads(following.stdout.readline())["subject"] == f"deliveries/{first}"
        stack.kill("gateway")
        stack.wait_ready()
        deliveries = [ops.delivery(city, merchant) for _ in range(2)]
        output, errors = following.communicate(timeout=60)
    assert following.returncode == 0, errors
    subjects = [json.loads(line)["subject"] for line in output.splitlines()]
    assert subjects == [f"deliveries/{delivery}" for delivery in deliveries]


def test_the_command_line_shows_whatever_a_merchant_writes(stack: RunningStack, ops: Rest) -> None:
    known = {"LASTMILE_API_KEY": stack.ops_api_key, "LASTMILE_GATEWAY_URL": stack.base_url}
    with EventSource(stack.base_url, stack.ops_api_key) as source:
        begin = source.parser.last_id
    # Each of these is the end of a line to somebody.
    note = "second\nfloor\u2028third\u0085door"
    delivery = ops.delivery(ops.city(), ops.merchant())
    ops.post(f"/v1/deliveries/{delivery}:cancel", {"note": note})
    command = [sys.executable, "-m", "cli", "live", "--delivery", delivery, "--after", begin, "--count", "2", "--json"]
    done = subprocess.run(
        command, env=stack.environment | known, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.split("\n")[1])["data"]["change"]["note"] == note


def test_the_command_line_says_why_it_is_refused(stack: RunningStack) -> None:
    known = {"LASTMILE_API_KEY": "lm_wrongwrongwrongwrongwrong", "LASTMILE_GATEWAY_URL": stack.base_url}
    done = subprocess.run(
        [sys.executable, "-m", "cli", "live"], env=stack.environment | known, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "CREDENTIAL_INVALID" in done.stderr
