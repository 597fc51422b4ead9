"""`lastmile import`, as a user runs it, against the whole platform."""

import csv
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from libs.embedded.stack import RunningStack
from tests.import_data import write_day
from tests.invariants import broken_invariants
from tests.rest import Rest

REAL = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_real_data = pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not beside this checkout")


def run_import(stack: RunningStack, *arguments: object) -> subprocess.CompletedProcess[str]:
    key = {"LASTMILE_API_KEY": stack.ops_api_key, "LASTMILE_GATEWAY_URL": stack.base_url}
    command = [sys.executable, "-m", "cli", "import", *map(str, arguments), "--json"]
    return subprocess.run(
        command, check=False, env=stack.environment | key, capture_output=True, text=True, timeout=280
    )


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@needs_real_data
async def test_a_real_day_ends_with_every_order_assigned_or_reasoned(
    running_stack: RunningStack, ops: Rest, tmp_path: Path
) -> None:
    # Told, or midnight could come between the two.
    day = (datetime.now(ZoneInfo("America/Bogota")) + timedelta(days=1)).date()
    arguments = ("rappi", REAL / "rappi" / "16", "--rejects", tmp_path / "rejects.csv", "--date", day)
    first = summary(run_import(running_stack, *arguments))
    assert first["deliveries"] == {"read": 538, "created": 538, "there_already": 0, "refused": 0}
    assert first["undecided"] == 0
    assert first["states"]["assigned"] + sum(first["unassigned_reasons"].values()) == 538
    assert first["partners"]["created"] == 428
    with (tmp_path / "rejects.csv").open() as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["278", "418"]

    second = summary(run_import(running_stack, *arguments))
    assert second["deliveries"] == {"read": 538, "created": 0, "there_already": 538, "refused": 0}
    assert second["partners"]["there_already"] == 428
    assert second["states"] == first["states"]

    query = f"merchantId={first['merchant_id']}&merchantReference=rappi-16-1"
    [delivery] = ops.get(f"/v1/deliveries?{query}")["deliveries"]
    changes = ops.get(f"/v1/deliveries/{delivery['id']}/history")["changes"]
    assert [change["toState"] for change in changes] == ["DELIVERY_STATE_PENDING", "DELIVERY_STATE_ASSIGNED"]
    assert not await broken_invariants(running_stack.dsn())


@needs_real_data
def test_a_real_day_of_parcels_is_taken_and_its_dirt_refused(running_stack: RunningStack, tmp_path: Path) -> None:
    file = REAL / "lade-jilin" / "delivery_jl.parquet"
    found = summary(run_import(running_stack, "lade", file, "--day", 925, "--rejects", tmp_path / "rejects.csv"))
    parcels = [row for row in pq.read_table(file).to_pylist() if row["ds"] == 925]
    lost = [row for row in parcels if row["accept_gps_lat"] is None]
    assert found["deliveries"]["read"] == len(parcels)
    assert found["deliveries"]["created"] == len(parcels) - found["deliveries"]["refused"]
    assert found["deliveries"]["refused"] >= len(lost)
    assert found["undecided"] == 0


def test_good_rows_are_taken_and_bad_ones_written_down_with_the_reason(
    running_stack: RunningStack, tmp_path: Path
) -> None:
    folder = write_day(tmp_path / "dirty", orders=12, couriers=3)
    with (folder / "orders.csv").open("a") as file:
        file.write("901,nan,-75.69,4.80,-75.69,08:00:00,08:01:00,08:10:00,08:40:00\n")
        file.write("902,4.80,-75.69,0.0,-140.0,08:00:00,08:01:00,08:10:00,08:40:00\n")
        file.write("903,4.80,-75.69,4.80,-75.69,8 o'clock,08:01:00,08:10:00,08:40:00\n")
        file.write("904,4.80\n")
        file.write("905,4.80,-75.69,4.80,-75.69,08:00:00,08:01:00,08:10:00,08:40:00,more,and more\n")
        file.write("=906,four,-75.69,4.80,-75.69,08:00:00,08:01:00,08:10:00,08:40:00\n")
        file.write("7,4.80,-75.69,4.80,-75.69,08:00:00,08:01:00,08:10:00,08:40:00\n")
    found = summary(run_import(running_stack, "rappi", folder, "--rejects", tmp_path / "rejects.csv"))
    assert found["deliveries"] == {"read": 19, "created": 12, "there_already": 1, "refused": 6}
    with (tmp_path / "rejects.csv").open() as file:
        rejects = {row["id"]: row for row in csv.DictReader(file)}
    assert set(rejects) == {"901", "902", "903", "904", "905", "'=906"}
    assert rejects["901"]["problem"].startswith("pick_up_lat: nan")
    assert "service area" in rejects["902"]["problem"]
    assert rejects["902"]["row"] == "15"
    assert rejects["903"]["problem"].startswith('placement_time: "8 o\'clock"')


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "header lacks"),
        (b"order_id,pick_up_lat\n1,2\n", "header lacks pick_up_lng"),
        (b"\xff\xfe\x00broken", "is not UTF-8"),
        (b'order_id,"unclosed\n1,2\n', "is not CSV"),
    ],
)
def test_a_file_that_is_no_table_of_orders_is_refused_whole(
    running_stack: RunningStack, tmp_path: Path, content: bytes, said: str
) -> None:
    folder = write_day(tmp_path / "broken", orders=1, couriers=1)
    (folder / "orders.csv").write_bytes(content)
    done = run_import(running_stack, "rappi", folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_parquet_or_lacks_columns_is_refused_whole(
    running_stack: RunningStack, tmp_path: Path
) -> None:
    noise, other = tmp_path / "noise.parquet", tmp_path / "other.parquet"
    noise.write_bytes(b"PAR1 not really")
    pq.write_table(pa.table({"order_id": [1]}), other)
    for path, said in ((noise, "is not a parquet file"), (other, "lacks the columns"), (tmp_path, "cannot be read")):
        done = run_import(running_stack, "lade", path)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_missing_gateway_and_a_wrong_key_say_what_to_do(running_stack: RunningStack, tmp_path: Path) -> None:
    folder = write_day(tmp_path / "day", orders=1, couriers=1)
    command = [sys.executable, "-m", "cli", "import", "rappi", str(folder)]
    for wrong, said in (
        ({"LASTMILE_API_KEY": "lm_wrong"}, "CREDENTIAL_INVALID"),
        ({"LASTMILE_GATEWAY_URL": "http://127.0.0.1:1", "LASTMILE_CLIENT_RETRY_S": "0.5"}, "lastmile status"),
    ):
        good = {"LASTMILE_API_KEY": running_stack.ops_api_key, "LASTMILE_GATEWAY_URL": running_stack.base_url}
        environment = running_stack.environment | good | wrong
        done = subprocess.run(
            command, check=False, env=environment, capture_output=True, text=True, timeout=60, cwd=tmp_path
        )
        assert done.returncode == 1
        assert said in done.stderr
        assert "Traceback" not in done.stderr
