"""Structured logs: one JSON object a line, without PII."""

from libs.telemetry.logging import configure

__all__ = ["configure"]
