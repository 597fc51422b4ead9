"""A matching rule that is one new file, as clients of the REST API meet it: listed, configured, weighed, explained."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.embedded.free_ports import free_ports
from libs.embedded.stack import EmbeddedServers
from services.assignment.settings import ApiSettings
from services.gateway.app import serve_gateway
from services.gateway.settings import GatewaySettings
from tests.rest import CENTER, Json, Rest, until
from tests.unit.services.assignment.matching.rules.new_rules import MONSOON, rule_file

pytestmark = pytest.mark.usefixtures("matcher", "assignment_api")
POLICY = {"windowMs": 50, "windowDeliveriesMax": 500, "pickupDistanceMMax": 8000, "offerTtlS": 60}


@pytest.fixture
async def rest(embedded_servers: EmbeddedServers, api_settings: ApiSettings) -> AsyncIterator[Rest]:
    """Ops, before a gateway in this process, where a test can bring a rule along."""
    known, (http_port, grpc_port) = embedded_servers.service_environment, free_ports(2)
    settings = GatewaySettings(
        gateway_http_port=http_port,
        gateway_grpc_port=grpc_port,
        assignment_target=f"{api_settings.host}:{api_settings.assignment_port}",
        gateway_dsn=known["LASTMILE_GATEWAY_DSN"],
        gateway_query_dsn=known["LASTMILE_GATEWAY_QUERY_DSN"],
        gateway_fallback_dsn=known["LASTMILE_GATEWAY_FALLBACK_DSN"],
        redis_url=known["LASTMILE_REDIS_URL"],
        token_private_key_file=known["LASTMILE_TOKEN_PRIVATE_KEY_FILE"],
        token_public_key_file=known["LASTMILE_TOKEN_PUBLIC_KEY_FILE"],
        gateway_bootstrap_ops_key_file=known["LASTMILE_GATEWAY_BOOTSTRAP_OPS_KEY_FILE"],
    )
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_gateway(settings, stop))
    key = Path(known["LASTMILE_GATEWAY_BOOTSTRAP_OPS_KEY_FILE"]).read_text().strip()
    client = Rest(f"http://{settings.host}:{http_port}", key)
    await asyncio.to_thread(until, lambda: is_ready(client))
    yield client
    client.http.close()
    stop.set()
    await serving


def is_ready(client: Rest) -> bool:
    try:
        return client.http.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


async def test_a_new_rule_of_one_file_is_listed_configured_weighed_and_explained_over_rest(
    rest: Rest, tmp_path: Path
) -> None:
    with rule_file(tmp_path, "monsoon", MONSOON):
        await asyncio.to_thread(meet_the_monsoon, rest)


def meet_the_monsoon(ops: Rest) -> None:
    """What a client sees of the rule from its listing to a delivery that it priced."""
    listed = {rule["name"]: rule for rule in ops.get("/v1/matching-rules?pageSize=100")["rules"]}
    assert (listed["monsoon"]["reason"], listed["monsoon"]["weight"]) == ("TOO_WET", 2)
    assert listed["monsoon"]["parameters"] == {"puddle_s": 7, "rains": 1}
    assert listed["monsoon"]["description"].startswith("Keeps two-wheelers out of the rain")
    city, merchant = ops.city(), ops.merchant()
    partner = ops.partner(city)
    delivery = ops.delivery(city, merchant)

    def explained(outcome: str) -> Json | None:
        answer: Json = ops.ask("GET", f"/v1/deliveries/{delivery}/explanation").json()
        found: Json = answer.get("explanation", {})
        return found if found.get("outcome") == outcome else None

    said = until(lambda: explained("NO_FEASIBLE_PARTNER"))
    assert said["partnersLost"] == {"TOO_WET": 1}
    assert ops.get(f"/v1/deliveries/{delivery}")["delivery"]["unassignedReason"] == "TOO_WET"
    unknown = policy_with({"parameters": {"wind": 1}})
    refused = ops.ask("PUT", f"/v1/cities/{city}/policy", unknown)
    assert refused.status_code == 400
    assert "monsoon has puddle_s, rains" in refused.text
    dry = policy_with({"weight": 3, "parameters": {"rains": 0, "puddle_s": 11}})
    stored = ops.ask("PUT", f"/v1/cities/{city}/policy", dry)
    assert stored.status_code == 200, stored.text
    assert ops.get(f"/v1/cities/{city}")["city"]["policy"]["rules"] == dry["rules"]
    assert until(lambda: ops.live_offer(delivery))["partnerId"] == partner
    assert until(lambda: explained("ASSIGNED"))["chosen"]["termsS"]["monsoon"] == 33
    match_on_demand(ops, dry)


def match_on_demand(ops: Rest, dry: Json) -> None:
    """The same rule in a match that nothing is stored of: as it ships, and as the caller configures it."""
    room = {"parcelsMax": 1, "weightGMax": 9, "volumeCm3Max": 9, "sideMmMax": 9}
    problem: Json = {
        "packages": [
            {
                "id": "parcel",
                "pickup": CENTER,
                "drop": CENTER,
                "weightG": 1,
                "dimensions": {"lengthMm": 1, "widthMm": 1, "heightMm": 1},
            }
        ],
        "partners": [{"id": "asha", "location": CENTER, "vehicle": "VEHICLE_MOTORCYCLE", "capacityLeft": room}],
    }
    (lost,) = ops.post("/v1/matches:solve", problem)["results"]
    assert (lost["outcome"], lost["partnersLost"]) == ("NO_FEASIBLE_PARTNER", {"TOO_WET": 1})
    (chosen,) = ops.post("/v1/matches:solve", problem | {"policy": dry})["results"]
    assert chosen["chosen"]["termsS"]["monsoon"] == 33


def policy_with(setting: dict[str, Any]) -> Json:
    return POLICY | {"rules": {"monsoon": setting}}
