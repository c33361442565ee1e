"""System: the app's processes, the database, retention, steps, versions, the settings as loaded, and the check."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.responses import Response

from guardian.application.check.checkup import check_running
from guardian.application.lead import LEASE_TTL
from guardian.application.root import LEASE
from guardian.application.status import application_status
from guardian.core.grade import grade
from guardian.core.language import marked
from guardian.core.note_words import note_words
from guardian.core.notes import SILENT
from guardian.core.off_loop import off_loop
from guardian.mail.report.wording import short
from guardian.settings.schema import Settings
from guardian.web.pages.frame import framed
from guardian.web.pages.honesty import read_honesty
from guardian.web.pages.page import Page, View
from guardian.web.pages.tables import Table

HIDDEN = "••••••"
SECRET = ("password", "secret", "token", "jwt_key", "credentials")
"""The value of a key with one of these in its name is never shown, whatever its type, except for names of files."""


async def run(view: View) -> Mapping[str, Any] | Response:
    """The page; with `check` in the address, what `guardian check` says, too. Raises StorageError."""
    app, lang = view.app, view.lang
    status = await app.glances.take("status", lambda: application_status(app), now=view.now, fresh=timedelta(seconds=9))
    honest = await read_honesty(view)
    stats = await app.repository.stats(view.now)
    led = await app.state.lease_held(LEASE, view.now, LEASE_TTL)
    findings = None
    if view.query.get("check") == "now":
        found = await app.glances.take(
            ("check", lang.code), lambda: check_running(app, lang), now=view.now, fresh=timedelta(seconds=20)
        )
        findings = [
            {"subject": lang(each.subject) if each.subject in _SUBJECTS else each.subject, "text": each.text,
             "style": grade(each.level).look.style, "sign": grade(each.level).look.sign}
            for each in found
        ]  # fmt: skip
    daily = stats.size_bytes / stats.events * honest.requests if stats.events else 0.0
    keep = app.settings.retention
    recorders = await app.repository.recorders(view.now)
    packages = await off_loop(versions)
    settings = await off_loop(settings_shown, app.settings) if view.may_act else []
    return await framed(
        view,
        {
            "database": {
                "place": short(str(app.settings.database)),
                "size": size_words(stats.size_bytes, view) if stats.size_bytes else "–",  # Firestore does not say
                "growth": lang("about %(size)s a day", size=size_words(daily, view)) if daily >= 1 else "",
                "events": lang.number(stats.events),
                "people": lang.number(stats.users),
                "oldest": "" if stats.oldest is None else lang.moment(stats.oldest, view.zone),
                "purged": lang.number(stats.purged),
            },
            "retention": [
                (lang("Single events"), keep.events_days), (lang("Error texts"), keep.errors_days),
                (lang("Sessions"), keep.sessions_days), (lang("Totals of each person"), keep.summaries_days),
                (lang("Mails and reports"), keep.mails_days),
            ],
            "recorders": [
                {"id": each.id, "alive": view.now - each.seen_at <= SILENT,
                 "seen": lang.moment(each.seen_at, view.zone), "started": lang.moment(each.started_at, view.zone),
                 "accepted": lang.number(each.accepted), "stored": lang.number(each.stored),
                 "dropped": lang.number(each.dropped), "queued": lang.number(each.queued), "version": each.version}
                for each in recorders[:50]
            ],
            "steps": [
                {"name": name, "title": lang(step_title(name)), "when": lang.moment(health.ended_at, view.zone),
                 "error": short(health.error or "")}
                for name, health in sorted(app.health.items())
            ],
            "lease": lease_words(app.token is not None, led, view),
            "leads": led or app.token is not None,
            "notes": [
                " ".join(note_words(each["kind"], each["count"], short(each["detail"]), lang)).strip()
                for each in status["notes"]
            ],
            "outbox": status["outbox"],
            "versions": packages,
            "settings": settings,
            "findings": findings,
            "worst": None if findings is None else _sum(findings, view),
        },
        tables=[
            Table("recorders", ("process", "started", "seen", "accepted", "stored", "dropped", "queued", "version"),
                  [(e.id, e.started_at, e.seen_at, e.accepted, e.stored, e.dropped, e.queued, e.version)
                   for e in recorders]),
            Table("steps", ("step", "ended", "error"),
                  [(name, health.ended_at, health.error) for name, health in sorted(app.health.items())]),
            Table("versions", ("package", "version"), packages),
            *([Table("settings", ("setting", "value"), settings)] if view.may_act else ()),
            *([Table("check", ("subject", "level", "text"), [(f["subject"], f["style"], f["text"]) for f in findings])]
              if findings is not None else ()),
        ],
    )  # fmt: skip


_SUBJECTS = (
    marked("database"), marked("clock"), marked("schedule"), marked("reports"), marked("links"), marked("sender"),
    marked("people"), marked("privacy"), marked("installation"), marked("features"), marked("settings"),
)  # fmt: skip
"""What a finding is about, where it is a word; the others are names: of keys of the settings, of SPF and so on."""


_STEPS = {
    "alerts": marked("Judge the rules"),
    "deliver": marked("Send what waits"),
    "erasures": marked("Erase who came back"),
    "logins": marked("Look at mail accounts"),
    "probes": marked("Ask the app"),
    "purge": marked("Delete what is old"),
    "report file": marked("Write the report file"),
    "reports": marked("Write due reports"),
    "seal": marked("Sum up"),
    "watchdog": marked("Watch over reports"),
}
"""What a step does. Its name stands beside that: the log and /metrics have it."""


def step_title(name: str) -> str:
    """What the step of this name does, to be translated; the name itself of one that is not known."""
    return _STEPS.get(name, name)


def _sum(findings: Iterable[Mapping[str, str]], view: View) -> str:
    wrong = sum(each["style"] == "critical" for each in findings)
    doubtful = sum(each["style"] == "warning" for each in findings)
    if not wrong and not doubtful:
        return view.lang("All is well.")
    return (
        view.lang.plural("%(n)s error", "%(n)s errors", wrong) + " · "
        + view.lang.plural("%(n)s warning", "%(n)s warnings", doubtful)
    )  # fmt: skip


def lease_words(mine: bool, held: bool, view: View) -> str:
    """Who leads, in a sentence."""
    if mine:
        return view.lang("This process leads: it judges the rules, writes reports and sends mail.")
    if held:
        return view.lang("Another process leads; this one stands by.")
    return view.lang("No process leads: no report goes out. Start the daemon with guardian run.")


def size_words(size: float, view: View) -> str:
    """A size of bytes: 812 kB, 3.4 MB, 1.2 GB."""
    for unit, least in ((marked("GB"), 1e9), (marked("MB"), 1e6), (marked("kB"), 1e3)):
        if size >= least:
            return f"{view.lang.number(size / least, 1)}\u00a0{view.lang(unit)}"
    return f"{view.lang.number(size)}\u00a0{view.lang('B')}"


def versions() -> list[tuple[str, str]]:
    """What runs here, and in which version."""
    found = []
    for package in ("usage-guardian", "usage-guardian-tracker", "starlette", "uvicorn", "apscheduler", "jinja2"):
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return [*found, ("Python", platform.python_version())]


def settings_shown(settings: Settings) -> list[tuple[str, str]]:
    """Every setting by its dotted name, as it was loaded; secrets are hidden. Pure."""
    return list(_flat("", settings.model_dump(mode="json", by_alias=True)))


def _flat(name: str, value: Any) -> Iterable[tuple[str, str]]:
    key = name.rpartition(".")[2].lower()
    if value is not None and not key.endswith("_file") and any(word in key for word in SECRET):
        yield name, HIDDEN
    elif isinstance(value, Mapping) and value:
        for inner, each in value.items():
            yield from _flat(f"{name}.{inner}" if name else str(inner), each)
    elif isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
        for number, each in enumerate(value):
            yield from _flat(f"{name}[{number}]", each)
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value)) or "–"
    elif value is None or value == {}:
        yield name, "–"
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    else:
        yield name, HIDDEN if value == "**********" else str(value)


PAGE = Page("/system", marked("System"), run, "system.html", nav=True, key="8")
