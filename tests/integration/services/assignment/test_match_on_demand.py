"""Match over gRPC: the best of all matchings, with the true reasons; bad input and too much of it refused."""

import asyncio
import itertools
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from lastmile.assignment.v1 import assignment_pb2, city_pb2, partner_pb2
from lastmile.common.v1 import parcel_pb2, time_pb2

from libs.grpc_server.errors import ResourceExhaustedError
from services.assignment.matching.problem import Problem
from services.assignment.matching.rules.zones import OutsideZones
from services.assignment.matching.travel import VEHICLES
from services.assignment.windows.on_demand import OnDemandMatcher
from tests.assignment_api import AssignmentApi, place
from tests.unit.services.assignment.matching.problems import FEASIBLE, NOW_S, judge, policy_of, random_problem

POLICY = policy_of(pickup_distance_m_max=9_000, zone_penalty_s=200)
NUMBERS = [parcel_pb2.Vehicle.Value(f"VEHICLE_{name.upper()}") for name in VEHICLES]
ZONES = ["tdr1", "tdr1v"]


def moment(at_s: float) -> Timestamp:
    return Timestamp(seconds=int(at_s))


def request_of(problem: Problem, sides: np.ndarray) -> assignment_pb2.MatchRequest:
    """The columns as a caller would send them."""
    packages, partners = problem.packages, problem.partners
    request = assignment_pb2.MatchRequest(
        at=moment(NOW_S),
        policy=city_pb2.MatchingPolicy(
            window_ms=1_000,
            window_deliveries_max=500,
            pickup_distance_m_max=int(POLICY.pickup_distance_m_max),
            offer_ttl_s=60,
            zone_penalty_s=int(POLICY.rules[OutsideZones.name].parameters["penalty_s"]),
        ),
    )
    for i, identifier in enumerate(packages.ids):
        mask = int(packages.vehicle_mask[i])
        request.packages.add(
            id=identifier,
            pickup=place(*packages.pickup[i]),
            drop=place(*packages.drop[i]),
            dimensions=parcel_pb2.Dimensions(
                **dict(zip(("length_mm", "width_mm", "height_mm"), sides[i], strict=True))
            ),
            weight_g=packages.weight_g[i],
            ready_at=moment(packages.ready_at_s[i]),
            due_at=moment(packages.due_at_s[i]),
            vehicles=[number for bit, number in enumerate(NUMBERS) if mask >> bit & 1],
        )
    for j, identifier in enumerate(partners.ids):
        slots = range(partners.slot_offsets[j], partners.slot_offsets[j + 1])
        request.partners.add(
            id=identifier,
            location=place(*partners.place[j]),
            vehicle=NUMBERS[partners.vehicle[j]],
            capacity_left=partner_pb2.Capacity(
                parcels_max=partners.parcels_left[j],
                weight_g_max=partners.weight_g_left[j],
                volume_cm3_max=partners.volume_cm3_left[j],
                side_mm_max=partners.side_mm_max[j],
            ),
            shift_slots=[
                time_pb2.TimeWindow(start=moment(partners.slot_start_s[k]), end=moment(partners.slot_end_s[k]))
                for k in slots
            ],
            preferred_zones=ZONES[: partners.zone_offsets[j + 1] - partners.zone_offsets[j]],
        )
    return request


def problem(seed: int, n: int, m: int, roomy: bool) -> tuple[Problem, np.ndarray]:
    """A random problem whose parcels never compete for one partner's weight or volume, so that brute force is exact."""
    random = np.random.default_rng(seed)
    made = random_problem(seed, n, m, policy=POLICY)
    packages, partners = made.packages, made.partners
    sides = random.integers(50, 900, (n, 3))
    packages = replace(
        packages,
        side_mm=sides.max(axis=1, initial=0),
        volume_cm3=-(-sides.prod(axis=1) // 1000),
        declined=np.zeros((0, 2), dtype=np.int64),
    )
    if roomy:
        enough, nothing = np.full(m, 5_000_000), np.full(m, 1)
        partners = replace(
            partners,
            parcels_left=random.integers(1, 4, m),
            weight_g_left=np.where(random.random(m) < 0.8, enough, nothing),
            volume_cm3_left=np.where(random.random(m) < 0.8, enough, nothing),
        )
    else:
        partners = replace(partners, parcels_left=np.ones(m, dtype=np.int64), volume_cm3_left=np.full(m, 300_000))
    # A slot needs a start before its end.
    partners = replace(partners, slot_end_s=np.maximum(partners.slot_end_s, partners.slot_start_s + 1))
    return replace(made, packages=packages, partners=replace(partners, units_max=partners.parcels_left)), sides


def brute_force(costs: list[list[float]], slots: list[int]) -> tuple[int, float]:
    """The most packages, and their least cost, over every possible matching."""
    best = (0, 0.0)
    for choice in itertools.product(range(-1, len(slots)), repeat=len(costs)):
        used = Counter(j for j in choice if j >= 0)
        if all(used[j] <= slots[j] for j in used):
            taken = [costs[i][j] for i, j in enumerate(choice) if j >= 0]
            best = max(best, (len(taken), -sum(taken)))
    return best[0], -best[1]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 5), m=st.integers(0, 4), roomy=st.booleans())
async def test_the_matching_is_the_best_of_all_matchings_and_explains_itself(
    assignment_api: AssignmentApi, seed: int, n: int, m: int, roomy: bool
) -> None:
    made, sides = problem(seed, n, m, roomy)
    packages, partners = made.packages, made.partners
    ops = assignment_api.ops
    answer = await ops.ask(ops.assignments.Match, request_of(made, sides))
    judged = [[judge(made, i, j) for j in range(m)] for i in range(n)]
    costs = [[cost if reason == FEASIBLE else float("inf") for reason, cost in row] for row in judged]
    feasible = [[cost if cost < float("inf") else 1e12 for cost in row] for row in costs]
    count, cost_s = brute_force(feasible, partners.parcels_left.tolist())
    while cost_s >= 1e12:  # an impossible pair among the taken ones is one package fewer
        count, cost_s = count - 1, cost_s - 1e12
    assert [result.package_id for result in answer.results] == list(packages.ids)
    assert (answer.assigned, answer.cost_s) == (count, pytest.approx(cost_s, abs=0.002 * max(1, count)))
    chosen = [result.chosen for result in answer.results if result.HasField("chosen")]
    assert len(chosen) == answer.assigned
    assert sum(c.cost_s for c in chosen) == pytest.approx(answer.cost_s)
    taken = Counter(c.partner_id for c in chosen)
    assert all(taken[identifier] <= left for identifier, left in zip(partners.ids, partners.parcels_left, strict=True))
    for i, result in enumerate(answer.results):
        assert dict(result.partners_lost) == Counter(reason for reason, _ in judged[i] if reason)
        assert result.partners_feasible == sum(reason == FEASIBLE for reason, _ in judged[i])
        if result.HasField("chosen"):
            j = list(partners.ids).index(result.chosen.partner_id)
            assert result.outcome == "ASSIGNED"
            assert result.chosen.cost_s == pytest.approx(costs[i][j], abs=0.002)
            assert sum(result.chosen.terms_s.values()) == pytest.approx(result.chosen.cost_s)
        else:
            expected = "OUTCOMPETED" if result.partners_feasible else "NO_FEASIBLE_PARTNER" if m else "NO_PARTNERS"
            assert result.outcome == expected


@pytest.fixture
def good() -> assignment_pb2.MatchRequest:
    return request_of(*problem(7, 3, 3, True))


async def test_every_field_that_breaks_its_rule_is_named(
    assignment_api: AssignmentApi, good: assignment_pb2.MatchRequest
) -> None:
    good.packages[0].pickup.latitude_deg = float("nan")
    good.packages[1].drop.longitude_deg = 181
    good.packages[1].weight_g = -1
    good.packages[2].dimensions.height_mm = 0
    good.packages[2].ClearField("pickup")
    good.packages[2].vehicles.extend([0])
    good.partners[0].capacity_left.parcels_max = 0
    good.partners[1].preferred_zones[:] = ["ail!"]
    good.partners[2].id = ""
    good.partners[2].vehicle = 99  # type: ignore[assignment]  # no such vehicle
    good.policy.offer_ttl_s = -3
    ops = assignment_api.ops
    refusal = await ops.refused(ops.assignments.Match, good)
    assert refusal.code == "INVALID_ARGUMENT"
    assert {field.split(".vehicles")[0] for field in refusal.fields} == {
        "packages[0].pickup.latitude_deg",
        "packages[1].drop.longitude_deg",
        "packages[1].weight_g",
        "packages[2].dimensions.height_mm",
        "packages[2].pickup",
        "packages[2]",
        "partners[0].capacity_left.parcels_max",
        "partners[1].preferred_zones[0]",
        "partners[2].id",
        "partners[2].vehicle",
        "policy.offer_ttl_s",
    }


async def test_every_field_that_makes_no_sense_is_named(
    assignment_api: AssignmentApi, good: assignment_pb2.MatchRequest
) -> None:
    good.packages[1].id = good.packages[0].id
    good.partners[2].id = good.partners[0].id
    good.at.seconds = 10**15
    good.packages[0].ready_at.nanos = -1
    good.packages[2].due_at.seconds = -(10**15)
    good.partners[1].shift_slots.add().start.seconds = 10**14
    good.partners[1].shift_slots[-1].end.seconds = 10**15
    slot = f"partners[1].shift_slots[{len(good.partners[1].shift_slots) - 1}]"
    ops = assignment_api.ops
    refusal = await ops.refused(ops.assignments.Match, good)
    assert refusal.code == "INVALID_ARGUMENT"
    assert set(refusal.fields) == {
        "at",
        "packages[1].id",
        "packages[0].ready_at",
        "packages[2].due_at",
        "partners[2].id",
        f"{slot}.start",
        f"{slot}.end",
    }


async def test_more_pairs_than_the_limit_are_refused_before_anything_is_built(
    assignment_api: AssignmentApi, good: assignment_pb2.MatchRequest
) -> None:
    package, partner = good.packages[0], good.partners[0]
    request = assignment_pb2.MatchRequest(packages=[package] * 2_001, partners=[partner] * 2_000)
    ops = assignment_api.ops
    refusal = await ops.refused(ops.assignments.Match, request)
    assert (refusal.code, refusal.reason) == ("RESOURCE_EXHAUSTED", "PROBLEM_TOO_LARGE")
    assert refusal.metadata == {"pairs": "4002000", "pairs_max": "4000000"}
    request = assignment_pb2.MatchRequest(packages=[package] * 5_001)
    refusal = await ops.refused(ops.assignments.Match, request)
    assert (refusal.code, refusal.fields) == ("INVALID_ARGUMENT", ("packages",))


async def test_more_matches_at_once_than_the_limit_wait_and_then_are_refused() -> None:
    request = request_of(*problem(3, 150, 150, True))
    matcher = OnDemandMatcher(pairs_max=1_000_000, at_once_max=1, wait_s=0.000_1)
    solves = (matcher.match(request, datetime.now(UTC)) for _ in range(8))
    outcomes = await asyncio.gather(*solves, return_exceptions=True)
    refused = [o for o in outcomes if isinstance(o, ResourceExhaustedError)]
    assert 0 < len(refused) < 8
    assert len(refused) + sum(not isinstance(o, BaseException) for o in outcomes) == 8
    assert len((await matcher.match(request, datetime.now(UTC)))[0].partner) == 150, "the slot is free again"


async def test_a_match_is_for_ops_alone(assignment_api: AssignmentApi, good: assignment_pb2.MatchRequest) -> None:
    merchant = assignment_api.merchant("00000000-0000-0000-0000-000000000001")
    assert (await merchant.refused(merchant.assignments.Match, good)).code == "PERMISSION_DENIED"
