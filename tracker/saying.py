"""What the tracker says in the host's log, without ever harming the host: its handlers and filters may raise."""

from __future__ import annotations

import logging
from contextlib import suppress

_log = logging.getLogger("tracker")


def say(level: int, text: str, *values: object) -> None:
    """Log a sentence of ours; never raises. `values` are never what a client sent."""
    with suppress(Exception):
        _log.log(level, text, *values)
