"""Logging in the host's process, guarded because the host's handlers and filters may raise."""

from __future__ import annotations

import logging
from contextlib import suppress

_log = logging.getLogger("tracker")


def say(level: int, text: str, *values: object) -> None:
    """Log a sentence; never raises. `values` must never come from a client."""
    with suppress(Exception):
        _log.log(level, text, *values)


def announce(text: str, *values: object) -> None:
    """Log useful information once at the start; never raises. Servers only set up their own loggers, so if nobody
    listens to ours, the server's logger is used.
    """
    with suppress(Exception):
        log = _log
        if not (_log.isEnabledFor(logging.INFO) and _log.hasHandlers()):
            known = logging.root.manager.loggerDict
            found = (known.get(name) for name in ("uvicorn.error", "hypercorn.error", "gunicorn.error", "granian"))
            usable = (each for each in found if isinstance(each, logging.Logger))
            log = next((each for each in usable if each.isEnabledFor(logging.INFO) and each.hasHandlers()), _log)
        log.info(text, *values)
