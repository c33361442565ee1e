"""`guardian check`: what is wrong with the settings and with what they name, in plain words, all at once."""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from guardian.application.check.database import counted, database_findings, find_damage
from guardian.application.check.findings import note_findings, noted_elsewhere
from guardian.application.check.mail import mail_findings
from guardian.application.check.modes import mode_findings
from guardian.application.check.neighbours import clashes, old_libraries
from guardian.application.check.people import alias_findings, pseudonym_findings
from guardian.application.root import Application, Clock, NamedSchedule, name_schedules, open_application
from guardian.application.usage import REPORT_NAME
from guardian.core.finding import Finding
from guardian.core.mail_address import address_of
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError
from guardian.core.time import utc_now
from guardian.mail.service import EmailService
from guardian.mail.transport import DeliveryError, Transport, UnknownOutcome
from guardian.mail.transports import build_transports
from guardian.settings.loading import SettingsError, load_settings, unknown_variables
from guardian.settings.schema import ApiSettings, Settings
from guardian.settings.values import is_loopback, is_placeholder
from guardian.stores.opening import backend, shown
from guardian.stores.people.book import AliasBook
from tracker.address import why_not_opened

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver


async def check_up(
    path: Path | None, *, send_test: bool = False, clock: Clock = utc_now, resolver: Resolver | None = None
) -> list[Finding]:
    """Look at everything that the settings of this file name. Sends nothing, unless `send_test` asks for it.

    A database that is not there is not made. `resolver` asks DNS; None: as this machine is set up.
    """
    try:
        settings = load_settings(path)
    except SettingsError as error:
        return clashes() + [Finding("settings", "error", problem) for problem in error.problems]
    found = [*clashes(), *old_libraries(), Finding("settings", "ok", "every key is known and valid")]
    found += [Finding("settings", "warning", f"{name} is set but is not a setting") for name in unknown_variables()]
    found += await _named_in(settings, path, clock(), resolver)
    if send_test:
        found += await send_tests(settings, settings.admins, clock=clock)
    try:
        there = await asyncio.to_thread(backend(settings.database).exists)
    except StorageError as error:
        return [*found, Finding("database", "error", str(error))]
    if not there:
        found += await asyncio.to_thread(alias_findings, AliasBook.of(settings.alias, settings.database), ())
        return [*found, _no_database(settings.database), *await noted_elsewhere(settings, path, clock())]
    if damage := await asyncio.to_thread(find_damage, settings):
        found.append(damage)
        if damage.level == "error":
            return found
    try:
        async with open_application(settings, clock=clock) as app:
            names = await app.repository.names()
            found += await asyncio.to_thread(alias_findings, app.book, names)
            found += await asyncio.to_thread(pseudonym_findings, settings.database, names)
            found += await database_findings(app)
            found += await note_findings(app, path)
    except (StorageError, ValueError) as error:
        found.append(Finding("database", "error", str(error)))
    return found


async def check_running(app: Application) -> list[Finding]:
    """The same of an application that runs, with the settings it has loaded; sends nothing and opens no second one.

    Raises StorageError where the database does not answer.
    """
    found = [*clashes(), *old_libraries(), *await _named_in(app.settings, None, app.clock(), None)]
    names = await app.repository.names()
    found += await asyncio.to_thread(alias_findings, app.book, names)
    found += await asyncio.to_thread(pseudonym_findings, app.settings.database, names)
    return [*found, *await database_findings(app), *await note_findings(app, None)]


async def _named_in(settings: Settings, path: Path | None, now: datetime, resolver: Resolver | None) -> list[Finding]:
    """What is to be said of everything that the settings name, but for the database."""
    found = _people(settings)
    found += [Finding("schedule", *_upcoming(settings, named, now)) for named in name_schedules(settings)]
    found += [_clock(settings, now), _reports_dir(settings.reports_dir), *_api(settings.api), *_links(settings)]
    found += mode_findings(settings, path)
    return [*found, *await mail_findings(settings, now, resolver)]


async def send_tests(settings: Settings, recipients: Sequence[str], *, clock: Clock = utc_now) -> list[Finding]:
    """Send a test mail through each transport to each recipient, at once: past the outbox, without a database."""
    found = []
    async with AsyncExitStack() as opened:
        transports = [each for each in build_transports(settings) if each.channel == "mail"]
        for transport in transports:
            opened.push_async_callback(transport.close)
        email = EmailService(
            transports,
            sender=settings.mail.sender,
            reply_to=settings.mail.reply_to,
            clock=clock,
            code=settings.mail.language,
            languages=settings.mail.languages,
        )
        for recipient in recipients:
            mail = email.compose_test(recipient, key=f"test/{uuid.uuid4().hex}/{recipient}")
            for transport in transports:
                found.append(await _sent(transport, mail, address_of(settings.mail.sender)))
    return found or [Finding("test mail", "error", "admins is empty: nobody would get it")]


async def _sent(transport: Transport, mail: Outgoing, sender: str) -> Finding:
    if mail.unwritten is not None:
        return Finding("test mail", "error", f"to {mail.recipient}: {mail.unwritten}")
    try:
        await transport.send(mail.body, sender=sender, recipient=mail.recipient)
    except (DeliveryError, UnknownOutcome) as error:
        return Finding("test mail", "error", f"{transport.name}, to {mail.recipient}: {error}")
    return Finding("test mail", "ok", f"{transport.name} accepted the mail to {mail.recipient}")


def _people(settings: Settings) -> list[Finding]:
    real = [address for address in settings.admins if not is_placeholder(address)]
    found = [Finding("admins", "ok", ", ".join(real))] if real else []
    if not settings.admins:
        found.append(Finding("admins", "error", 'nobody gets mail: set admins = ["you@example.com"]'))
    addresses = [("admins", "admins", each) for each in settings.admins]
    addresses += [
        ("schedule", f"schedules[{n}]", to) for n, each in enumerate(settings.schedules) for to in each.recipients
    ]
    addresses += [("mail", "mail.sender", address_of(settings.mail.sender))] if settings.mail.order else []
    addresses += [("alerts", "alerts.support_email", settings.alerts.support_email or "")]
    for subject, key, address in addresses:
        if is_placeholder(address):
            text = f"{address} is a placeholder, where no mail arrives: write the real address into {key}"
            found.append(Finding(subject, "warning", text))
    if not settings.schedules:
        nothing = 'no report goes out by itself: set schedules = ["daily at 08:00"]'
        found.append(Finding("schedule", "warning", nothing))
    return found


def _clock(settings: Settings, now: datetime) -> Finding:
    here = f"{now.astimezone(ZoneInfo(settings.timezone)):%A %d %B %Y, %H:%M} in {settings.timezone}"
    if now.year < 2026:
        return Finding("clock", "error", f"this machine says that it is {here}: set its clock, preferably by NTP")
    return Finding("clock", "ok", here)


def _reports_dir(folder: Path) -> Finding:
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    cure = "set reports_dir, or let this user write there"
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return Finding("reports", "error", f"{folder} cannot be written: {cure}")
    try:
        with tempfile.TemporaryFile(dir=there) as file:  # a full or broken disk, or one that is mounted read-only
            file.write(b"\0" * 65_536)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Finding("reports", "error", f"{folder} cannot be written ({error.strerror}): {cure}, or free some space")
    if (folder / REPORT_NAME).is_dir():
        return Finding("reports", "error", f"{folder / REPORT_NAME} is a folder, so no report can be saved: remove it")
    return Finding("reports", "ok", f"go to {folder}")


def _api(api: ApiSettings) -> list[Finding]:
    if not api.enabled:
        return [Finding("api", "ok", "off")]
    where = f"listens on {api.host}:{api.port}"
    found = []
    if not (api.jwt_key or api.jwks):
        cure = "set api.jwt_key_file or api.jwks"
        found.append(Finding("api", "warning", f"admins cannot call it, because no key is configured: {cure}"))
    if isinstance(api.jwks, str) and not os.access(api.jwks, os.R_OK):
        found.append(Finding("api", "error", f"the key set {api.jwks} cannot be read: check api.jwks"))
    if api.scheduler_token is None and api.scheduler_account is None:
        found.append(Finding("api", "ok", "no scheduler outside may call it, since api.scheduler_token is not set"))
    if not is_loopback(api.host):
        text = f"{where}, without encryption: let only a proxy that speaks HTTPS reach it"
        found.append(Finding("api", "warning", text))
    return found or [Finding("api", "ok", where)]


def _links(settings: Settings) -> list[Finding]:
    """Whether the links of the mails, to act on an alert and to unsubscribe, lead anywhere."""
    if not settings.api.enabled:
        return []
    url = urlsplit(settings.public_url)
    if is_loopback(url.hostname or ""):
        where = f"the buttons and links of mails lead to {settings.public_url}, which only this machine can open"
    elif url.scheme != "https":
        where = f"the buttons and links of mails lead to {settings.public_url}, without encryption"
    else:
        return [Finding("links", "ok", f"of mails lead to {settings.public_url}")]
    return [Finding("links", "warning", f"{where}: set public_url to where people reach Guardian over HTTPS")]


def _no_database(database: Path | str) -> Finding:
    place = shown(database)
    if isinstance(database, Path) and (why := why_not_opened(place)):
        return Finding("database", "error", f"{place} does not exist and cannot be made: {why}")
    return Finding(
        "database", "warning",
        f"{place} {'does not exist' if isinstance(database, Path) else 'holds nothing'} yet: it appears when the app "
        f"with UsageTrackingMiddleware(database={place!r}) or 'guardian run' starts",
    )  # fmt: skip


def _upcoming(settings: Settings, named: NamedSchedule, now: datetime) -> tuple[Literal["ok", "error"], str]:
    at, covers = named.schedule.upcoming(now)
    zone = named.schedule.zone
    fire, start, end = (f"{edge.astimezone(zone):%Y-%m-%d %H:%M}" for edge in (at, *covers))
    to = counted(len(named.recipients), "recipient")
    text = f"{named.name}: next report goes out {fire}, covering {start} to {end}, to {to}"
    table = named.settings
    text += f", only the features {', '.join(table.features)}" if table.features else ""
    text += f", with {', '.join(table.sections)}" if table.sections else ""
    text += ", as plain text" if table.format == "text" else ""
    text += f", in {table.language!r}" if table.language else ""
    keep = timedelta(days=settings.retention.events_days)
    if table.features and at - covers.start >= keep:
        cure = f"set retention.events_days above {(at - covers.start).days + 1}, or leave features out"
        return "error", f"{text}: by then single requests of the period are deleted, which features counts: {cure}"
    return "ok", text
