"""Alerting as steps of the daemon: judge the minutes that have passed, and ask the probes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache, partial
from zoneinfo import ZoneInfo

import httpx2

from guardian.alerting.history import Snapshot
from guardian.alerting.kinds import kind_of
from guardian.alerting.notices import Notice
from guardian.application.judging.causes import ended_with
from guardian.application.judging.live import LiveHistory, judge_passed_minutes, surroundings
from guardian.application.judging.releases import fix_by_release
from guardian.application.root import Application
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import Outgoing
from guardian.core.time import micros
from guardian.mail.alert.compose import AlertWriter
from guardian.mail.channels.client import quiet
from guardian.mail.channels.services import follows_each
from guardian.settings.rules import Probe

log = logging.getLogger("guardian.alerting")


async def alert_step(app: Application, now: datetime, token: int | None) -> None:
    """Judge every minute that ended since the last time, and put what follows into the outbox.

    Where alerts are switched off, the only thing to say is that what was firing is no longer watched. Raises
    StorageError or LeaseLost; nothing is changed then.
    """
    around, store = surroundings(app.settings), app.stores.alerts
    if not app.settings.alerts.enabled:
        state = await store.load()
        if not state.held and all(each.status == "resolved" for each in state.incidents()):
            return
        around = replace(around, rules=())
    if app.settings.alerts.enabled:
        await fix_by_release(app, now)
    writer = AlertWriter(
        admins=app.settings.admins,
        sender=app.email.sender,
        lang=app.email.language,
        zone=ZoneInfo(app.settings.timezone),
        public_url=app.settings.links_url,
        pages_url=app.settings.pages_url,
        link_key=None,
        support_email=app.settings.alerts.support_email,
        language_of=app.email.language_of,
        app=app.settings.app_label,
        look=partial(ended_with, app.stores.history),
        alone=frozenset(name for name, each in app.settings.channels.items() if follows_each(each.address)),
    )

    loop = asyncio.get_running_loop()

    @cache
    def signing() -> AlertWriter:
        """The writer with the key of its links, read where something is to be written, and once."""
        key = asyncio.run_coroutine_threadsafe(store.link_key(), loop).result() if app.settings.api.enabled else None
        return replace(writer, link_key=key)

    def compose(notice: Notice, snapshot: Snapshot) -> tuple[Sequence[Outgoing], Mapping[str, str]]:
        written = signing().compose(notice, snapshot, now)  # in a thread
        return written.messages, written.subjects

    for change in await judge_passed_minutes(store, live_history(app), around, compose, now=now, token=token):
        # Without the subject, which may be a person: erasing does not reach the log.
        log.info("Rule %s: %s, incident %s", change.incident.rule, change.change, change.incident.id)


async def probe_step(app: Application, now: datetime, token: int | None) -> None:
    """Ask every probe once; the answers are judged with the next minute."""
    probes = {
        name: probe
        for name, rule in app.settings.rules.items()
        if (probe := kind_of(rule).probe(rule)) is not None and rule.enabled
    }
    if not probes or not app.settings.alerts.enabled:
        return
    # Loading the system's certificates takes 70 ms.
    async with await off_loop(httpx2.AsyncClient, follow_redirects=False) as client:
        found = await asyncio.gather(*(answers_well(client, probe) for probe in probes.values()))
    for name, good in zip(probes, found, strict=True):
        live_history(app).answered(name, micros(app.clock()), good)


async def answers_well(client: httpx2.AsyncClient, probe: Probe) -> bool:
    """Whether the probe's address answered with the status it should, in time."""
    try:
        with quiet():
            async with (
                asyncio.timeout(probe.timeout),
                client.stream("GET", probe.url.reveal(), timeout=probe.timeout) as answer,
            ):
                return answer.status_code == probe.status
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError, ValueError):
        return False


def live_history(app: Application) -> LiveHistory:
    """The history that the application keeps in memory, made at the first call."""
    if app.live is None:
        app.live = LiveHistory(app.stores.history, surroundings(app.settings).rules)
    return app.live
