"""The mails of a report: one for each recipient, in their language; and whether it says anything worth a mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from guardian.alerting.forgetting import people_named
from guardian.alerting.incidents import was_open
from guardian.alerting.links import make_unsubscribe_link
from guardian.application.judging.review import find_better
from guardian.application.latency_before import with_latency_before
from guardian.application.root import Application, NamedSchedule
from guardian.core.language import Language
from guardian.core.mentions import marked_name
from guardian.core.off_loop import in_thread, off_loop
from guardian.core.outgoing import Outgoing
from guardian.core.report.comparing import by_weekday
from guardian.core.report.judge import BUSY
from guardian.core.report.reading import from_json
from guardian.core.schedule import Period
from guardian.mail.companions import Companion, load_companions
from guardian.mail.report.incidents import IncidentLine, incident_lines, is_long


async def says_nothing(app: Application, report: Mapping[str, Any]) -> bool:
    """Whether nobody came, as is known to be usual, no companion report tells of trouble, and no incident touches
    the period."""
    start, end = (datetime.fromisoformat(report[edge]) for edge in ("period_start", "period_end"))
    # While an app is being set up, nothing recorded for some hours is no problem yet; for a whole day it is.
    fresh = end - start < timedelta(days=1) and any(note["kind"] == "never" for note in report["notes"])
    if report["total_requests"] or (report["status"] != "OK" and not fresh):
        return False
    known = from_json(report)
    if known.baseline is None and known.previous and known.previous.total_requests >= BUSY and by_weekday(start, end):
        return False  # such as the first Tuesday after a busy Monday: too early to call this usual
    incidents = await app.stores.alerts.incidents(since=start, limit=1000)
    if any(was_open(incident, start, end) for incident in incidents):
        return False
    companions = await off_loop(load_companions, app.settings.reports_dir)
    return all(isinstance(each, Companion) and each.grave == "OK" for each in companions.values())


async def compose_reports(
    app: Application,
    report: dict[str, Any],
    key: str,
    recipients: Sequence[str],
    upcoming: tuple[datetime, Period] | None,
    *,
    named: NamedSchedule | None = None,
) -> list[Outgoing]:
    """One mail for each recipient, in their language, rendered off the event loop; its key is `key/recipient`.

    The mails of a schedule, `named`, can be unsubscribed from, where the API that answers the link is served.
    """
    store = app.stores.alerts
    start, end = (datetime.fromisoformat(report[edge]) for edge in ("period_start", "period_end"))
    incidents = await store.incidents(since=start, limit=1000)
    told = [people_named(each, marked_name, of_user=each.of_user is True) for each in incidents]
    link_key = await store.link_key() if named is not None and app.settings.api.enabled else None
    zone = named.schedule.zone if named else app.email.zone
    look: dict[str, Any] = {"zone": zone}
    if named:
        table = named.settings
        look |= {"code": table.language, "sections": table.sections, "text_only": table.format == "text"}

    better = await in_thread(find_better, app.settings, incidents, start, end) if is_long(start, end) else None

    usage = [await with_latency_before(await off_loop(from_json, report), app.repository)]

    def lines(lang: Language) -> list[IncidentLine]:
        return incident_lines(told, app.settings.rules, start, end, lang=lang, zone=zone, better=better)

    def unsubscribe(to: str) -> str | None:
        if link_key is None or named is None:
            return None
        return make_unsubscribe_link(app.settings.links_url, link_key, named.name, to, app.clock())

    def compose() -> list[Outgoing]:
        reports = {**load_companions(app.settings.reports_dir), "usage_stats": usage.pop()}
        return [
            app.email.compose_guardian_report(
                to,
                reports,
                key=f"{key}/{to}",
                next_report=upcoming,
                incidents=lines(app.email.language_of(to, look.get("code"))),
                unsubscribe=unsubscribe(to),
                **look,
            )
            for to in recipients
        ]

    return await off_loop(compose)
