"""The columns of a matching problem's tables: what is wrong with them, by field and row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from services.assignment.matching.geography import Ints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Record = TypeVar("Record", bound="DataclassInstance")


class ProblemError(ValueError):
    """A column breaks a rule: which field, which row (None for the whole column), and what is wrong."""

    def __init__(self, field: str, row: int | None, problem: str) -> None:
        self.field, self.row, self.problem = field, row, problem
        super().__init__(f"{field}{'' if row is None else f'[{row}]'}: {problem}")


def filled(neutral: Mapping[str, Callable[[], object]], columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return every column of `neutral`, as given or neutral; TypeError for one that it does not name."""
    unknown = columns.keys() - neutral.keys()
    if unknown:
        raise TypeError(f"no such columns: {', '.join(sorted(unknown))}")
    return {name: columns[name] if name in columns else make() for name, make in neutral.items()}


def check_ids(ids: Sequence[str]) -> None:
    """Raise ProblemError for an id that stands twice."""
    if len(set(ids)) == len(ids):
        return
    seen: set[str] = set()
    for row, identifier in enumerate(ids):
        if identifier in seen:
            raise ProblemError("id", row, f"{identifier!r} stands twice")
        seen.add(identifier)


def check_columns(
    table: object, rows: int, places: tuple[str, ...], skip: tuple[str, ...], infinite: tuple[str, ...]
) -> None:
    """Raise ProblemError unless every column has its shape and finite numbers that are not negative, places aside."""
    for column_field in fields(table):  # type: ignore[arg-type]  # both callers are dataclasses
        name = column_field.name
        if name in skip:
            continue
        column, shape = getattr(table, name), (rows, 2) if name in places else (rows,)
        if column.shape != shape:
            raise ProblemError(name, None, f"has shape {column.shape}, must have {shape}")
        most = np.inf if name in infinite else np.finfo(np.float64).max
        least = -most if name in places else 0
        # What is no number is neither at least nor at most anything, and makes the whole column's least and most none.
        if column.min(initial=0) >= least and column.max(initial=0) <= most:
            continue
        bad = np.isnan(column) if name in infinite else ~np.isfinite(column)
        if name not in places:
            bad |= column < 0
        row = int(np.argmax(bad.reshape(rows, -1).any(axis=1)))
        raise ProblemError(name, row, f"must be a finite number and not negative, is {column[row]}")


def check_laid_out(
    name: str, offsets: Ints, columns: Mapping[str, Any], owners: int, infinite: tuple[str, ...]
) -> None:
    """Raise ProblemError unless `offsets`, called `name`, lay out columns of numbers; it names the row of the owner.

    Owner j's are rows offsets[j]:offsets[j+1] of each column. Those named in `infinite` may be so.
    """
    if len(offsets) != owners + 1 or offsets[0] != 0 or np.any(np.diff(offsets) < 0):
        raise ProblemError(name, None, "must rise from 0 to the length of what it lays out")
    for column_name, column in columns.items():
        if len(column) != offsets[-1]:
            raise ProblemError(column_name, None, f"has {len(column)} rows, {name} lay out {offsets[-1]}")
        bad = np.isnan(column) if column_name in infinite else ~np.isfinite(column)
        if bad.any():
            place = int(np.argmax(bad.reshape(len(column), -1).any(axis=1)))
            owner = int(np.searchsorted(offsets, place, side="right")) - 1
            raise ProblemError(column_name, owner, f"must be a finite number, is {column[place]}")


def check_degrees(table: object, names: Sequence[str]) -> None:
    """Raise ProblemError for a latitude or longitude of the table's places that is none."""
    for name in names:
        bad = (np.abs(getattr(table, name)) > np.array([90.0, 180.0])).any(axis=1)
        if bad.any():
            raise ProblemError(name, int(np.argmax(bad)), "is no place on earth")


def check_most(counts: Ints, most: int, name: str, what: str) -> None:
    """Raise ProblemError where there is more of something than may be."""
    if counts.max(initial=0) > most:
        row = int(np.argmax(counts))
        raise ProblemError(name, row, f"{counts[row]} {what} are more than {most}")


def check_pairs(pairs: Ints, name: str, rows: int, columns: int | None) -> None:
    """Raise ProblemError for a pair of indices outside the tables; the second is not checked without `columns`."""
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ProblemError(name, None, f"has shape {pairs.shape}, must have (k, 2)")
    bad = (pairs < 0).any(axis=1) | (pairs[:, 0] >= rows)
    if columns is not None:
        bad |= pairs[:, 1] >= columns
    if bad.any():
        raise ProblemError(name, int(np.argmax(bad)), f"{pairs[np.argmax(bad)].tolist()} names no such row")


def derived(of: Record, **columns: object) -> Record:
    """Return a copy of a dataclass with some columns in the place of others, unchecked: they stem from checked ones."""
    made = object.__new__(type(of))
    vars(made).update({field.name: getattr(of, field.name) for field in fields(of)} | columns)
    return made
