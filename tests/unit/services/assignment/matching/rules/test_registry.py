"""Which rules there are, and what a configuration of them may say."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from services.assignment.matching.answer import answer
from services.assignment.matching.columns import ProblemError
from services.assignment.matching.explain import explain
from services.assignment.matching.match import match
from services.assignment.matching.problem import Policy, RuleConfig
from services.assignment.matching.rules.registry import (
    RuleDefinitionError,
    by_name,
    config_problems,
    description_of,
    discovered,
    is_required,
    parameters_of,
    rule_book,
)
from tests.unit.services.assignment.matching.problems import random_problem
from tests.unit.services.assignment.matching.rules.new_rules import MONSOON, distribution, rule_file

DOCUMENT = Path(__file__).resolve().parents[6] / "docs" / "matching-rules.md"
SHIPPED = {
    "pickup_travel", "detour", "lateness", "side", "parcel_weight", "volume", "shift", "outside_zones", "rating",
    "cash", "fairness", "waiting", "merchants", "network", "parcels", "vehicle", "declined", "reach",
}  # fmt: skip
REQUIRED = {"parcels", "parcel_weight", "volume", "reach", "pickup_travel"}
# What every rule here is, but for what a test changes.
PARTS: dict[str, Any] = {
    "__module__": "somewhere",
    "__annotations__": dict.fromkeys(("name", "reason", "weight", "rank"), ClassVar[object]),
    "name": "free",
    "reason": None,
    "weight": 1.0,
    "rank": 300,
    "__call__": lambda self, problem, edges: np.zeros(len(edges)),
}  # fmt: skip


def rule(*, parameters: dict[str, Any] | None = None, without: str = "", **changes: Any) -> Any:
    """A rule with these parts; a parameter that is ... has no default."""
    parameters = parameters or {}
    parts = PARTS | changes | {name: value for name, value in parameters.items() if value is not ...}
    parts["__annotations__"] = PARTS["__annotations__"] | dict.fromkeys(parameters, float)
    for name in {"": (), "dataclass": ()}.get(without, (without,)):
        del parts[name]
        parts["__annotations__"].pop(name, None)
    made = type("Free", (), parts)
    return made if without == "dataclass" else dataclass(frozen=True)(made)


def test_all_rules_are_there_with_a_name_a_description_and_a_reason_of_their_own() -> None:
    rules = discovered()
    assert set(rules) >= SHIPPED
    assert all(description_of(kind) for kind in rules.values())
    reasons = [kind.reason for kind in rules.values() if kind.reason]
    assert len(set(reasons)) == len(reasons)
    assert [kind.rank for kind in rules.values()] == sorted(kind.rank for kind in rules.values())
    assert {name for name, kind in rules.items() if is_required(kind)} == REQUIRED
    assert parameters_of(rules["rating"]) == {"valuable_paise": 2e6, "rating_min": 3.5, "star_penalty_s": 60.0}


def test_the_documentation_says_of_every_rule_what_the_rule_says() -> None:
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        if found := re.match(r"\| `(\w+)`( \(required\))? \| (?:`(\w+)` )?\|", line):
            rows[found[1]] = (bool(found[2]), found[3], re.findall(r"`(\w+)`", line.split("|")[4]))
    shipped = {name: kind for name, kind in discovered().items() if kind.__module__.startswith("services.")}
    assert list(rows) == list(shipped)
    for name, (required, reason, parameters) in rows.items():
        assert (required, reason) == (is_required(shipped[name]), shipped[name].reason), name
        assert set(parameters) >= set(parameters_of(shipped[name])), name


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (rule(without="reason"), "lacks reason"),
        (rule(without="name"), "lacks name"),
        (rule(without="weight"), "lacks weight"),
        (rule(without="rank"), "lacks rank"),
        (rule(without="__call__"), "lacks __call__"),
        (rule(without="dataclass"), "lacks the dataclass decorator"),
        (rule(name="Free Rule"), "name 'Free Rule' is not in lower case"),
        (rule(reason="too far"), "reason 'too far' is neither None nor in capitals"),
        (rule(rank=1.5), "rank 1.5 is no integer"),
        (rule(weight=float("nan")), "weight has no finite default"),
        (rule(parameters={"limit_m": -1.0}), "parameter limit_m has no finite default"),
        (rule(parameters={"limit_m": float("inf")}), "parameter limit_m has no finite default"),
        (rule(parameters={"limit_m": "far"}), "parameter limit_m has no finite default"),
        (rule(parameters={"limit_m": ...}), "parameter limit_m has no finite default"),
        (len, "lacks name, reason, weight, rank, __call__"),
    ],
)
def test_a_class_that_is_no_rule_is_refused_with_what_is_missing(kind: Any, said: str) -> None:
    with pytest.raises(RuleDefinitionError, match=said):
        by_name([kind])


def test_two_rules_of_one_name_are_refused_by_that_name() -> None:
    with pytest.raises(RuleDefinitionError, match="both called 'free'"):
        by_name([rule(), rule(reason="OTHER")])


def test_a_file_beside_the_rules_that_takes_a_name_is_refused(tmp_path: Path) -> None:
    taken = MONSOON.replace('"monsoon"', '"waiting"')
    with rule_file(tmp_path, "monsoon", taken), pytest.raises(RuleDefinitionError, match="both called 'waiting'"):
        discovered()


def test_a_file_beside_the_rules_without_a_rule_is_refused_by_its_name(tmp_path: Path) -> None:
    with rule_file(tmp_path, "forgotten", "x = 1\n"), pytest.raises(RuleDefinitionError, match="forgotten defines no"):
        discovered()


def test_one_new_file_takes_part_in_matching_explanation_and_configuration(tmp_path: Path) -> None:
    problem = random_problem(11, 12, 12)
    before = explain(problem, match(problem))
    with rule_file(tmp_path, "monsoon", MONSOON):
        kind = discovered()["monsoon"]
        assert description_of(kind) == "Keeps two-wheelers out of the rain, and costs everyone else a little."
        assert parameters_of(kind) == {"puddle_s": 7.0, "rains": 1.0}
        result, explanations = answer(problem)
        taken = result.partner[result.partner >= 0]
        assert len(taken)
        assert not np.isin(problem.partners.vehicle[taken], [1, 2]).any()
        assert any(explanation.partners_lost.get("TOO_WET") for explanation in explanations)
        assert {e.chosen.terms_s["monsoon"] for e in explanations if e.chosen} == {14.0}
        wetter = Policy(rules={"monsoon": RuleConfig(weight=3.0, parameters={"puddle_s": 10.0})})
        assert {weighed.weight for weighed in rule_book(wetter).rules if weighed.rule.name == "monsoon"} == {3.0}
        dry = Policy(rules={"monsoon": RuleConfig(enabled=False)})
        assert "monsoon" not in {weighed.rule.name for weighed in rule_book(dry).rules}
        with pytest.raises(ProblemError, match="'puddle' is no parameter; monsoon has puddle_s, rains"):
            rule_book(Policy(rules={"monsoon": RuleConfig(parameters={"puddle": 1})}))
    assert "monsoon" not in discovered()
    assert explain(problem, match(problem)) == before


def test_an_installed_packages_entry_point_is_a_rule(tmp_path: Path) -> None:
    with distribution(tmp_path, "monsoon = monsoon_rules:Monsoon", {"monsoon_rules": MONSOON}):
        assert discovered()["monsoon"].__module__ == "monsoon_rules"
        explanations = answer(random_problem(11, 12, 12))[1]
        assert any(explanation.partners_lost.get("TOO_WET") for explanation in explanations)
    assert "monsoon" not in discovered()


@pytest.mark.parametrize(
    ("entry_point", "text", "said"),
    [
        ("gone = no_such_module:Rule", "", "entry point gone = no_such_module:Rule: ModuleNotFoundError"),
        ("gone = monsoon_rules:Rule", MONSOON, "entry point gone = monsoon_rules:Rule: AttributeError"),
        ("bad = monsoon_rules:Rule", "1 / 0", "entry point bad = monsoon_rules:Rule: ZeroDivisionError"),
        ("odd = monsoon_rules:np", MONSOON, "is no rule: it lacks name, reason"),
    ],
)
def test_an_entry_point_that_gives_no_rule_is_refused_by_its_name(
    tmp_path: Path, entry_point: str, text: str, said: str
) -> None:
    with (
        distribution(tmp_path, entry_point, {"monsoon_rules": text}),
        pytest.raises(RuleDefinitionError, match=said),
    ):
        discovered()


@pytest.mark.parametrize(
    ("name", "config", "field", "said"),
    [
        ("lateral", RuleConfig(), "rules['lateral']", "'lateral' is no rule; there are cash, declined, detour"),
        (
            "cash",
            RuleConfig(parameters={"x": 1}),
            "rules['cash'].parameters['x']",
            "'x' is no parameter; cash has none",
        ),
        ("parcels", RuleConfig(enabled=False), "rules['parcels'].enabled", "no city can switch parcels off"),
        ("detour", RuleConfig(weight=10.5), "rules['detour'].weight", "must be from 0 to 10, is 10.5"),
        (
            "waiting",
            RuleConfig(parameters={"patience_s": 86_401}),
            "rules['waiting'].parameters['patience_s']",
            "must be from 0 to 86400, is 86401",
        ),
        (
            "rating",
            RuleConfig(parameters={"rating_min": float("nan")}),
            "rules['rating'].parameters['rating_min']",
            "must be from 0 to 1e+12, is nan",
        ),
    ],
)
def test_a_setting_that_fits_no_rule_is_refused_by_field_and_value_or_left_out(
    name: str, config: RuleConfig, field: str, said: str
) -> None:
    policy = Policy(rules={name: config, "fairness": RuleConfig(weight=0.5)})
    with pytest.raises(ProblemError) as refused:
        rule_book(policy)
    assert refused.value.field == field
    assert said in refused.value.problem
    book = rule_book(policy, lenient=True)
    assert [fault.rule for fault in book.faults] == [name]
    assert said in str(book.faults[0])
    # What no city can switch off stays.
    assert {weighed.rule.name for weighed in book.rules} == set(discovered()) - ({name} - {"parcels"})
    assert next(weighed.weight for weighed in book.rules if weighed.rule.name == "fairness") == 0.5


def test_everything_that_fits_no_rule_is_named_at_once() -> None:
    rules = {
        "a": RuleConfig(),
        "detour": RuleConfig(weight=99, parameters={"x_s": 1}),
        "waiting": RuleConfig(parameters={"patience_s": 60}),
    }
    fields = [problem.field for _, problem in config_problems(rules)]
    assert fields == ["rules['a']", "rules['detour'].weight", "rules['detour'].parameters['x_s']"]


def test_a_rule_may_refuse_its_own_parameters() -> None:
    def refuse(self: Any) -> None:
        raise ValueError("odd numbers only")

    kinds = by_name([rule(parameters={"count": 1.0}, __post_init__=refuse)])
    ((_, problem),) = config_problems({"free": RuleConfig(parameters={"count": 2.0})}, kinds)
    assert (problem.field, problem.problem) == ("rules['free'].parameters", "free refuses them: odd numbers only")
