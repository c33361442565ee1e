"""Sample report mails, made as the daemon makes them: from events in a database of their own."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from guardian.alerting.incidents import Incident
from guardian.alerting.review import Better
from guardian.application.latency_before import with_latency_before
from guardian.application.preview.sample import ADMIN, NOW, URL, ZONE, Sample
from guardian.application.preview.traffic import USERS, history
from guardian.application.usage import UsageGuardian
from guardian.core.cause import Cause, Found, MovedCause, Way
from guardian.core.language import LANGUAGES, language
from guardian.core.outgoing import Outgoing
from guardian.core.releases import Release, Since
from guardian.core.report.model import Fired, Report
from guardian.core.time import micros, moment
from guardian.core.turnover import Cohort, Group, Turnover, Usage
from guardian.mail.report.incidents import incident_lines
from guardian.mail.service import EmailService
from guardian.settings.rules import parse_rule
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tracker.event import Event, Failure

DAY = timedelta(days=1)
MIDNIGHT = NOW - timedelta(hours=9)
DAY_BEFORE = (MIDNIGHT - DAY, MIDNIGHT)
WEEK = (MIDNIGHT - 7 * DAY, MIDNIGHT)
NEXT = (NOW + DAY, (MIDNIGHT, MIDNIGHT + DAY))
NEXT_WEEK = (NOW + 7 * DAY, (MIDNIGHT, MIDNIGHT + 7 * DAY))
COMPANIONS = {
    "prod_report.json": {
        "status": "DEGRADED",
        "timestamp": "2026-03-17T05:00:00Z",
        "summary": {"checks_passed": 41, "checks_failed": 2, "slowest_check_seconds": 1.2},
        "recommendations": [
            {"priority": "HIGH", "action": "Add an index on threads.owner", "details": "Listing takes 1.2 s."}
        ],
        "errors_detailed": [{"check": "search", "error": "timeout after 5 s"}],
    },
    "docs_report.json": {"status": "OK", "timestamp": "2026-03-17T04:00:00Z", "summary": {"pages": 212}},
    "integrity_report.json": ["not", "an", "object"],
}
RULES = {
    "feature_down": parse_rule("feature_down", {"features": ["chat_message"]}),
    "error_rate": parse_rule("error_rate", {}),
}


async def sample_reports() -> list[Report]:
    """The reports on a bad day, its week, a quiet day, one of 5,000 users and one without anybody, in any language."""
    long_ago = [event(MIDNIGHT - 9 * DAY, USERS[0], "chat_message")]  # an app that was never used is another matter
    fired = [Fired("feature_down", "critical"), Fired("error_rate", "warning")]
    bad, week = await _reports(bad_day(), DAY_BEFORE, WEEK, fired=fired)
    week = replace(week, **story())
    [quiet], [crowd], [nobody] = [await _reports(each, DAY_BEFORE) for each in (quiet_day(), crowded_day(), long_ago)]
    return [bad, week, quiet, crowd, nobody]


def report_samples(email: EmailService, reports: Sequence[Report]) -> list[Sample]:
    """A mail of each of `sample_reports`, and one more in French."""
    bad, week, quiet, crowd, nobody = reports
    more: dict[str, Any] = {"next_report": NEXT, "unsubscribe": f"{URL}/u/sample"}
    told = {code: incident_lines(incidents(), RULES, *DAY_BEFORE, lang=language(code), zone=ZONE) for code in LANGUAGES}
    better = Better(RULES["error_rate"], 0.13, 5)
    noise = incident_lines(noisy_week(), RULES, *WEEK, lang=email.language, zone=ZONE, better=better)
    return [
        Sample(
            "report",
            "By schedule, here daily: a day on which the chat broke, with the reports of other tools beside it.",
            _mail(email, {"usage_stats": bad, **COMPANIONS}, "report", incidents=told[email.language.code], **more),
        ),
        Sample("report-french", "The same in French, for those whose `language` it is.",
               _mail(email, {"usage_stats": bad}, "french", code="fr", incidents=told["fr"], **more)),
        Sample("report-weekly",
               "Weekly: the same of seven days, who came and went, a release, and which rule is the noisiest.",
               _mail(email, {"usage_stats": week}, "week", incidents=noise, **more | {"next_report": NEXT_WEEK})),
        Sample("report-quiet", "The same of a good day.", _mail(email, {"usage_stats": quiet}, "quiet", **more)),
        Sample("report-5000-users", "The same with 5,000 users: the busiest in the mail, all in the attached table.",
               _mail(email, {"usage_stats": crowd}, "crowd", **more)),
        Sample("report-empty", "Nobody came: one line, or nothing at all with `skip_empty`.",
               _mail(email, {"usage_stats": nobody}, "nobody", **more)),
    ]  # fmt: skip


def _mail(email: EmailService, reports: Mapping[str, Any], key: str, **more: Any) -> Outgoing:
    return email.compose_guardian_report(ADMIN, reports, key=f"sample/{key}", **more)


async def _reports(
    events: Sequence[Event], *windows: tuple[datetime, datetime], fired: Sequence[Fired] = ()
) -> list[Report]:
    """The real report on each window, half-open."""

    async def firings(start: datetime, end: datetime) -> Sequence[Fired]:
        return fired

    with tempfile.TemporaryDirectory() as folder:
        repository = await backend(Path(folder) / "sample.db").open_events(NO_BOOK)
        try:
            for first in range(0, len(events), 5_000):
                await repository.write(events[first : first + 5_000])
            # Its first minutes, as if all were summarised: that takes six times as long as the rest of the samples.
            await repository.seal(moment(events[0].at_us) + timedelta(minutes=10))
            usage = UsageGuardian(
                repository, reports_dir=folder, clock=lambda: NOW, timezone=ZONE.key, fired=firings, seals=False
            )
            made = [await usage.read_report(start_time=start, end_time=end) for start, end in windows]
            return [await with_latency_before(report, repository) for report in made]
        finally:
            await repository.close()


def story() -> dict[str, Any]:
    """Who came and went in that week, the release that broke the chat, and why the chat failed."""
    released = Since(MIDNIGHT - timedelta(hours=10), MIDNIGHT, 1_204, 197, 132.0)
    before = replace(released, start=released.start - 7 * DAY, end=released.end - 7 * DAY, requests=1_188, errors=9)
    starts = [WEEK[0] - n * 7 * DAY for n in (4, 3, 2, 1)]
    back = ((6, 5, 5, 4), (9, 7, 6), (6, 5), (7,))
    return {
        "turnover": Turnover(
            active=40, active_before=38, new=Group(4, tuple(USERS[-4:])), returned=Group(2, tuple(USERS[20:22])),
            quiet=(Group(3, tuple(USERS[24:27]), "chat_message"), Group(1, (USERS[28],))),
            came_new=9, came_back=7,
            cohorts=tuple(Cohort(at, 9 if n == 3 else 8 + n, came)
                          for n, (at, came) in enumerate(zip(starts, back, strict=True))),
            adopted=(Usage("document_upload", 21, 6),),
        ),
        "releases": (Release("2.4.1", released, before, ("errors", "latency", "requests"), ("errors",)),),
        "causes": (MovedCause("chat_message", "", "failed", 7, Cause(
            (Found("release", "2.4.1", 171, 180, 340, 1_600, 0.94),)),
            Way(("KeyError", "chat.py:118 answer"), 168, 180, 0, 1_510)),),
    }  # fmt: skip


def incidents() -> list[Incident]:
    """What opened that day: one is over, the other is not."""
    chat, rate = MIDNIGHT - timedelta(hours=2), MIDNIGHT - timedelta(hours=9, minutes=55)
    return [
        Incident("a1", "feature_down", "chat_message", "critical", "open", micros(chat), opened_us=micros(chat)),
        Incident(
            "a2", "error_rate", "", "warning", "resolved", micros(rate), opened_us=micros(rate),
            resolved_us=micros(rate + timedelta(minutes=38)), acknowledged_by=ADMIN, acted=True,
        ),
    ]  # fmt: skip


def noisy_week() -> list[Incident]:
    """Those, and short ones of the same rule every noon, on which nobody acted."""
    noons = [micros(MIDNIGHT - n * DAY - timedelta(hours=12)) for n in range(1, 6)]
    short = [
        Incident(f"b{at}", "error_rate", "", "warning", "resolved", at, opened_us=at, resolved_us=at + 9 * 60_000_000,
                 peak=0.11)
        for at in noons
    ]  # fmt: skip
    return [*short, *incidents()]


def event(at: datetime, user: str, feature: str, status: int = 200, failure: Failure | None = None) -> Event:
    """One request."""
    duration_us = 40_000 + hash_of(user, feature) % 90_000
    return Event(micros(at), user, f"/api/{feature.replace('_', '/')}", "POST", feature, status, duration_us, failure)


def hash_of(*words: str) -> int:
    """A number that is the same in every run."""
    return random.Random("/".join(words)).randrange(1_000_000)


def bad_day(days: int = 16) -> list[Event]:
    """So many usual days; at the end of the last the chat breaks, one user keeps failing, and one stopped days ago."""
    events = [each for each in history(NOW, days=days) if each.user != "olga@example.com"]
    crash = Failure("KeyError", "Internal Server Error", "app.py:118 answer")
    large = Failure("HTTP 413", "File too large")
    broken = NOW - timedelta(hours=20)
    for n in range(160):
        at = broken + timedelta(seconds=11 * n)
        events.append(event(at, USERS[n * n % len(USERS)], "chat_message", 500, crash))
    for n in range(14):
        at = NOW - timedelta(hours=15, minutes=2 * n)
        events.append(event(at - timedelta(seconds=30), "rosa@example.com", "threads"))
        events.append(event(at, "rosa@example.com", "document_upload", 413, large))
    gone = NOW - timedelta(days=3, hours=15)
    events += [event(gone - timedelta(hours=5 * n), "olga@example.com", "search") for n in range(20, 0, -1)]
    events.append(event(gone, "olga@example.com", "search", 500, crash))
    return sorted(events, key=lambda each: each.at_us)


def quiet_day() -> list[Event]:
    """Some days on which nothing failed."""
    return [each for each in history(NOW, days=9) if each.failure is None]


def crowded_day() -> list[Event]:
    """A day of 5,000 users, of whom every fiftieth hits errors; and the day before, of fewer."""
    timeout = Failure("TimeoutError", "Internal Server Error", "search.py:52 ask")
    events = []
    for n in range(5_000):
        user = f"firstname.lastname.{n:04}@department.example.com"
        for k in range(8 if n % 9 else 14):
            at = MIDNIGHT - timedelta(seconds=(n * 16 + k * 9_000) % (86_000 if n % 9 else 170_000) + 300)
            bad = n % 50 == 0 and k > 4
            events.append(event(at, user, f"feature_{(n + k) % 30}", 500 if bad else 200, timeout if bad else None))
    return sorted(events, key=lambda each: each.at_us)
