"""`guardian check` for what the settings refer to: people, schedules, the clock, folders, the API and links."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from guardian.application.root import NamedSchedule, name_schedules
from guardian.application.schedule_words import schedule_name
from guardian.application.usage import REPORT_NAME
from guardian.core.finding import Finding
from guardian.core.language import Language
from guardian.core.mail_address import address_of
from guardian.settings.schema import ApiSettings, Settings
from guardian.settings.values import is_loopback, is_placeholder


def named_in(settings: Settings, now: datetime, lang: Language) -> list[Finding]:
    """The findings, in the reader's language. Tries whether reports can be saved; makes no requests."""
    found = _people(settings, lang)
    found += [Finding("schedule", *_upcoming(settings, named, now, lang)) for named in name_schedules(settings)]
    found += [_clock(settings, now, lang), _reports_dir(settings.reports_dir, lang)]
    return [*found, *_api(settings.api, lang), *_links(settings, lang)]


def _people(settings: Settings, lang: Language) -> list[Finding]:
    real = [address for address in settings.admins if not is_placeholder(address)]
    found = [Finding("admins", "ok", ", ".join(real))] if real else []
    if not settings.admins:
        found.append(Finding("admins", "error", lang('nobody gets mail: set admins = ["you@example.com"]')))
    addresses = [("admins", "admins", each) for each in settings.admins]
    addresses += [
        ("schedule", f"schedules[{n}]", to) for n, each in enumerate(settings.schedules) for to in each.recipients
    ]
    addresses += [("mail", "mail.sender", address_of(settings.mail.sender))] if settings.mail.order else []
    addresses += [("alerts", "alerts.support_email", settings.alerts.support_email or "")]
    for subject, key, address in addresses:
        if is_placeholder(address):
            text = lang(
                "%(address)s is a placeholder, where no mail arrives: write the real address into %(key)s",
                address=address, key=key,
            )  # fmt: skip
            found.append(Finding(subject, "warning", text))
    if not settings.schedules:
        nothing = lang('no report goes out by itself: set schedules = ["daily at 08:00"]')
        found.append(Finding("schedule", "warning", nothing))
    return found


def _clock(settings: Settings, now: datetime, lang: Language) -> Finding:
    zone = ZoneInfo(settings.timezone)
    here = lang(
        "%(day)s, %(time)s in %(zone)s", day=lang.day(now, zone), time=lang.clock(now, zone), zone=settings.timezone
    )
    if now.year < 2026:
        text = lang("this machine says that it is %(time)s: set its clock, preferably by NTP", time=here)
        return Finding("clock", "error", text)
    return Finding("clock", "ok", here)


def _reports_dir(folder: Path, lang: Language) -> Finding:
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    values = {"folder": str(folder), "cure": lang("set reports_dir, or let this user write there")}
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Finding("reports", "error", lang("%(folder)s cannot be written: %(cure)s", **values))
    try:
        with tempfile.TemporaryFile(dir=there) as file:  # a full or broken disk, or one that is mounted read-only
            file.write(b"\0" * 65_536)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        text = lang(
            "%(folder)s cannot be written (%(why)s): %(cure)s, or free some space", why=error.strerror, **values
        )
        return Finding("reports", "error", text)
    if (folder / REPORT_NAME).is_dir():
        text = lang("%(path)s is a folder, so no report can be saved: remove it", path=str(folder / REPORT_NAME))
        return Finding("reports", "error", text)
    return Finding("reports", "ok", lang("go to %(folder)s", folder=str(folder)))


def _api(api: ApiSettings, lang: Language) -> list[Finding]:
    if not api.enabled:
        return [Finding("api", "ok", lang("off"))]
    where = lang("listens on %(address)s", address=f"{api.host}:{api.port}")
    found = []
    if not (api.jwt_key or api.jwks):
        text = lang("admins cannot call it, because no key is configured: set api.jwt_key_file or api.jwks")
        found.append(Finding("api", "warning", text))
    if isinstance(api.jwks, str) and not os.access(api.jwks, os.R_OK):
        text = lang("the key set %(path)s cannot be read: check api.jwks", path=api.jwks)
        found.append(Finding("api", "error", text))
    if api.scheduler_token is None and api.scheduler_account is None:
        text = lang("no scheduler outside may call it, since api.scheduler_token is not set")
        found.append(Finding("api", "ok", text))
    if not is_loopback(api.host):
        text = lang("%(where)s, without encryption: let only a proxy that speaks HTTPS reach it", where=where)
        found.append(Finding("api", "warning", text))
    return found or [Finding("api", "ok", where)]


def _links(settings: Settings, lang: Language) -> list[Finding]:
    """Whether the links in mails, for alerts and unsubscribing, lead anywhere."""
    if not settings.api.enabled:
        return []
    url = urlsplit(settings.links_url)
    if is_loopback(url.hostname or ""):
        text = lang(
            "the buttons and links of mails lead to %(url)s, which only this machine can open: set public_url to where "
            "people reach Guardian over HTTPS",
            url=settings.links_url,
        )
    elif url.scheme != "https":
        text = lang(
            "the buttons and links of mails lead to %(url)s, without encryption: set public_url to where people reach "
            "Guardian over HTTPS",
            url=settings.links_url,
        )
    else:
        return [Finding("links", "ok", lang("of mails lead to %(url)s", url=settings.links_url))]
    return [Finding("links", "warning", text)]


def _upcoming(
    settings: Settings, named: NamedSchedule, now: datetime, lang: Language
) -> tuple[Literal["ok", "error"], str]:
    at, covers = named.schedule.upcoming(now)
    zone = named.schedule.zone
    fire, start, end = (f"{edge.astimezone(zone):%Y-%m-%d %H:%M}" for edge in (at, *covers))
    table, to = named.settings, lang.plural("%(n)s recipient", "%(n)s recipients", len(named.recipients))
    parts = [
        lang(
            "next report goes out %(fire)s, covering %(start)s to %(end)s, to %(to)s",
            fire=fire, start=start, end=end, to=to,
        )
    ]  # fmt: skip
    parts += [lang("only the features %(names)s", names=", ".join(table.features))] if table.features else []
    parts += [lang("with %(names)s", names=", ".join(table.sections))] if table.sections else []
    parts += [lang("as plain text")] if table.format == "text" else []
    parts += [lang("in the language %(code)s", code=table.language)] if table.language else []
    text = lang("%(what)s: %(cure)s", what=schedule_name(named, lang), cure=", ".join(parts))
    keep = timedelta(days=settings.retention.events_days)
    if table.features and at - covers.start >= keep:
        cure = lang(
            "by then single requests of the period are deleted, which features counts: set retention.events_days above "
            "%(n)s, or leave features out",
            n=(at - covers.start).days + 1,
        )
        return "error", lang("%(what)s: %(cure)s", what=text, cure=cure)
    return "ok", text
