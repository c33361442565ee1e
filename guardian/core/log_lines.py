"""Log lines as JSON objects, one a line, for what collects logs."""

from __future__ import annotations

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Any

log = logging.getLogger("guardian")


class JsonLines(logging.Formatter):
    """`time` (ISO 8601 in UTC), `level`, `logger` and `message`; `error` has the traceback, where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line, in ASCII: nothing in a message can begin another line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_as_json() -> None:
    """From now on each line of the log is a JSON object; so are Python's warnings, and the traceback of a fault that
    ends the process or one of its threads."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
    logging.captureWarnings(True)
    sys.excepthook = lambda *found: log.critical("Guardian ends by a fault of its own", exc_info=found)

    def in_thread(found: threading.ExceptHookArgs) -> None:
        name = "?" if found.thread is None else found.thread.name
        error = found.exc_value or found.exc_type()
        log.error("A fault ended the thread %s", name, exc_info=(found.exc_type, error, found.exc_traceback))

    threading.excepthook = in_thread


def logs_json() -> bool:
    """Whether the lines of the log are JSON."""
    return any(isinstance(each.formatter, JsonLines) for each in logging.getLogger().handlers)


def say_at_the_end(sentence: str) -> None:
    """Say why a command stops: as a line of the log if that is JSON, else as `guardian: sentence` on stderr."""
    if logs_json():
        log.error("%s", sentence)
    else:
        sys.stderr.write(f"guardian: {sentence}\n")
