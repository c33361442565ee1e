"""What the tracker says in the host's log, without ever harming the host: its handlers and filters may raise."""

from __future__ import annotations

import logging
from contextlib import suppress

_log = logging.getLogger("tracker")


def say(level: int, text: str, *values: object) -> None:
    """Log a sentence of ours; never raises. `values` are never what a client sent."""
    with suppress(Exception):
        _log.log(level, text, *values)


def announce(text: str, *values: object) -> None:
    """Say what is good to know once at the start; never raises.

    Servers set up their own loggers only, so where nobody listens to ours it is said in the server's.
    """
    with suppress(Exception):
        log = _log
        if not (_log.isEnabledFor(logging.INFO) and _log.hasHandlers()):
            known = logging.root.manager.loggerDict
            found = (known.get(name) for name in ("uvicorn.error", "hypercorn.error", "gunicorn.error", "granian"))
            usable = (each for each in found if isinstance(each, logging.Logger))
            log = next((each for each in usable if each.isEnabledFor(logging.INFO) and each.hasHandlers()), _log)
        log.info(text, *values)
