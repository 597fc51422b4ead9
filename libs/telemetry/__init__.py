"""Structured logs: one JSON object a line, without PII."""

from libs.telemetry.logging import configure, error_text

__all__ = ["configure", "error_text"]
