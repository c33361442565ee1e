"""Log lines as JSON objects, one a line, for what collects logs."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any


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
