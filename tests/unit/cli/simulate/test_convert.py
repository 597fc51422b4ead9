"""Other people's days become scenarios that can be simulated."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.imports.plan import ImportFileError
from cli.simulate.checker import Checker
from cli.simulate.convert import convert_lade, convert_rappi, thin_out
from cli.simulate.outputs import write_outputs
from cli.simulate.policies import PolicyName, simulate
from cli.simulate.scenario import read_scenario
from tests.import_data import write_day
from tests.scenarios import write_scenario


def passes(folder: Path, out: Path) -> bool:
    """Simulate a scenario and check it."""
    scenario = read_scenario(folder)
    write_outputs(out, folder, scenario, simulate(scenario, PolicyName.SHIPPED), timings=False)
    return not Checker(out).findings


def test_a_rappi_day_keeps_its_orders_couriers_and_hours(tmp_path: Path) -> None:
    source = write_day(tmp_path / "day", orders=30, couriers=10)
    with (source / "orders.csv").open("a") as file:
        file.write("31,4.8,-75.7,4.81,-75.71,23:50:00,23:51:00,00:10:00,00:30:00\n")
        file.write("32,north,-75.7,4.81,-75.71,12:50:00,12:51:00,13:10:00,13:30:00\n")
    done = convert_rappi(source, tmp_path / "scenario")
    assert (done.orders, done.partners, dict(done.refused)) == (31, 10, {"orders: UNREADABLE": 1})
    day = read_scenario(tmp_path / "scenario").day
    # After midnight is the next day.
    assert (day.placed_min[-1], day.ready_min[-1]) == (1430, 1450)
    assert (day.on_min == 360).all()
    assert passes(tmp_path / "scenario", tmp_path / "out")


def write_parcels(path: Path, changes: dict[int, dict[str, object]]) -> Path:
    """Write 40 parcels of two couriers on 8 and 9 September, some of them changed."""
    rows: list[dict[str, object]] = []
    for i in range(40):
        day = 8 + i % 2
        row = {
            "order_id": i, "courier_id": 1 + i // 2 % 2, "lng": 126.55 + i / 5000, "lat": 43.85 + i / 7000,
            "accept_gps_lng": 126.56, "accept_gps_lat": 43.84, "ds": 900 + day,
            "accept_time": f"09-0{day} 08:{i:02}:00", "delivery_time": f"09-0{day} 11:{i:02}:00",
        }  # fmt: skip
        rows.append(row | changes.get(i, {}))
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_days_of_parcels_make_a_partner_of_each_courier_and_day(tmp_path: Path) -> None:
    changes: dict[int, dict[str, object]] = {
        0: {"accept_gps_lat": None},
        2: {"lat": 23.0},
        4: {"delivery_time": "soon"},
        6: {"delivery_time": "09-08 07:00:00"},
    }
    source = write_parcels(tmp_path / "delivery_x.parquet", changes)
    done = convert_lade(source, tmp_path / "scenario", 908, 2)
    assert (done.orders, done.partners) == (36, 4)
    assert dict(done.refused) == {
        "no accept place": 1,
        "door far away": 1,
        "times unreadable": 1,
        "delivered before it was accepted, or days later": 1,
    }
    day = read_scenario(tmp_path / "scenario").day
    assert day.placed_min.min() == 488
    assert day.placed_min.max() == 1440 + 519
    assert day.capacitated
    assert passes(tmp_path / "scenario", tmp_path / "out")


def test_what_is_no_parquet_or_no_day_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(ImportFileError, match="is not a LaDe parquet file"):
        convert_lade(tmp_path / "x.parquet", tmp_path / "s", 908, 1)
    with pytest.raises(ImportFileError, match="1399 is no day"):
        convert_lade(write_parcels(tmp_path / "y.parquet", {}), tmp_path / "s", 1399, 1)


def test_a_scenario_with_fewer_partners_keeps_the_same_ones_for_the_same_seed(tmp_path: Path) -> None:
    source = write_scenario(tmp_path / "s", partners=9)
    kept = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        assert thin_out(source, tmp_path / name, 0.5, seed).partners == 4
        kept.append(read_scenario(tmp_path / name).partner_ids)
    assert kept[0] == kept[1] != kept[2]
    assert set(kept[0]) < set(read_scenario(source).partner_ids)
    assert np.array_equal(read_scenario(tmp_path / "one").day.placed_min, read_scenario(source).day.placed_min)
