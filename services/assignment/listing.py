"""Lists by filters, and how the list of some states finds the partial indexes that hold only such rows."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StateList:
    """The statement of a list: `plain` with `{filters}` filled in, whose own parameters come before `first_place`.

    `groups` are the conditions of partial indexes, each with the states that it covers; they come as text, because a
    parameter would not prove an index's condition, and the state itself is in no index: enum_eq is not leakproof, so
    row-level security would not let it be looked up. `merged` makes one page of the groups' `{pages}`. States that no
    group covers are common enough for the plain indexes. So is every state among the rows of a filter in `few`.
    """

    plain: str
    merged: str
    filters: Mapping[str, str]
    groups: Mapping[str, frozenset[str]]
    few: frozenset[str]
    first_place: int

    def statement(self, given: Mapping[str, object]) -> tuple[str, list[object]]:
        """Return the statement for the filters given, by their names, and the values from `first_place` on."""
        clauses = " ".join(self.filters[name].format(n=place) for place, name in enumerate(given, self.first_place))
        pages = [self.plain.format(filters=f"{clauses} {condition}") for condition in self._conditions(given)]
        if not pages:
            return self.plain.format(filters=clauses), list(given.values())
        if len(pages) > 1:
            pages = [self.merged.format(pages=" UNION ALL ".join(f"({page})" for page in pages))]
        return pages[0], list(given.values())

    def _conditions(self, given: Mapping[str, object]) -> list[str]:
        states = given.get("states")
        covered = frozenset[str]().union(*self.groups.values())
        if not isinstance(states, list) or not covered.issuperset(states) or self.few & given.keys():
            return []
        return [condition for condition, group in self.groups.items() if group.intersection(states)]
