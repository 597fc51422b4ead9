"""Lists by filters: which of its two shapes a list's statement takes, so that an index serves it.

Nearly every row of a table is in its common end state. A list of other states is read from the partial indexes, which
leave those rows out: page by page of each state where the index knows the state.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StateList:
    """The shapes of one list. Both take `{filters}`; their own parameters come before `first_place`.

    `by_state` takes the states as parameter `first_place`. `without_common` is the partial indexes' condition, as text:
    a parameter would not prove it. Filters in `owners` go with the plain shape, whose indexes lead with them.
    """

    plain: str
    by_state: str
    filters: Mapping[str, str]
    common_state: str
    without_common: str
    owners: frozenset[str]
    first_place: int

    def statement(self, given: Mapping[str, object]) -> tuple[str, list[object]]:
        """Return the statement for the filters given, by their names, and the values from `first_place` on."""
        filters = dict(given)
        states = filters.get("states")
        if not isinstance(states, list) or self.common_state in states:
            return self._filled(self.plain, filters), list(filters.values())
        if self.owners & filters.keys():
            return self._filled(self.plain, filters, self.without_common), list(filters.values())
        del filters["states"]
        statement = self._filled(self.by_state, filters, self.without_common, self.first_place + 1)
        return statement, [sorted(set(states)), *filters.values()]

    def _filled(self, shape: str, filters: Mapping[str, object], more: str = "", first: int | None = None) -> str:
        places = enumerate(filters, start=first or self.first_place)
        clauses = [self.filters[name].format(n=place) for place, name in places]
        return shape.format(filters=" ".join([*clauses, more]).strip())
