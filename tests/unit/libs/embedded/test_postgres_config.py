from pathlib import Path

from libs.embedded.postgres_config import config_text, host_rules, render_config, standby_config
from libs.embedded.settings import PlatformSettings

SETTINGS = PlatformSettings(postgres_port=1111, standby_port=2222)


def test_values_cannot_end_their_quotes() -> None:
    assert "name = 'it''s a \\\\ path'\n" in config_text({"name": "it's a \\ path"})


def test_the_standby_allows_everything_that_the_primary_does() -> None:
    primary, standby = render_config(SETTINGS, port=1111), render_config(SETTINGS, port=2222)
    differing = {name for name in primary if primary[name] != standby[name]}
    assert differing == {"port"}


def test_more_is_logged_between_checkpoints_where_more_is_in_memory() -> None:
    told = {
        mb: render_config(SETTINGS.model_copy(update={"postgres_shared_buffers_mb": mb}), port=1) for mb in (128, 2048)
    }
    assert [config["max_wal_size"] for config in told.values()] == ["2048MB", "4096MB"]


def test_the_standby_follows_the_primary_with_a_password_file() -> None:
    config = standby_config(SETTINGS, Path("/run/password"))
    assert "port=1111" in config["primary_conninfo"]
    assert "passfile='/run/password'" in config["primary_conninfo"]
    assert "password=" not in config["primary_conninfo"]


def test_only_this_machine_may_connect_and_only_with_a_password() -> None:
    rules = [line for line in host_rules(SETTINGS).splitlines() if not line.startswith("#")]
    assert all(line.split()[3] == "127.0.0.1/32" for line in rules)
    assert {line.split()[4] for line in rules} == {"scram-sha-256", "reject"}
