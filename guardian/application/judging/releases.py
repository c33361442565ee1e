"""A new release marks open incidents as fixed, for the rules whose settings say so."""

from __future__ import annotations

import logging
from datetime import datetime

from guardian.alerting.actions import fixed_at
from guardian.alerting.released import begun_before, waiting
from guardian.application.root import Application
from guardian.core.off_loop import off_loop
from guardian.core.time import micros

log = logging.getLogger("guardian.alerting")


async def fix_by_release(app: Application, now: datetime) -> None:
    """Judge the open incidents of rules with `fixed_by_release` by what came since the newest release, where they began
    before it. Raises StorageError."""
    rules = app.settings.rules.values()
    if not any(rule.enabled and rule.fixed_by_release for rule in rules):
        return
    going_on = waiting(await app.stores.alerts.load(), rules)
    if not going_on:
        return
    released = await off_loop(app.stores.history.releases, min(each.first_us for each in going_on), micros(now))
    if not released:
        return
    newest = released[-1]
    for incident in begun_before(going_on, newest):
        await app.stores.alerts.change(incident.id, fixed_at(newest.at_us))
        log.info("Incident %s is judged by what came since the release %s", incident.id, newest.release)
