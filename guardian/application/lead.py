"""Leading: taking, keeping and losing the lease, and switching to a replaced database file."""

from __future__ import annotations

import logging
from datetime import timedelta

from guardian.application.root import LEASE, Application
from guardian.core.storage import StorageError

log = logging.getLogger("guardian.scheduler")

LEASE_TTL = timedelta(seconds=30)
"""How long the lead lasts without being renewed: after it, another process may take over."""


def stand_by(app: Application) -> None:
    """Stop leading. The health of past steps is dropped, since it says nothing about the present."""
    app.token = None
    app.health.clear()


def file_is_there(app: Application) -> bool:
    """Whether the database is still the one that was opened; where it is not, this process no longer leads."""
    try:
        app.state.check_file()
    except StorageError as changed:
        app.token = None
        _note_trouble(app, str(changed))
        return False
    return True


def _note_trouble(app: Application, why: str) -> None:
    if app.trouble != why:
        log.error("This process does nothing until its database is back: %s", why)
        app.trouble = why


async def follow_file(app: Application) -> bool:
    """Whether the database can be worked with: the one that was opened, or the one that now lies in its place."""
    if app.trouble is None and file_is_there(app):
        return True
    try:
        await app.begin_anew()
    except StorageError as error:
        _note_trouble(app, str(error))
        return False
    app.trouble = None
    # The health of steps on the old file says nothing about this one, and some run only once an hour.
    app.health = {name: each for name, each in app.health.items() if each.error is None}
    log.warning("This process begins on the database file that is there now")
    return True


async def renew_lead(app: Application) -> bool:
    """Take, keep or lose the lead; True where this process has just taken it.

    A replaced database is begun on when no step is under way any more: what such a step has read is of the old one.
    """
    if not (file_is_there(app) if app.under_way else await follow_file(app)):
        return False
    led = app.token is not None
    try:
        app.token = await app.state.acquire_lease(LEASE, app.holder, app.clock(), LEASE_TTL)
    except StorageError as failure:
        # Without renewal, another process may lead by now, so stop.
        app.token = None
        if app.unrenewed != str(failure):
            log.error("The lease cannot be renewed, and is tried for again and again: %s", failure)
        app.unrenewed = str(failure)
    else:
        if app.unrenewed is not None:
            log.warning("The lease is renewed again: the database answers")
        app.unrenewed = None
    if led != (app.token is not None):
        log.info("This process stands by" if led else "This process leads")
        if led:
            stand_by(app)
    return not led and app.token is not None
