"""The drawings of the lifecycles hold every row of their tables."""

from scripts.lifecycle import render, render_messages, render_runs
from services.assignment.deliveries.lifecycle import TRANSITIONS
from services.notification.messages import lifecycle as messages
from services.reconciliation.runs import lifecycle as runs


def test_every_transition_is_drawn_and_listed() -> None:
    document = render()
    for row in TRANSITIONS:
        assert f"    {row.from_state} --> {row.to_state}\n" in document
        assert f"| {row.from_state} | {row.to_state} | {', '.join(sorted(row.actors))} |" in document


def test_every_transition_of_a_message_is_drawn_and_listed() -> None:
    document = render_messages()
    for row in messages.TRANSITIONS:
        assert f"    {row.from_state} --> {row.to_state}\n" in document
        assert f"| {row.from_state} | {row.to_state} | {', '.join(sorted(row.movers))} |" in document


def test_every_state_of_a_run_is_drawn_and_listed() -> None:
    document = render_runs()
    for row in runs.TRANSITIONS:
        assert f"    {row.state} --> {row.then}\n" in document
        assert f"| {row.state} | {row.then} |" in document
