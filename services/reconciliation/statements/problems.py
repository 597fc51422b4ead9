"""What is wrong with a file, or with a row of it. `reason` is stable, for programs; the message is for people.

FieldError          a field of a row: the row is kept with the reason, and the rest goes in
FileRefusedError    the file as a whole: nothing of it goes in
"""

from dataclasses import dataclass


class FieldError(ValueError):
    """A field cannot be read."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said)
        self.reason = reason


class FileRefusedError(ValueError):
    """A file cannot be read."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a field cannot be read."""

    reason: str
    said: str


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that is not taken: where it stands, why, and what it was. `paise` is 0 where no amount can be read."""

    line: int
    reason: str
    said: str
    content: str
    paise: int = 0
