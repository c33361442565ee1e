"""Outages of delivery: announced once at their start and end, through a channel or to a recipient that still works.

It all follows from the outbox and `guardian_outage`, read each time, so a restart changes nothing. Nothing is told
about messages that are themselves about messages.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from guardian.application.root import Application
from guardian.core.language import Language
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import Outgoing
from guardian.mail.channels.message import ChannelMessage
from guardian.stores.watching import DEAD, TELLING, Outage, Undelivered

log = logging.getLogger("guardian.watchdog")

LONGEST_WAIT = timedelta(minutes=9)
"""A message that waits longer than this is announced; checked each minute, nothing waits unnoticed for more than
ten."""
TRIES = 2
"""So is a message that failed this often."""

Pair = tuple[str, str]
"""A channel and a recipient."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One outage that begins or is over, and what is told of it; nobody hears one without an audience."""

    outage: Outage
    of: tuple[Undelivered, ...]
    begins: bool

    @property
    def counts(self) -> tuple[int, int]:
        """How many messages wait, and how many were given up."""
        dead = sum(max(each.dead, each.new_dead) for each in self.of)
        return sum(each.waiting for each in self.of), dead


async def tell_outages(app: Application, now: datetime, token: int | None) -> set[str]:
    """Tell of every outage that began or is over; the mail recipients of whom somebody was told that they get none.

    Raises StorageError or LeaseLost.
    """
    found = await app.stores.watch.undelivered(before=waited_since(app, now), tries=TRIES)
    if not found:
        return set()
    doubtful = await app.stores.watch.undelivered(before=waited_since(app, now), tries=1)
    noted, tellings = judge(found, reachable(app, doubtful), now)
    messages = await off_loop(lambda: [each for telling in tellings for each in _compose(app, telling)])
    if noted:
        await app.stores.watch.note_outages(noted, messages, now=now, token=token)
    for telling in tellings:
        _log(telling)
    open_now = {(each.channel, each.recipient): each.outage for each in found}
    open_now |= {(each.channel, each.recipient): outage for each, outage in noted}
    return {to for (channel, to), outage in open_now.items() if channel == "mail" and outage and outage.audience}


def waited_since(app: Application, now: datetime) -> datetime:
    """Messages written at or before this moment have waited too long. Nothing has until the watchdog itself has watched
    that long: after downtime, or when the clock was set, delivery gets its chance first."""
    watched = app.watching_since is not None and now - app.watching_since >= LONGEST_WAIT
    return now - LONGEST_WAIT if watched else datetime.min.replace(tzinfo=now.tzinfo)


def reachable(app: Application, found: Iterable[Undelivered]) -> tuple[Pair, ...]:
    """Who can be told, trusting nothing that has failed even once: the channels of the watchdog that work, else any
    that does, else the admins whose mail does, and at last the channels that gave up a message, but perhaps not every
    one."""
    troubled = {(each.channel, each.recipient) for each in found}
    doubtful = {channel for channel, _ in troubled if channel != "mail"}
    down = {each.channel for each in found if each.waiting and each.channel != "mail"}
    for channel in {transport.channel for transport in app.transports}:
        if all(app.circuits.failing(each.name) for each in app.transports if each.channel == channel):
            down.add(channel)
    settings = app.settings
    works = [name for name in settings.channels if name not in doubtful | down]
    wanted = works if settings.watchdog.channels is None else [n for n in settings.watchdog.channels if n in works]
    admins = [to for to in dict.fromkeys(settings.admins) if "mail" not in down and ("mail", to) not in troubled]
    if not (wanted or works) and admins:
        return tuple(("mail", to) for to in admins)
    perhaps = [name for name in settings.channels if name not in down]
    return tuple((name, name) for name in wanted or works or perhaps)


def judge(
    found: Sequence[Undelivered], audience: tuple[Pair, ...], now: datetime
) -> tuple[list[tuple[Undelivered, Outage | None]], list[Telling]]:
    """What is to be noted of each recipient, and what is to be told, to `audience` where it begins. Pure.

    Whose messages wait while the channel has delivered nothing since an outage began are of that outage. What could
    not be told to anybody is told as soon as it can be. What was given up, and followed by a delivery, has no end.
    """
    noted: list[tuple[Undelivered, Outage | None]] = []
    tellings: list[Telling] = []

    def begin(outage: Outage, of: Sequence[Undelivered]) -> None:
        tellings.append(Telling(outage, tuple(of), True))
        noted.extend((each, outage if each.waiting or each.dead else None) for each in of)

    for channel in dict.fromkeys(each.channel for each in found):
        of_channel = [each for each in found if each.channel == channel]
        fresh = [each for each in of_channel if each.outage is None]
        waits = [each for each in fresh if each.waiting]
        dead = [each for each in fresh if not each.waiting and each.new_dead]
        last = of_channel[0].channel_sent
        outages = {each.outage.name: each.outage for each in of_channel if each.outage}
        for outage in outages.values():
            members = [each for each in of_channel if each.outage == outage]
            if not outage.of_dead and waits and (last is None or last <= outage.since):
                noted += [(each, outage) for each in waits]
                members, waits = members + waits, []
            if not any(each.waiting or (each.dead and outage.of_dead) for each in members):
                tellings.append(Telling(outage, tuple(members), False))
                noted += [(each, None) for each in members]
            elif not outage.audience and audience:
                begin(replace(outage, audience=audience), members)
            else:
                noted += [(each, outage) for each in members if each.new_dead]
        for kind, group in (("waits", waits), (DEAD, dead)):
            if group:
                begin(Outage(f"{TELLING}{channel}/{now.isoformat()}/{kind}", now, audience), group)
    return noted, tellings


def _compose(app: Application, telling: Telling) -> list[Outgoing]:
    outage, phase = telling.outage, "begin" if telling.begins else "end"
    grave = "info" if not telling.begins else "critical" if any(each.critical for each in telling.of) else "warning"
    messages = []
    for channel, recipient in outage.audience:
        key = f"{outage.name}/{phase}/{channel}/{recipient}"
        lang = app.email.language if channel != "mail" else app.email.language_of(recipient)
        title, text = words(telling, lang, app.email.zone)
        if channel == "mail":
            look = "warning" if telling.begins else "ok"
            messages.append(app.email.compose_warning(recipient, title, text, key=key, grave=look))
        elif channel in app.settings.channels:
            url, over = app.settings.links_url, not telling.begins
            said = ChannelMessage(title, text, grave, url, thread=outage.name, resolved=over)
            messages.append(Outgoing(key, channel, said.packed(), "alert", channel, grave, title))
    return messages


def words(telling: Telling, lang: Language, zone: ZoneInfo) -> tuple[str, str]:
    """What is said of an outage, with times of `zone`: (title, text)."""
    names = {each.recipient for each in telling.of}
    channel, name = telling.of[0].channel, next(iter(names))
    delivered = any(each.last_sent and each.last_sent >= telling.outage.since for each in telling.of)
    if channel != "mail":
        begun = lang("Messages to the channel “%(name)s” are not being delivered", name=channel)
        over = lang("Messages to the channel “%(name)s” are being delivered again", name=channel)
        gone = lang("No message to the channel “%(name)s” is waiting any more", name=channel)
    elif len(names) == 1:
        begun = lang("Mail to %(who)s is not being delivered", who=name)
        over = lang("Mail to %(who)s is being delivered again", who=name)
        gone = lang("No mail to %(who)s is waiting any more", who=name)
    else:
        begun, over, gone = (
            lang("Mail is not being delivered"),
            lang("Mail is being delivered again"),
            lang("No mail is waiting any more"),
        )
    waiting, dead = telling.counts
    refused = lang.plural(
        "%(n)s message was refused for good or given up.", "%(n)s messages were refused for good or given up.", dead
    )  # fmt: skip
    if not telling.begins:
        told = lang("It began on %(at)s.", at=lang.zoned(telling.outage.since, zone))
        return (over if delivered else gone), f"{told} {refused}" if dead else told
    since = min((each.since for each in telling.of if each.since), default=telling.outage.since)
    at = lang.zoned(since, zone)
    said = []
    if waiting:
        said.append(lang.plural(
            "%(n)s message has been waiting since %(at)s.", "%(n)s messages have been waiting, the first since %(at)s.",
            waiting, at=at,
        ))  # fmt: skip
    if dead:
        said.append(refused)
    if any(each.critical for each in telling.of):
        said.append(lang("Critical alerts are among them."))
    if why := next((each.error for each in telling.of if each.error), ""):
        said.append(lang("The last answer was: %(why)s.", why=why.rstrip(".")))
    said.append(lang("'guardian outbox list' shows what is waiting or was given up, 'guardian check' what is wrong."))
    return begun, " ".join(said)


def _log(telling: Telling) -> None:
    waiting, dead = telling.counts
    heard: Collection[str] = {channel for channel, _ in telling.outage.audience}
    told = f"told by {', '.join(sorted(heard))}" if heard else "nobody can be told"
    channel, many = telling.of[0].channel, len(telling.of)
    if not telling.begins:
        log.warning("What %s did not deliver to %d recipient(s) waits no more", channel, many)
        return
    log.error(
        "What %s has for %d recipient(s) is not delivered (%d wait, %d were given up), %s: see 'guardian outbox list'",
        *(channel, many, waiting, dead, told),
    )
