"""A day's files as requests."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from cli.imports.plan import Refusal, Row
from cli.imports.rappi import RappiDay
from tests.import_data import write_day

DAY, ZONE = date(2030, 3, 1), ZoneInfo("America/Bogota")
AROUND_MIDNIGHT = "99,4.8,-75.69,4.81,-75.7,23:50:00,23:51:00,00:05:00,00:30:00\n"


def day_with(tmp_path: Path, order: str = "", courier: str = "") -> RappiDay:
    folder = write_day(tmp_path / "day", 1, 1)
    for name, line in (("orders.csv", order), ("couriers.csv", courier)):
        with (folder / name).open("a") as file:
            file.write(line)
    return RappiDay(folder, DAY, ZONE)


def test_every_row_becomes_one_request_with_a_reference_of_its_own(tmp_path: Path) -> None:
    source = RappiDay(write_day(tmp_path / "7", 40, 10), DAY, ZONE)
    orders, couriers = list(source.deliveries()), list(source.partners())
    assert (source.delivery_rows, source.partner_rows) == (len(orders), len(couriers)) == (40, 10)
    assert len({row.request["details"]["merchantReference"] for row in orders if isinstance(row, Row)}) == 40
    assert len({row.request["profile"]["reference"] for row in couriers if isinstance(row, Row)}) == 10
    assert source.city()["code"] == "RAPPI-7"


def test_an_hour_after_midnight_is_of_the_next_day(tmp_path: Path) -> None:
    *_, late = day_with(tmp_path, AROUND_MIDNIGHT).deliveries()
    assert isinstance(late, Row)
    assert late.request["details"]["readyAt"] == "2030-03-02T00:05:00-05:00"
    assert late.request["details"]["dropWindow"] == {
        "start": "2030-03-01T23:50:00-05:00",
        "end": "2030-03-02T00:30:00-05:00",
    }


def test_a_night_shift_ends_the_next_morning(tmp_path: Path) -> None:
    *_, night = day_with(tmp_path, courier="7,car,4.8,-75.69,22:00:00,02:00:00\n").partners()
    assert isinstance(night, Row)
    assert night.request["shiftSlots"] == [{"start": "2030-03-01T22:00:00-05:00", "end": "2030-03-02T02:00:00-05:00"}]


def test_an_unreadable_value_is_refused_by_column_and_line(tmp_path: Path) -> None:
    *_, bad = day_with(tmp_path, "5,4.8,east,4.8,-75.7,08:00:00,08:00:00,08:10:00,08:40:00\n").deliveries()
    assert isinstance(bad, Refusal)
    assert (bad.origin.row, bad.reason) == (3, "UNREADABLE")
    assert bad.problem.startswith("pick_up_lng: 'east'")
    *_, bad = day_with(tmp_path / "other", courier="8,submarine,4.8,-75.69,06:00:00,07:00:00\n").partners()
    assert isinstance(bad, Refusal)
    assert "submarine" in bad.problem


def test_the_city_is_where_most_orders_are_however_far_off_a_few_lie(tmp_path: Path) -> None:
    far = "5,60.0,100.0,4.8,-75.7,08:00:00,08:00:00,08:10:00,08:40:00\n"
    folder = write_day(tmp_path / "day", 21, 1)
    with (folder / "orders.csv").open("a") as file:
        file.write(far)
    center = RappiDay(folder, DAY, ZONE).city()["center"]
    assert abs(center["latitudeDeg"] - 4.8) < 0.05
    assert abs(center["longitudeDeg"] + 75.69) < 0.05
