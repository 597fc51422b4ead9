"""Solver processes give the answers that one process gives, whatever becomes of them, and cost nothing until needed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydantic import ValidationError

from services.assignment.matching.match import match
from services.assignment.matching.planning import Ranks
from services.assignment.matching.window_match import match_window
from services.assignment.windows.settings import MatcherSettings
from services.assignment.windows.solvers import SolverProcesses, default_processes
from tests.solver_processes import is_alive, send, share_every_component, solver_pids, wait_until
from tests.unit.services.assignment.matching.problems import random_problem
from tests.unit.services.assignment.matching.tables import beside_each_other, random_table

ROOT = Path(__file__).resolve().parents[5]
# Starts the processes, says so, and waits to be killed.
MATCHER = """
import signal, sys
from services.assignment.windows.solvers import SolverProcesses
solvers = SolverProcesses(2)
assert list(solvers.map(abs, range(-9, 0))) == list(range(9, 0, -1))
print("started", flush=True)
signal.pause()
"""


@pytest.fixture
def solvers() -> Iterator[SolverProcesses]:
    with SolverProcesses(2) as made:
        yield made
    assert solver_pids() == []


@pytest.fixture
def small_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every component goes to a process by itself."""
    share_every_component(monkeypatch)


def test_results_come_in_order_and_what_fails_raises(solvers: SolverProcesses) -> None:
    assert list(solvers.map(divmod, range(100), range(1, 101))) == [divmod(n, n + 1) for n in range(100)]
    with pytest.raises(ZeroDivisionError):
        list(solvers.map(divmod, [1, 2], [1, 0]))
    assert list(solvers.map(abs, [-3])) == [3]
    assert (solvers.deaths, solvers.waiting) == (0, 0)


@pytest.mark.usefixtures("small_lots")
def test_matches_and_windows_are_the_same_with_them_and_without(solvers: SolverProcesses) -> None:
    random = np.random.default_rng(3)
    for ways in (False, True):
        problem, book = beside_each_other([random_table(random, 9, 9) for _ in range(40)], ways=ways)
        alone, shared = match(problem, book=book), match(problem, book=book, executor=solvers)
        assert shared.partner.tolist() == alone.partner.tolist()
        assert shared.certificate.partner_ms.tolist() == alone.certificate.partner_ms.tolist()
    assert solvers.running
    for seed in range(3):
        problem = random_problem(seed, 60, 30, spread_deg=0.3)
        ranks = Ranks.counted(problem.partners.routes)
        one = match_window(problem, ranks, None, {})
        other = match_window(problem, ranks, None, {}, executor=solvers)
        assert (one.partner.tolist(), one.explanations) == (other.partner.tolist(), other.explanations)


def test_none_is_started_before_there_is_work_to_share_nor_where_one_would_be_all(solvers: SolverProcesses) -> None:
    problem = random_problem(1, 30, 30)
    match(problem, executor=solvers)
    assert list(solvers.map(abs, [])) == []
    assert not solvers.running
    for count in (0, 1):
        with SolverProcesses(count) as none:
            assert list(none.map(abs, [-1, 2])) == [1, 2]
            assert not none.running
    assert solver_pids() == []


@pytest.mark.usefixtures("small_lots")
def test_a_match_whose_processes_are_killed_meanwhile_is_finished_and_the_next_has_new_ones(
    solvers: SolverProcesses,
) -> None:
    random = np.random.default_rng(4)
    problem, book = beside_each_other([random_table(random, 9, 9) for _ in range(40)], ways=True)
    alone = match(problem, book=book)
    match(problem, book=book, executor=solvers)
    for deaths in (1, 2):
        killed = solver_pids()
        assert killed
        # Stopped, they keep the match waiting until they die.
        send(killed, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(match, problem, book=book, executor=solvers)
            wait_until(lambda: solvers.waiting)
            send(killed, signal.SIGKILL)
            assert found.result(60).partner.tolist() == alone.partner.tolist()
        assert (solvers.deaths, solvers.waiting, solvers.running) == (deaths, 0, False)
        assert match(problem, book=book, executor=solvers).partner.tolist() == alone.partner.tolist()
        assert solvers.running
        assert not set(solver_pids()) & set(killed)


@pytest.mark.usefixtures("small_lots")
def test_processes_that_died_while_idle_are_missed_by_nobody(solvers: SolverProcesses) -> None:
    assert list(solvers.map(abs, range(9))) == list(range(9))
    send(solver_pids(), signal.SIGKILL)
    assert list(solvers.map(abs, range(9))) == list(range(9))
    assert list(solvers.map(abs, range(9))) == list(range(9))


def test_after_the_end_work_is_still_done() -> None:
    with SolverProcesses(2) as ended:
        assert list(ended.map(abs, [-1, -2])) == [1, 2]
    assert list(ended.map(abs, [-1, -2])) == [1, 2]
    assert not ended.running
    assert solver_pids() == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_they_end_with_a_matcher_that_is_killed(number: signal.Signals) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "libs" / "api")])}
    command = [sys.executable, "-c", MATCHER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as matcher:
        assert matcher.stdout is not None
        assert matcher.stdout.readline() == "started\n"
        family = psutil.Process(matcher.pid).children(recursive=True)
        assert solver_pids(matcher.pid)
        matcher.send_signal(number)
        matcher.wait(30)
    wait_until(lambda: not any(map(is_alive, family)))


def test_the_settings_take_no_impossible_number_of_processes() -> None:
    known = {"matcher_dsn": "postgresql://localhost/x", "redis_url": "redis://localhost"}
    assert MatcherSettings(**known).matcher_solver_processes == default_processes() >= 0
    for name, value in (("processes", -1), ("processes", 257), ("pairs_min", -1)):
        with pytest.raises(ValidationError, match=f"matcher_solver_{name}"):
            MatcherSettings(**known, **{f"matcher_solver_{name}": value})
