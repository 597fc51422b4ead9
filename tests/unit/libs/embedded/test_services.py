from pathlib import Path

import pytest

from libs.embedded.layout import Layout
from libs.embedded.nodes import ProcessSpec
from libs.embedded.secret_store import SecretStore
from libs.embedded.services import demo_spec, service_specs
from libs.embedded.settings import POSTGRES_DSN_FIELDS, PlatformSettings
from libs.embedded.wiring import Connections

KNOWN = Connections({field: f"postgresql://{field}" for field in POSTGRES_DSN_FIELDS}, "redis://cache")
SECRET = ("DSN", "REDIS_URL", "KEY_FILE", "VAULT_FILE")


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ProcessSpec]:
    for name in ("LASTMILE_MIGRATION_DSN", "LASTMILE_GATEWAY_DSN", "LASTMILE_TOKEN_PRIVATE_KEY_FILE", "AWS_SECRET"):
        monkeypatch.setenv(name, "not for everyone")
    monkeypatch.setenv("LASTMILE_LOG_LEVEL", "DEBUG")
    settings = PlatformSettings(home=tmp_path, assignment_api_processes=2, matcher_processes=2)
    layout, secrets = Layout(tmp_path, tmp_path / "servers", None), SecretStore(tmp_path / "secrets")
    found = service_specs(settings, layout, secrets, KNOWN, ("tables",))
    found.append(demo_spec(settings, layout, secrets, tuple(spec.name for spec in found)))
    return {spec.name: spec for spec in found}


def secrets_of(spec: ProcessSpec) -> set[str]:
    return {name.removeprefix("LASTMILE_") for name in spec.environment if name.endswith(SECRET)}


def test_every_process_knows_only_the_secrets_it_works_with(specs: dict[str, ProcessSpec]) -> None:
    api = {
        "ASSIGNMENT_DSN",
        "ASSIGNMENT_QUERY_DSN",
        "ASSIGNMENT_FALLBACK_DSN",
        "REDIS_URL",
        "TOKEN_PUBLIC_KEY_FILE",
        "CONTACT_PUBLIC_KEY_FILE",
    }
    assert secrets_of(specs["assignment-api-1"]) == secrets_of(specs["assignment-queries"]) == api
    assert secrets_of(specs["assignment-matcher-1"]) == {"MATCHER_DSN", "REDIS_URL", "TOKEN_PUBLIC_KEY_FILE"}
    assert secrets_of(specs["gateway"]) == {
        "GATEWAY_DSN",
        "GATEWAY_QUERY_DSN",
        "GATEWAY_FALLBACK_DSN",
        "REDIS_URL",
        "TOKEN_PUBLIC_KEY_FILE",
        "TOKEN_PRIVATE_KEY_FILE",
        "GATEWAY_BOOTSTRAP_OPS_KEY_FILE",
    }
    assert secrets_of(specs["assignment-consumer"]) == {"ASSIGNMENT_DSN", "REDIS_URL"}
    assert secrets_of(specs["assignment-dispatcher"]) == {"ASSIGNMENT_DSN", "REDIS_URL"}
    assert secrets_of(specs["relay"]) == {"RELAY_DSN", "REDIS_URL", "TOKEN_PUBLIC_KEY_FILE"}
    assert secrets_of(specs["notification-api"]) == {
        "NOTIFICATION_DSN",
        "NOTIFICATION_QUERY_DSN",
        "NOTIFICATION_FALLBACK_DSN",
        "NOTIFICATION_VAULT_FILE",
        "REDIS_URL",
        "TOKEN_PUBLIC_KEY_FILE",
    }
    worker = {"NOTIFICATION_WORKER_DSN", "NOTIFICATION_VAULT_FILE", "REDIS_URL"}
    assert secrets_of(specs["notification-consumer"]) == worker | {"CONTACT_PRIVATE_KEY_FILE"}
    assert secrets_of(specs["notification-sender"]) == worker
    assert secrets_of(specs["reconciliation-api"]) == {
        "RECONCILIATION_DSN",
        "RECONCILIATION_QUERY_DSN",
        "RECONCILIATION_FALLBACK_DSN",
        "TOKEN_PUBLIC_KEY_FILE",
    }
    assert secrets_of(specs["reconciliation-consumer"]) == {"RECONCILIATION_CONSUMER_DSN", "REDIS_URL"}
    assert secrets_of(specs["reconciliation-worker"]) == {"RECONCILIATION_WORKER_DSN"}
    assert secrets_of(specs["demo"]) == {"API_KEY_FILE"}


def test_what_providers_are_told_is_told_to_the_notification_service_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LASTMILE_NOTIFICATION_TWILIO_AUTH_TOKEN", "secret")
    layout, secrets = Layout(tmp_path, tmp_path / "servers", None), SecretStore(tmp_path / "secrets")
    found = service_specs(PlatformSettings(home=tmp_path), layout, secrets, KNOWN, ("tables",))
    told = {spec.name for spec in found if "secret" in spec.environment.values()}
    assert told == {"notification-api", "notification-consumer", "notification-sender"}


@pytest.mark.parametrize(("route", "told"), [("ses", {"notification-sender"}), ("smtp", set())])
def test_credentials_of_aws_are_told_to_a_sender_that_uses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, route: str, told: set[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("LASTMILE_NOTIFICATION_ROUTES", f'{{"email": ["{route}"]}}')
    layout, secrets = Layout(tmp_path, tmp_path / "servers", None), SecretStore(tmp_path / "secrets")
    found = service_specs(PlatformSettings(home=tmp_path), layout, secrets, KNOWN, ("tables",))
    assert {spec.name for spec in found if "secret" in spec.environment.values()} == told


def test_nothing_secret_of_the_shell_is_passed_on(specs: dict[str, ProcessSpec]) -> None:
    for spec in specs.values():
        assert "not for everyone" not in spec.environment.values()
        assert spec.environment["LASTMILE_LOG_LEVEL"] == "DEBUG"


def test_apis_share_a_port_and_the_one_for_reads_and_each_matcher_have_their_own(specs: dict[str, ProcessSpec]) -> None:
    assert specs["assignment-api-1"].ports == (15051, 15070)
    assert specs["assignment-api-2"].ports == (15051, 15071)
    assert specs["assignment-queries"].ports == (15050, 15060)
    assert specs["assignment-queries"].environment["LASTMILE_ASSIGNMENT_PORT"] == "15050"
    assert specs["assignment-api-1"].environment["LASTMILE_ASSIGNMENT_PORT"] == "15051"
    assert specs["assignment-queries"].environment["LASTMILE_ASSIGNMENT_NICENESS"] == "5"
    assert specs["gateway"].environment["LASTMILE_ASSIGNMENT_QUERIES_TARGET"] == "127.0.0.1:15050"
    assert specs["assignment-matcher-2"].ports == (15054, 15081)
    assert specs["assignment-matcher-2"].environment["LASTMILE_MATCHER_PORT"] == "15054"


def test_services_start_together_and_the_demo_after_them(specs: dict[str, ProcessSpec]) -> None:
    services = {name for name in specs if name != "demo"}
    assert all(specs[name].needs == ("tables",) for name in services)
    assert set(specs["demo"].needs) == services


def test_what_is_left_out_does_not_run(tmp_path: Path) -> None:
    layout, secrets = Layout(tmp_path, tmp_path / "servers", None), SecretStore(tmp_path / "secrets")
    settings = PlatformSettings(home=tmp_path, services="assignment, reconciliation")
    names = {spec.name for spec in service_specs(settings, layout, secrets, KNOWN, ("tables",))}
    assert {"gateway", "relay", "assignment-api", "reconciliation-api"} <= names
    assert not [name for name in names if name.startswith("notification")]
    with pytest.raises(ValueError, match="'billing' is none of them"):
        PlatformSettings(home=tmp_path, services="assignment,billing")
