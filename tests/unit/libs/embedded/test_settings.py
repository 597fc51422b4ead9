import pytest

from libs.embedded.errors import SettingsError
from libs.embedded.settings import POSTGRES_DSN_FIELDS, load_settings, variable


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("LASTMILE_"):
            monkeypatch.delenv(name)


def test_nothing_has_to_be_set() -> None:
    settings = load_settings()
    assert settings.embeds_postgres
    assert settings.embeds_redis
    assert settings.home_path.is_absolute()


@pytest.mark.parametrize("missing", POSTGRES_DSN_FIELDS)
def test_a_half_given_postgresql_names_the_missing_variable(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    for field in POSTGRES_DSN_FIELDS:
        if field != missing:
            monkeypatch.setenv(variable(field), "postgresql://db/lastmile")
    with pytest.raises(SettingsError, match=f"^{variable(missing)} missing"):
        _ = load_settings().embeds_postgres


def test_servers_that_are_given_need_no_ports_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in POSTGRES_DSN_FIELDS:
        monkeypatch.setenv(variable(field), "postgresql://db/lastmile")
    monkeypatch.setenv("LASTMILE_REDIS_URL", "redis://cache/0")
    settings = load_settings()
    assert not settings.embeds_postgres
    assert not settings.embeds_redis
    assert settings.server_ports() == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LASTMILE_REDIS_PORT", "0"),
        ("LASTMILE_GATEWAY_HTTP_PORT", "65536"),
        ("LASTMILE_POSTGRES_PORT", "many"),
        ("LASTMILE_HOST", "0.0.0.0"),
        ("LASTMILE_DEMO_RATE_PER_MIN", "-1"),
        ("LASTMILE_MATCHER_PROCESSES", "0"),
    ],
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name):
        load_settings()


def test_two_settings_on_one_port_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTMILE_ASSIGNMENT_PORT", "15432")
    with pytest.raises(SettingsError, match="LASTMILE_ASSIGNMENT_PORT and LASTMILE_POSTGRES_PORT are both 15432"):
        load_settings()


def test_each_matcher_has_a_port_and_they_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LASTMILE_MATCHER_PROCESSES", "3")
    assert {15053, 15054, 15055} <= set(load_settings().service_ports().values())
    monkeypatch.setenv("LASTMILE_GATEWAY_HTTP_PORT", "15055")
    with pytest.raises(SettingsError, match="15055"):
        load_settings()


def test_a_given_dsn_is_not_shown() -> None:
    settings = load_settings(redis_url="redis://:hidden@cache/0")
    assert "hidden" not in repr(settings)
