"""`guardian check`: everything that is wrong with the settings and with what they refer to, in plain words."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from guardian.application.check.database import database_findings, find_damage
from guardian.application.check.mail import mail_findings
from guardian.application.check.modes import mode_findings
from guardian.application.check.named import named_in
from guardian.application.check.neighbours import clashes, old_libraries
from guardian.application.check.people import alias_findings, pseudonym_findings
from guardian.application.check.recording import note_findings, noted_elsewhere
from guardian.application.root import Application, Clock, open_application
from guardian.core.finding import Finding
from guardian.core.language import ENGLISH, Language
from guardian.core.mail_address import address_of
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError
from guardian.core.time import utc_now
from guardian.mail.service import EmailService
from guardian.mail.transport import DeliveryError, Transport, UnknownOutcome
from guardian.mail.transports import build_transports
from guardian.settings.loading import SettingsError, load_settings, unknown_variables
from guardian.settings.schema import Settings
from guardian.stores.opening import backend, open_book, shown
from tracker.address import why_not_opened

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver


async def check_up(
    path: Path | None, *, send_test: bool = False, clock: Clock = utc_now, resolver: Resolver | None = None
) -> list[Finding]:
    """Check everything that the settings in this file refer to. Sends nothing unless `send_test`, and does not create a
    missing database. `resolver` asks DNS; None uses this machine's configuration.
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
        found += await asyncio.to_thread(alias_findings, open_book(settings.alias, settings.database), ())
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


async def check_running(app: Application, lang: Language = ENGLISH) -> list[Finding]:
    """The same for a running application, with its loaded settings, in the reader's language. Sends nothing, and opens
    no second application. What a transport or a source of names says of itself stays in English.

    Raises StorageError where the database does not answer.
    """
    found = [*clashes(lang), *old_libraries(lang), *await _named_in(app.settings, None, app.clock(), None, lang)]
    names = await app.repository.names()
    found += await asyncio.to_thread(alias_findings, app.book, names, lang)
    found += await asyncio.to_thread(pseudonym_findings, app.settings.database, names, lang)
    return [*found, *await database_findings(app, lang), *await note_findings(app, None, lang)]


async def _named_in(
    settings: Settings, path: Path | None, now: datetime, resolver: Resolver | None, lang: Language = ENGLISH
) -> list[Finding]:
    """The findings about everything that the settings refer to, except the database."""
    found = named_in(settings, now, lang)
    found += mode_findings(settings, path, lang)
    return [*found, *await mail_findings(settings, now, resolver, lang)]


async def send_tests(settings: Settings, recipients: Sequence[str], *, clock: Clock = utc_now) -> list[Finding]:
    """Send a test mail through each transport to each recipient, immediately, without outbox or database."""
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


def _no_database(database: Path | str) -> Finding:
    place = shown(database)
    if isinstance(database, Path) and (why := why_not_opened(place)):
        return Finding("database", "error", f"{place} does not exist and cannot be made: {why}")
    return Finding(
        "database", "warning",
        f"{place} {'does not exist' if isinstance(database, Path) else 'holds nothing'} yet: it appears when the app "
        f"with UsageTrackingMiddleware(database={place!r}) or 'guardian run' starts",
    )  # fmt: skip
