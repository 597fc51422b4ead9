"""Finds the rules: every class in a file of this folder, and every entry point of an installed package."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import cast

from services.assignment.matching import rules as own_rules
from services.assignment.matching.columns import ProblemError
from services.assignment.matching.problem import Policy, RuleConfig
from services.assignment.matching.rulebook import RuleBook, Weighed
from services.assignment.matching.rules.base import Rule

ENTRY_POINTS = "lastmile.matching_rules"
_NOT_RULES = {"base", "registry"}


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
            found += rules_in(importlib.import_module(f"{own_rules.__name__}.{module.name}"))
    found += [entry_point.load() for entry_point in entry_points(group=ENTRY_POINTS)]
    return by_name(found)


def by_name(found: list[type[Rule]]) -> Mapping[str, type[Rule]]:
    """Return the rules by their names, lowest rank first."""
    named: dict[str, type[Rule]] = {}
    for kind in found:
        where = f"{kind.__module__}.{kind.__qualname__}"
        missing = [name for name in ("name", "reason", "weight", "rank", "__call__") if not hasattr(kind, name)]
        if missing or not is_dataclass(kind):
            raise RuleDefinitionError(f"{where} is no rule: it lacks {', '.join(missing) or 'the dataclass decorator'}")
        if kind.name in named:
            raise RuleDefinitionError(f"{where} and {named[kind.name].__qualname__} are both called {kind.name!r}")
        named[kind.name] = kind
    return dict(sorted(named.items(), key=lambda item: (item[1].rank, item[0])))


def rule_book(policy: Policy, kinds: Mapping[str, type[Rule]] | None = None) -> RuleBook:
    """Return the policy's rules, ready to use; ProblemError for a configuration that does not fit a rule."""
    kinds = discovered() if kinds is None else kinds
    unknown = sorted(policy.rules.keys() - kinds.keys())
    if unknown:
        raise ProblemError(f"rules.{unknown[0]}", None, f"is no rule; there are {', '.join(sorted(kinds))}")
    book = []
    for name, kind in kinds.items():
        config = policy.rules.get(name, RuleConfig())
        if config.enabled:
            book.append(Weighed(_made(name, kind, config), kind.weight if config.weight is None else config.weight))
    return RuleBook(tuple(book))


def parameters_of(kind: type[Rule]) -> dict[str, float]:
    """Return a rule's parameters with their defaults."""
    return {field.name: float(field.default) for field in fields(kind)}  # type: ignore[arg-type]  # is a dataclass


def _made(name: str, kind: type[Rule], config: RuleConfig) -> Rule:
    known = parameters_of(kind)
    for parameter, value in config.parameters.items():
        place = f"rules.{name}.parameters.{parameter}"
        if parameter not in known:
            raise ProblemError(place, None, f"is no parameter; {name} has {', '.join(sorted(known)) or 'none'}")
        if not 0 <= value < float("inf"):
            raise ProblemError(place, None, f"must be finite and not negative, is {value}")
    return kind(**config.parameters)
