"""Erases a person everywhere, and makes a receipt of what was removed and what remains."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import policy
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from guardian.alerting.kinds import kind_of
from guardian.application.root import Application
from guardian.core.files import UNFINISHED, replacing
from guardian.core.off_loop import in_thread, no_collection, off_loop
from guardian.core.outgoing import Outgoing
from guardian.core.report.people import people_in, text_without
from guardian.mail.transports import mail_folder
from guardian.settings.schema import Settings
from guardian.stores.erasure import Forgotten, as_kept, digest, spellings
from guardian.stores.forgetting import may_name, message_without
from tracker.event import ANONYMOUS

log = logging.getLogger("guardian.erasing")

LATEST = timedelta(days=7)
"""The longest that a host may hold events back."""
_ABANDONED = timedelta(minutes=1)
"""An unfinished file to which nothing was added for longer has no process any more that writes it."""

_PERIOD_END, _GENERATED = re.compile(rb'"period_end": ?"([^"]*)"'), re.compile(rb'"generated_at": ?"([^"]*)"')
"""In a report's file. The first ones are its own; those of the period that it is compared with follow."""

REMAINS = (
    "backups that were made before, until they are replaced",
    "mails that were already delivered, in their recipients' mailboxes",
    "the person's address in the app's own database and in Guardian's settings, if it is there",
)
"""What no erasure reaches, by design."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The receipt of an erasure.

    `names` counts what the events called the person by: an address, ids. `files` are reports and mails that the daemon
    wrote into its reports folder. `everywhere` is False while a program that reads the database still keeps copies of
    what it has begun to read; the daemon removes them within a minute of its end.
    """

    at: datetime
    names: int
    forgotten: Forgotten
    files: int
    everywhere: bool

    @property
    def rows(self) -> int:
        """How many mails, reports and incidents went or changed."""
        return self.forgotten.rows + self.files

    def removed(self) -> list[tuple[str, int]]:
        """Where something was removed, and how much."""
        kept = self.forgotten
        found = [
            ("names in the events, their sessions and totals", self.names),
            ("mails, waiting and sent", kept.mails),
            ("saved reports", kept.reports),
            ("incidents", kept.incidents),
            ("schedules unsubscribed from", kept.unsubscribed),
            ("files of reports and mails", self.files),
        ]
        return [(where, count) for where, count in found if count]

    def as_json(self) -> dict[str, Any]:
        """The receipt for programs."""
        return {
            "erased": True,
            "rows_changed": self.rows,
            "erased_at": self.at.isoformat(),
            "everywhere": self.everywhere,
            "removed": [{"where": where, "count": count} for where, count in self.removed()],
            "remains": list(REMAINS),
        }


async def erase_person(app: Application, name: str) -> Erasure | None:
    """Remove the person from the events, from kept mails and reports, and from files; totals stay true.

    All their ids go with them, whichever of their names is given, however it is written. None for someone never seen:
    nothing is changed then. Safe to repeat after a failure half-way. Raises StorageError, also where the aliases cannot
    be read: an id could be left behind.
    """
    name = as_kept(name)
    if not name or name.lower() == ANONYMOUS:
        return None  # not a person: under a new name it would count as one
    aliases = await asyncio.to_thread(app.book.current)
    names = spellings((name, *aliases.names_of(name)))  # a mail may name an id: sent before it had an alias
    with no_collection():
        known = [await app.repository.names()]
        recorded = await off_loop(lambda: names.intersection(name for name, _ in known.pop()))
    seen = await app.repository.erase_user(name)
    at = app.clock()  # not before: a report that has read the name meanwhile is to be found older than this
    kept = await app.state.forget(
        *names, rules=person_rules(app), recipients=recipients(app), buried_at=at if seen else None
    )
    gone = names - {each.lower() for each in recipients(app)}
    files = await in_thread(_erase_from_files, app.settings, names, gone, kept.bodies)
    files += await in_thread(_drop_unfinished, app.settings, names, gone, at)
    app.glances.forget()
    if not seen and not kept.rows and not files:
        return None
    everywhere = await app.state.settle_erasures()
    return Erasure(at, len(recorded) if seen else 0, kept, files, everywhere)


def person_rules(app: Application) -> set[str]:
    """The alert rules of the settings whose subjects are people."""
    return {name for name, rule in app.settings.rules.items() if kind_of(rule).of_one_user}


def recipients(app: Application) -> set[str]:
    """Whom the settings have mailed."""
    found = {*app.settings.admins, *(to for named in app.schedules for to in named.recipients)}
    return found | {to for rule in app.settings.rules.values() for to in rule.recipients}


async def erase_again(app: Application) -> int:
    """Erase again people who came back through events queued in the host, or through a report that was being written.
    What they did after their erasure stays, as a new person's. Then remove copies of erased data that a reader had
    still held. Returns how many names were erased again.
    """
    again = await app.repository.erase_buried(app.clock() - LATEST)
    path = app.settings.reports_dir / "usage_report.json"
    named = await in_thread(_named_in, path)
    if named is not None:
        gone = await app.state.erased_since(*named)
        if gone:
            await in_thread(_erase_from_report, path, gone)
            again += len(gone)
    if await app.state.unsettled_erasures() or again:
        await app.state.settle_erasures()
    return again


def _erase_from_files(
    settings: Settings, people: Collection[str], gone: Collection[str], bodies: Mapping[bytes, bytes | None]
) -> int:
    """Remove people from the report and mails that the daemon wrote as files. Returns how many were changed. Mails to
    people in `gone` are deleted."""
    changed = int(_erase_from_report(settings.reports_dir / "usage_report.json", people))
    for mail in sorted(mail_folder(settings).glob("*.eml")):
        try:
            body = mail.read_bytes()
        except OSError:
            continue
        known = digest(body)
        try:
            after = bodies[known] if known in bodies else _mail_without(body, people, gone)
        except ValueError:  # an attachment is cut off
            log.error("%s is damaged and may name somebody who was erased: delete it", mail)
            continue
        if after is None:
            mail.unlink(missing_ok=True)
        elif after != body:
            with replacing(mail) as file:
                file.buffer.write(after)
        changed += after != body
    return changed


def _drop_unfinished(settings: Settings, people: Collection[str], gone: Collection[str], at: datetime) -> int:
    """Delete what a process that was killed has left beside the report and the mails and names one of these people.
    Returns how many files."""
    dropped, places = 0, list[tuple[Path, Callable[[bytes], bool]]]()
    places.append((settings.reports_dir, lambda body: text_without(body, people) is not body))
    places.append((mail_folder(settings), lambda body: _may_be_of(body, people, gone)))
    for folder, names_one in places:
        for path in folder.glob(UNFINISHED):
            with suppress(OSError):  # whoever wrote it is not dead, and has it in its place by now
                if path.stat().st_mtime < (at - _ABANDONED).timestamp() and names_one(path.read_bytes()):
                    path.unlink()
                    dropped += 1
    return dropped


def _may_be_of(mail: bytes, people: Collection[str], gone: Collection[str]) -> bool:
    """Whether an unfinished mail names one of these people, or ends within an attachment, so that nobody can tell."""
    try:
        return _mail_without(mail, people, gone) != mail
    except ValueError:
        return True


def _mail_without(body: bytes, people: Collection[str], gone: Collection[str]) -> bytes | None:
    """A mail that is not in the outbox, without these people; None for one to somebody in `gone`."""
    head, _, _ = body.partition(b"\r\n\r\n")
    headers = BytesHeaderParser(policy=policy.default).parsebytes(head)
    if parseaddr(str(headers["To"] or ""))[1].lower() in gone:
        return None
    message = Outgoing("", "", body, subject=str(headers["Subject"] or ""))
    return message_without(message, people).body if may_name(message, b"", people) else body


def _erase_from_report(path: Path, people: Collection[str]) -> bool:
    """Take people out of the file of a report; whether it named one of them."""
    try:
        before = path.read_bytes()
    except OSError:
        return False  # there is none
    after = text_without(before, people)
    if after is before or b'"period_end"' not in before:
        return False  # it names nobody, or is none of ours
    with replacing(path) as file:
        file.buffer.write(after)
    return True


def _named_in(path: Path) -> tuple[set[str], datetime] | None:
    """Whom the file of a report names, and when it was made; None where there is none of ours."""
    try:
        text = path.read_bytes()
        end = _PERIOD_END.search(text)
        if end is None:
            return None
        made = _GENERATED.search(text) or end
        return people_in(text), datetime.fromisoformat(made[1].decode())
    except (OSError, ValueError):
        return None
