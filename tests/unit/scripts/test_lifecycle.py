"""The drawing of the lifecycle holds every row of the table."""

from scripts.lifecycle import render
from services.assignment.deliveries.lifecycle import TRANSITIONS


def test_every_transition_is_drawn_and_listed() -> None:
    document = render()
    for row in TRANSITIONS:
        assert f"    {row.from_state} --> {row.to_state}\n" in document
        assert f"| {row.from_state} | {row.to_state} | {', '.join(sorted(row.actors))} |" in document
