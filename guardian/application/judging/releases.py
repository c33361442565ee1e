"""A release that is new fixes what was open, for the rules that say so."""

from __future__ import annotations

import logging
from datetime import datetime

from guardian.alerting.actions import fixed_at
from guardian.application.root import Application
from guardian.core.off_loop import off_loop
from guardian.core.time import micros

log = logging.getLogger("guardian.alerting")


async def fix_by_release(app: Application, now: datetime) -> None:
    """Judge the open incidents of rules with `fixed_by_release` by what came since the newest release, where they began
    before it. Raises StorageError."""
    asked = {name for name, rule in app.settings.rules.items() if rule.enabled and rule.fixed_by_release}
    if not asked:
        return
    state = await app.stores.alerts.load()
    going_on = [each for each in state.incidents() if each.rule in asked and each.status in ("open", "acknowledged")]
    if not going_on:
        return
    released = await off_loop(app.stores.history.releases, min(each.first_us for each in going_on), micros(now))
    if not released:
        return
    newest = released[-1]
    for incident in going_on:
        if incident.first_us < newest.at_us and (incident.fixed_us or 0) < newest.at_us:
            await app.stores.alerts.change(incident.id, fixed_at(newest.at_us))
            log.info("Incident %s is judged by what came since the release %s", incident.id, newest.release)
