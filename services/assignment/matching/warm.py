"""Compiles what is compiled, so that no window has to wait for it: `python -m services.assignment.matching.warm`.

It matches a few parcels in a way that needs every compiled loop. That takes half a minute of processor time where
nothing is kept from earlier yet, and less than a second where it is.
"""

import gc

import numpy as np

from services.assignment.matching.geography import zone_columns
from services.assignment.matching.match import match
from services.assignment.matching.problem import Packages, Partners, Policy, Problem
from services.assignment.matching.routes import Routes
from services.assignment.matching.travel import Travel

_NOW_S = 1_800_000_000.0


def warm() -> None:
    """Compile every loop, or load it: return when matching needs no more."""
    # All want the first partner, who has room for two by number and one by weight: so there are chains and exchanges.
    places = np.array([[12.97, 77.59], [12.971, 77.591], [12.99, 77.61]])
    packages = Packages.of(
        ["first", "second", "third"],
        places[[0, 0, 0]],
        places[[1, 2, 1]],
        weight_g=np.full(3, 600),
        due_at_s=np.full(3, _NOW_S),
        ready_at_s=np.full(3, _NOW_S),
    )
    nothing = np.zeros(1, dtype=np.int64)
    routes = Routes(
        offsets=np.array([0, 0, 0, 1]), place=places[1:2], pickup=nothing, service_s=np.array([60.0]),
        ready_at_s=np.array([-np.inf]), due_at_s=np.array([_NOW_S]), parcels=nothing, weight_g=nothing,
        volume_cm3=nothing,
    )  # fmt: skip
    room, (zones, cells, precisions) = np.array([2, 1, 1]), zone_columns([["tdr1"], [], []])
    partners = Partners.of(
        ["near", "farther", "far"], places, parcels_left=room, weight_g_left=np.full(3, 1_000), routes=routes,
        zone_offsets=zones, zone_cell=cells, zone_precision=precisions,
    )  # fmt: skip
    match(Problem(packages, partners, Policy(), Travel(), _NOW_S))
    # What is loaded by now stays: no window has to wait until the collector has been through it.
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    warm()
