"""Log lines of a process say what they must, and nothing that names a person."""

import io
import logging
import sys

import pytest

from libs.telemetry import configure


@pytest.fixture
def restored() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield None
    root.handlers[:], root.level = handlers, level


def test_the_urls_that_libraries_ask_for_are_not_logged(restored: object, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    configure("test", "DEBUG")
    for library in ("httpx", "httpcore.connection"):
        logging.getLogger(library).info("HTTP Request: GET https://example.com/?To=%s", "+919876543210")
    logging.getLogger("test").info("something else")
    assert "9876543210" not in said.getvalue()
    assert "something else" in said.getvalue()
