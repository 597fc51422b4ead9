"""A file of parcels as requests."""

from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.imports.lade import LadeFile
from cli.imports.plan import ImportFileError, Refusal, Row

DAY, ZONE = date(2030, 3, 1), ZoneInfo("Asia/Shanghai")


def parcel(**changes: Any) -> dict[str, Any]:
    return {
        "order_id": 1,
        "courier_id": 7,
        "lng": 126.5,
        "lat": 43.8,
        "accept_time": "02-29 08:30:00",
        "accept_gps_lng": 126.6,
        "accept_gps_lat": 43.9,
        "ds": 229,
    } | changes


def file_of(tmp_path: Path, *parcels: dict[str, Any]) -> Path:
    path = tmp_path / "delivery_xy.parquet"
    pq.write_table(pa.Table.from_pylist(list(parcels)), path)
    return path


def test_a_parcel_is_picked_up_where_it_was_taken_along_and_due_the_same_day(tmp_path: Path) -> None:
    source = LadeFile(file_of(tmp_path, parcel()), DAY, ZONE)
    [row] = source.deliveries()
    assert isinstance(row, Row)
    details = row.request["details"]
    assert details["pickup"] == {"latitudeDeg": 43.9, "longitudeDeg": 126.6}
    assert details["readyAt"] == "2030-03-01T08:30:00+08:00"
    assert details["dropWindow"]["end"] == "2030-03-01T20:30:00+08:00"
    assert details["merchantReference"] == "lade-xy-1"
    assert source.city()["code"] == "LADE-XY"


def test_dirt_is_refused_with_its_reason(tmp_path: Path) -> None:
    dirt = [
        parcel(order_id=2, accept_gps_lat=None),
        parcel(order_id=3, lat=float("nan")),
        parcel(order_id=4, accept_time="13-45 08:30:00"),
        parcel(order_id=None),
    ]
    first, *rest = LadeFile(file_of(tmp_path, parcel(), *dirt), DAY, ZONE).deliveries()
    assert isinstance(first, Row)
    assert [row.problem.partition(":")[0] for row in rest if isinstance(row, Refusal)] == [
        "accept_gps_lat, accept_gps_lng", "lat, lng", "accept_time", "order_id",
    ]  # fmt: skip
    assert [row.origin.row for row in rest] == [2, 3, 4, 5]


def test_a_courier_is_at_home_where_it_first_took_a_parcel_along(tmp_path: Path) -> None:
    path = file_of(tmp_path, parcel(accept_gps_lat=None), parcel(order_id=2), parcel(order_id=3, accept_gps_lat=43.1))
    [courier] = LadeFile(path, DAY, ZONE).partners()
    assert isinstance(courier, Row)
    assert courier.request["profile"]["home"] == {"latitudeDeg": 43.9, "longitudeDeg": 126.6}


def test_one_day_of_the_file_can_be_chosen(tmp_path: Path) -> None:
    path = file_of(tmp_path, parcel(), parcel(order_id=2, ds=301))
    source = LadeFile(path, DAY, ZONE, source_day=301)
    assert [row.origin.id for row in source.deliveries()] == ["2"]
    with pytest.raises(ImportFileError, match="of day 999"):
        LadeFile(path, DAY, ZONE, source_day=999)


def test_a_column_of_another_type_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ImportFileError, match="column lat holds str"):
        LadeFile(file_of(tmp_path, parcel(lat="north")), DAY, ZONE)
