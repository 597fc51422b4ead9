"""Real servers under the real supervisor: what was committed survives the killing of anything."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
import redis

from libs.embedded.free_ports import free_ports
from libs.embedded.layout import readable_by
from libs.embedded.process_info import ProcessIdentity, identify, is_alive, processes_in
from libs.embedded.secret_store import SERVICE_ROLES
from libs.embedded.settings import variable
from libs.embedded.stack import PORT_FIELDS, EmbeddedServers
from libs.embedded.state import live_orphans

DEADLINE_S = 120.0
SERVERS = ("postgres", "postgres-standby", "valkey")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServers]:
    """Servers of this module's own, because its tests kill them."""
    home = tmp_path_factory.mktemp("embedded") / "home"
    with EmbeddedServers(home, {"LASTMILE_STANDBY_REBUILD_AFTER_S": "2"}) as started:
        yield started


async def until(condition, what: str, timeout_s: float = DEADLINE_S) -> None:
    """Poll a sync or async condition until it holds."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline_s, f"{what} did not happen within {timeout_s} s"
        await asyncio.sleep(0.05)


async def _none(servers: EmbeddedServers, counting: str) -> bool:
    return await query(servers.dsn(), counting) == 0


async def query(dsn: str, sql: str, *arguments: object) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(sql, *arguments)
    finally:
        await connection.close()


async def write_row(servers: EmbeddedServers, value: int) -> None:
    await query(servers.dsn(), "CREATE TABLE IF NOT EXISTS public.survivors (value integer PRIMARY KEY)")
    await query(servers.dsn(), "INSERT INTO public.survivors VALUES ($1)", value)


async def standby_has(servers: EmbeddedServers, value: int) -> bool:
    try:
        sql = "SELECT EXISTS (SELECT FROM public.survivors WHERE value = $1)"
        return bool(await query(servers.dsn(standby=True), sql, value))
    except (OSError, asyncpg.PostgresError):
        return False


def lastmile(servers: EmbeddedServers, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=servers.environment | environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


async def test_roles_reach_only_what_is_theirs(servers: EmbeddedServers) -> None:
    assert await query(servers.dsn("assignment_api"), "SELECT current_user") == "assignment_api"
    assert await query(servers.dsn("gateway", standby=True), "SELECT pg_is_in_recovery()") is True
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await query(servers.dsn("gateway", database="lastmile"), "CREATE TABLE public.mine (id integer)")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(servers.dsn("gateway").replace("gateway:", "gateway:x"), "SELECT 1")


async def test_the_database_keeps_its_promises_of_durability(servers: EmbeddedServers) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "wal_level": "logical",
        "server_encoding": "UTF8",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
    }
    for name, value in expected.items():
        assert await query(servers.dsn(), "SELECT current_setting($1)", name) == value
    store = redis.Redis.from_url(servers.redis_url)
    with closing(store):
        assert store.config_get("appendonly") == {"appendonly": "yes"}
        assert store.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_passwords_are_on_no_command_line_and_in_no_readable_file(servers: EmbeddedServers) -> None:
    secrets = [path.read_text().strip() for path in servers.layout.secrets.glob("*_password")]
    # Besides the services: the owner, the replication, and Valkey.
    assert len(secrets) == len(SERVICE_ROLES) + 3
    for process in servers.state().processes:
        command = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        assert not any(secret in command for secret in secrets)
    for path in servers.layout.secrets.iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert not any(secret in servers.log_text() for secret in secrets)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to change to")
def test_as_root_the_servers_run_as_nobody(servers: EmbeddedServers) -> None:
    nobody = servers.layout.account
    assert nobody is not None
    for name in SERVERS:
        status = Path(f"/proc/{servers.process(name).pid}/status").read_text()
        assert f"Uid:\t{nobody.uid}\t{nobody.uid}" in status
        assert "Groups:\t \n" in status


@pytest.mark.parametrize("name", SERVERS)
async def test_a_killed_server_comes_back_with_everything_that_was_committed(
    servers: EmbeddedServers, name: str
) -> None:
    value = SERVERS.index(name)
    await write_row(servers, value)
    store = redis.Redis.from_url(servers.redis_url)
    with closing(store):
        store.set(f"survivor:{value}", "here")
    restarts = servers.process(name).restarts

    killed = servers.kill(name)
    servers.wait_ready(DEADLINE_S)

    assert servers.process(name).pid != killed
    assert servers.process(name).restarts > restarts
    assert await query(servers.dsn(), "SELECT count(*) FROM public.survivors WHERE value = $1", value) == 1
    await until(lambda: standby_has(servers, value), "replication")
    with closing(store):
        assert store.get(f"survivor:{value}") == b"here"


async def test_the_primary_comes_back_although_a_busy_session_outlives_its_server(servers: EmbeddedServers) -> None:
    busy = await asyncpg.connect(servers.dsn())
    backend_pid = await busy.fetchval("SELECT pg_backend_pid()")
    # Computes without ever waiting, so it does not notice that its server is gone.
    endless = asyncio.create_task(busy.execute("SELECT count(*) FROM generate_series(1, 1000000000000)"))
    try:
        await until(
            lambda: query(servers.dsn(), "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $1", backend_pid),
            "the query",
        )
        servers.kill("postgres")
        servers.wait_ready(DEADLINE_S)
        assert identify(backend_pid) is None
        assert await query(servers.dsn(), "SELECT 1") == 1
    finally:
        busy.terminate()
        await asyncio.gather(endless, return_exceptions=True)


async def test_killing_the_supervisor_ends_its_processes_and_loses_nothing(servers: EmbeddedServers) -> None:
    await write_row(servers, 100)
    identities = [ProcessIdentity(one.pid or 0, one.token or "") for one in servers.state().processes]
    assert len(identities) == 3
    servers.kill("supervisor")
    await until(lambda: not any(is_alive(identity) for identity in identities), "the end of every process")
    servers.start()
    assert await query(servers.dsn(), "SELECT count(*) FROM public.survivors WHERE value = 100") == 1
    await until(lambda: standby_has(servers, 100), "replication")


async def test_everything_killed_at_once_comes_back(servers: EmbeddedServers) -> None:
    await write_row(servers, 101)
    for process in servers.state().processes:
        # Nought would be this process's own group.
        assert process.pid, process
        os.kill(process.pid, signal.SIGKILL)
    servers.kill("supervisor")
    servers.start()
    assert await query(servers.dsn(), "SELECT count(*) FROM public.survivors WHERE value = 101") == 1


async def test_a_process_that_could_not_end_is_ended_by_the_next_supervisor(servers: EmbeddedServers) -> None:
    suspended = servers.process("valkey")
    assert suspended.pid
    os.kill(suspended.pid, signal.SIGSTOP)  # the death signal then has no effect
    servers.kill("supervisor")
    await until(lambda: [one.name for one in live_orphans(servers.layout)] == ["valkey"], "the end of the others")
    assert suspended.is_live
    servers.start()
    assert not suspended.is_live
    assert "ending valkey" in servers.log_text()


async def test_a_standby_whose_data_is_gone_is_copied_again(servers: EmbeddedServers) -> None:
    await write_row(servers, 200)
    shutil.rmtree(servers.layout.standby)
    servers.kill("postgres-standby")
    servers.wait_ready(DEADLINE_S)
    await until(lambda: standby_has(servers, 200), "replication")
    assert "there is no standby: copying the primary" in servers.log_text()


async def test_a_standby_that_can_no_longer_follow_is_copied_again(servers: EmbeddedServers) -> None:
    await write_row(servers, 201)
    standby = servers.process("postgres-standby")
    # The sender is ended and its slot dropped before the standby can take it again.
    assert standby.pid
    os.kill(standby.pid, signal.SIGSTOP)
    for pid in processes_in(servers.layout.standby, "postgres"):
        os.kill(pid, signal.SIGSTOP)
    await query(servers.dsn(), "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots")
    active = "SELECT count(*) FROM pg_replication_slots WHERE active"
    await until(lambda: _none(servers, active), "the end of the sender")
    await query(servers.dsn(), "SELECT pg_drop_replication_slot('standby')")
    for pid in processes_in(servers.layout.standby, "postgres"):
        os.kill(pid, signal.SIGCONT)
    await write_row(servers, 202)
    await until(lambda: standby_has(servers, 202), "the new copy")
    servers.wait_ready(DEADLINE_S)
    assert "received nothing for too long" in servers.log_text()
    slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'standby' AND active"
    await until(lambda: query(servers.dsn(), slots), "streaming")


def test_a_second_up_says_what_is_running_and_changes_nothing(servers: EmbeddedServers) -> None:
    before = servers.state()
    second = lastmile(servers, "up", "--servers-only")
    assert second.returncode == 0, second.stderr
    assert "already running" in second.stdout
    for process in before.processes:
        assert str(process.pid) in second.stdout
        assert str(process.ports[0]) in second.stdout
    assert servers.state() == before


def test_status_shows_every_process_and_the_lag(servers: EmbeddedServers) -> None:
    shown = lastmile(servers, "status", "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert found["ready"] is True
    assert {process["name"] for process in found["processes"]} == {"supervisor", *SERVERS}
    assert all(process["resident_bytes"] > 1_000_000 for process in found["processes"])
    assert found["replication"]["state"] == "streaming"
    assert found["replication"]["lag_bytes"] >= 0
    table = lastmile(servers, "status").stdout
    assert all(name in table for name in SERVERS)


def test_doctor_is_content_and_then_finds_a_secret_that_others_may_read(servers: EmbeddedServers) -> None:
    well = lastmile(servers, "doctor")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "migrations" in well.stdout
    key = servers.layout.secrets / "ops_api_key"
    key.chmod(0o644)
    try:
        ill = lastmile(servers, "doctor")
    finally:
        key.chmod(0o600)
    assert ill.returncode == 1
    assert f"chmod 600 {key}" in ill.stdout


def test_migrate_finds_nothing_left_to_do(servers: EmbeddedServers) -> None:
    done = lastmile(servers, "migrate")
    assert done.returncode == 0, done.stderr
    assert "every migration is applied already" in done.stdout


def test_a_taken_port_is_named_with_its_setting_and_its_holder(tmp_path: Path) -> None:
    servers = EmbeddedServers(tmp_path / "home")
    with closing(socket.create_server(("127.0.0.1", servers.settings.redis_port))):
        refused = lastmile(servers, "up", "--servers-only")
    servers.remove_data()
    assert refused.returncode == 1
    assert f"port {servers.settings.redis_port} (LASTMILE_REDIS_PORT) is taken" in refused.stderr
    assert f"process {os.getpid()}" in refused.stderr


def test_a_half_given_set_of_dsns_is_refused_before_anything_starts(tmp_path: Path) -> None:
    servers = EmbeddedServers(tmp_path / "home")
    refused = lastmile(servers, "up", LASTMILE_ASSIGNMENT_DSN="postgresql://elsewhere/lastmile")
    assert refused.returncode == 1
    for name in ("LASTMILE_MIGRATION_DSN", "LASTMILE_ASSIGNMENT_QUERY_DSN", "LASTMILE_MATCHER_DSN"):
        assert name in refused.stderr
    assert not servers.layout.home.exists()


def test_servers_that_are_given_are_not_started(servers: EmbeddedServers, tmp_path: Path) -> None:
    given = {name: value for name, value in servers.service_environment.items() if "DSN" in name or "REDIS" in name}
    with EmbeddedServers(tmp_path / "home", given) as second:
        assert second.state().processes == ()
        assert not second.layout.primary.exists()


def test_down_stops_everything_and_says_when_there_is_nothing_to_stop(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path / "home") as servers:
        state = servers.state()
        stopped = lastmile(servers, "down")
        assert stopped.returncode == 0, stopped.stderr
        assert f"stopped supervisor {state.pid}" in stopped.stdout
        assert not any(process.is_live for process in state.processes)
        again = lastmile(servers, "down")
        assert again.returncode == 0
        assert "nothing was running" in again.stdout
        assert lastmile(servers, "status").returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming a normal user takes root")
async def test_a_normal_user_runs_it_all_in_a_private_home(servers: EmbeddedServers) -> None:
    nobody = servers.layout.account
    assert nobody is not None
    if not readable_by(Path(sys.executable).resolve(), nobody):
        pytest.skip("this interpreter is private to root")
    home = Path(tempfile.gettempdir()) / f"lastmile-test-{os.getpid()}"
    home.mkdir(mode=0o700)
    os.chown(home, nobody.uid, nobody.gid)
    environment = {
        variable(field): str(port) for field, port in zip(PORT_FIELDS, free_ports(len(PORT_FIELDS)), strict=True)
    }
    environment |= {"LASTMILE_HOME": str(home), "PATH": os.environ["PATH"], "HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "up", "--servers-only"],
        env=environment, cwd="/", user=nobody.uid, group=nobody.gid, extra_groups=[],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Lastmile is ready" in line:
                break
        assert "Lastmile is ready" in "".join(lines), "".join(lines)
        assert (home / "servers" / "primary").is_dir()
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, rest
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(home)
