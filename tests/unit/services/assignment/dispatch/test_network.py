import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.assignment.dispatch.adapters.base import adapters_of, discovered, dispatched
from services.assignment.dispatch.network import NetworkConfig, Secrets, load_networks


def written(path: Path, *networks: dict[str, Any]) -> Path:
    file = path / "networks.json"
    file.write_text(json.dumps(networks))
    return file


def test_no_file_is_no_network() -> None:
    assert load_networks(None) == {}


def test_a_network_twice_is_refused(tmp_path: Path) -> None:
    network = {"code": "lent", "base_url": "http://peer.test"}
    assert set(load_networks(written(tmp_path, network))) == {"lent"}
    with pytest.raises(ValueError, match="twice"):
        load_networks(written(tmp_path, network, network))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"code": "No Such Code"}, "code"),
        ({"api_token": "secret"}, "file:<path> or env:<name>"),
        ({"webhook_secrets": ["whsec_abc"]}, "file:<path> or env:<name>"),
        ({"mapping": {"offer": {"path": "/o", "body": {"x": "colour"}}}}, "colour"),
        ({"mapping": {"end": {"path": "/o/{colour}"}}}, "colour"),
        ({"mapping": {"callback": {"types": {"smiled": "smile"}}}}, "smile"),
        ({"limits": {"deadline_ms": 10}}, "deadline_ms"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_what_is_wrong_with_a_network_is_said_at_the_start(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        NetworkConfig(**({"code": "lent", "base_url": "http://peer.test"} | changes))


def test_each_adapter_is_a_file_and_the_app_sends_nothing(tmp_path: Path) -> None:
    assert set(discovered()) == {"app", "http"}
    networks = load_networks(
        written(tmp_path, {"code": "lent", "base_url": "http://peer.test"}, {"code": "ours", "adapter": "app"})
    )
    assert dispatched(networks) == {"lent"}
    assert set(adapters_of(networks, 1.0)) == {"lent", "ours"}


def test_an_adapter_that_is_not_there_or_has_no_address_stops_the_start() -> None:
    with pytest.raises(ValueError, match="there are app, http"):
        dispatched({"x": NetworkConfig(code="x", adapter="fax")})
    with pytest.raises(ValueError, match="base_url"):
        adapters_of({"x": NetworkConfig(code="x")}, 1.0)


def test_a_secret_that_is_replaced_is_known_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, now_s = tmp_path / "secret", [0.0]
    file.write_text("one\n")
    monkeypatch.setenv("ANOTHER_SECRET", "two")
    secrets = Secrets([f"file:{file}", "env:ANOTHER_SECRET", ""], 30.0, lambda: now_s[0])
    assert secrets.values() == ["one", "two"]
    file.write_text("three")
    assert secrets.values() == ["one", "two"]
    now_s[0] = 31.0
    assert secrets.values() == ["three", "two"]
