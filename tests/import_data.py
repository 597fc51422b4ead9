"""Days of orders in the form that `lastmile import rappi` reads, made up from a seed."""

import random
from pathlib import Path

LAT, LNG = 4.80, -75.69


def write_day(folder: Path, orders: int, couriers: int, seed: int = 1) -> Path:
    """Write orders.csv and couriers.csv, every row good, into a new folder; return it."""
    chance = random.Random(seed)
    folder.mkdir(parents=True)

    def place() -> str:
        return f"{LAT + chance.gauss(0, 0.01):.6f},{LNG + chance.gauss(0, 0.01):.6f}"

    with (folder / "couriers.csv").open("w") as file:
        file.write("courier_id,vehicle,on_lat,on_lng,on_time,off_time\n")
        for courier_id in range(1, couriers + 1):
            vehicle = chance.choice(("walking", "bicycle", "motorcycle", "car"))
            file.write(f"{courier_id},{vehicle},{place()},06:00:00,23:30:00\n")
    with (folder / "orders.csv").open("w") as file:
        file.write(
            "order_id,pick_up_lat,pick_up_lng,drop_off_lat,drop_off_lng,placement_time,preparation_time,ready_time,"
            "expected_drop_off_time\n"
        )
        for order_id in range(1, orders + 1):
            hour, minute = chance.randint(7, 21), chance.randint(0, 9)
            times = [f"{hour:02}:{minute + later:02}:00" for later in (0, 1, 10, 40)]
            file.write(f"{order_id},{place()},{place()},{','.join(times)}\n")
    return folder
