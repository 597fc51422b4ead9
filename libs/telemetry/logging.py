"""One JSON object a line on standard error, from the standard library's loggers."""

import json
import logging
import sys
from datetime import UTC, datetime

# What LogRecord carries itself; anything else on a record came in by `extra=` and is a field of ours.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}

# They log requests or their URLs, and those name people.
_URL_LOGGERS = ("httpx", "httpcore", "botocore", "aiobotocore")


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON object with time, level, service, logger, message and the `extra` fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({name: value for name, value in vars(record).items() if name not in _OWN})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def error_text(error: BaseException) -> str:
    """Return an error's kind and message; the repr of some libraries' errors leaves the message out."""
    return f"{type(error).__name__}: {error}"


def configure(service: str, level: str = "INFO") -> None:
    """Send every log line of this process to standard error as JSON, marked with `service`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for library in _URL_LOGGERS:
        logging.getLogger(library).setLevel(max(logging.WARNING, root.level))
