"""Finds the rules: every class in a file of this folder, and every entry point of an installed package."""

import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, cast

from services.assignment.matching import rules as own_rules
from services.assignment.matching.asking import RuleFaultError
from services.assignment.matching.columns import ProblemError
from services.assignment.matching.problem import Policy, RuleConfig
from services.assignment.matching.rulebook import RuleBook, Weighed
from services.assignment.matching.rules.base import Rule

ENTRY_POINTS = "lastmile.matching_rules"
# What a second of a rule may weigh at most, and a parameter whose name ends in "_s": COST_S_MAX bounds what they make.
WEIGHT_MAX = 10.0
PARAMETER_S_MAX = 86_400.0
_NOT_RULES = {"base", "registry"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_REASON = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


class RuleDefinitionError(TypeError):
    """A class is no rule, or two rules share a name; the message says which and what is missing."""


def rules_in(module: ModuleType) -> list[type[Rule]]:
    """Return the rules that a module defines."""
    kinds: list[type[Rule]] = []
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if kind.__module__ == module.__name__ and hasattr(kind, "reason") and hasattr(kind, "name"):
            kinds.append(cast("type[Rule]", kind))
    return kinds


@cache
def discovered() -> Mapping[str, type[Rule]]:
    """Return every rule by its name; RuleDefinitionError when one is not what a rule must be."""
    found: list[type[Rule]] = []
    for module in pkgutil.iter_modules(own_rules.__path__):
        if module.name not in _NOT_RULES:
            found += _rules_of(importlib.import_module(f"{own_rules.__name__}.{module.name}"))
    for entry_point in entry_points(group=ENTRY_POINTS):
        try:
            found.append(entry_point.load())
        except Exception as error:
            raise RuleDefinitionError(f"entry point {entry_point.name} = {entry_point.value}: {error!r}") from error
    return by_name(found)


def _rules_of(module: ModuleType) -> list[type[Rule]]:
    kinds = rules_in(module)
    if not kinds:
        raise RuleDefinitionError(f"{module.__name__} defines no rule: a class with a name and a reason")
    return kinds


def by_name(found: list[type[Rule]]) -> Mapping[str, type[Rule]]:
    """Return the rules by their names, lowest rank first."""
    named: dict[str, type[Rule]] = {}
    for kind in found:
        where = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}"
        problem = next(_definition_problems(kind), None)
        if problem is not None:
            raise RuleDefinitionError(f"{where} is no rule: {problem}")
        if kind.name in named:
            raise RuleDefinitionError(f"{where} and {named[kind.name].__qualname__} are both called {kind.name!r}")
        named[kind.name] = kind
    return dict(sorted(named.items(), key=lambda item: (item[1].rank, item[0])))


def _definition_problems(kind: Any) -> Iterator[str]:
    missing = [name for name in ("name", "reason", "weight", "rank") if not hasattr(kind, name)]
    # Every class can be called; its objects only where it, or what it inherits, says how.
    if not any("__call__" in vars(ancestor) for ancestor in getattr(kind, "__mro__", ())):
        missing.append("__call__")
    parameters = {f"parameter {field.name}": field.default for field in fields(kind)} if is_dataclass(kind) else None
    if missing or parameters is None:
        yield f"it lacks {', '.join(missing) or 'the dataclass decorator'}"
        return
    if not isinstance(kind.name, str) or not _NAME.fullmatch(kind.name):
        yield f"its name {kind.name!r} is not in lower case with underscores"
    if kind.reason is not None and not (isinstance(kind.reason, str) and _REASON.fullmatch(kind.reason)):
        yield f"its reason {kind.reason!r} is neither None nor in capitals with underscores"
    if not isinstance(kind.rank, int):
        yield f"its rank {kind.rank!r} is no integer"
    for name, value in ({"weight": kind.weight} | parameters).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            yield f"its {name} has no finite default that is not negative"


def rule_book(policy: Policy, kinds: Mapping[str, type[Rule]] | None = None, *, lenient: bool = False) -> RuleBook:
    """Return the policy's rules, ready to use; ProblemError for a configuration that does not fit a rule.

    A lenient book leaves the rules out that are configured as they cannot be, but for required ones, which it uses as
    they ship, and names them all among its faults: whoever stored the configuration may know other rules than this
    process.
    """
    kinds = discovered() if kinds is None else kinds
    problems = list(config_problems(policy.rules, kinds))
    if problems and not lenient:
        raise problems[0][1]
    wrong = {name for name, _ in problems}
    book = []
    for name, kind in kinds.items():
        if name in wrong and not is_required(kind):
            continue
        config = RuleConfig() if name in wrong else policy.rules.get(name, RuleConfig())
        if config.enabled:
            weight = kind.weight if config.weight is None else config.weight
            book.append(Weighed(kind(**config.parameters), weight))
    return RuleBook(tuple(book), tuple(RuleFaultError(name, f"{p.field} {p.problem}") for name, p in problems))


def config_problems(
    rules: Mapping[str, RuleConfig], kinds: Mapping[str, type[Rule]] | None = None
) -> Iterator[tuple[str, ProblemError]]:
    """Yield each rule's name with what is wrong in its configuration: the field, the value, and what there is."""
    kinds = discovered() if kinds is None else kinds
    for name, config in sorted(rules.items()):
        place = f"rules[{name!r}]"
        if name not in kinds:
            yield name, ProblemError(place, None, f"{name!r} is no rule; there are {', '.join(sorted(kinds))}")
            continue
        for problem in _own_problems(place, kinds[name], config):
            yield name, problem


def _own_problems(place: str, kind: type[Rule], config: RuleConfig) -> Iterator[ProblemError]:
    if not config.enabled and is_required(kind):
        yield ProblemError(f"{place}.enabled", None, f"false: no city can switch {kind.name} off")
    if config.weight is not None and not 0 <= config.weight <= WEIGHT_MAX:
        yield ProblemError(f"{place}.weight", None, f"must be from 0 to {WEIGHT_MAX:g}, is {config.weight}")
    known, problems = parameters_of(kind), []
    for parameter, value in sorted(config.parameters.items()):
        field, value_max = f"{place}.parameters[{parameter!r}]", PARAMETER_S_MAX if parameter.endswith("_s") else 1e12
        if parameter not in known:
            said = f"{parameter!r} is no parameter; {kind.name} has {', '.join(sorted(known)) or 'none'}"
            problems.append(ProblemError(field, None, said))
        elif not 0 <= value <= value_max:
            problems.append(ProblemError(field, None, f"must be from 0 to {value_max:g}, is {value}"))
    if not problems:
        try:
            kind(**config.parameters)
        except Exception as error:  # noqa: BLE001 - whatever a rule has against its parameters is its answer
            problems.append(ProblemError(f"{place}.parameters", None, f"{kind.name} refuses them: {error}"))
    yield from problems


def parameters_of(kind: type[Rule]) -> dict[str, float]:
    """Return a rule's parameters with their defaults."""
    return {field.name: float(field.default) for field in fields(kind)}  # type: ignore[arg-type]  # is a dataclass


def description_of(kind: type[Rule]) -> str:
    """Return what a rule does: the first line of its docstring, "" without one of its own."""
    # A dataclass without a docstring has its signature for one.
    text = inspect.getdoc(kind) or ""
    return "" if text.startswith(f"{kind.__name__}(") else text.partition("\n")[0]


def is_required(kind: type[Rule]) -> bool:
    """Say whether no city can switch the rule off."""
    return bool(getattr(kind, "required", False))
