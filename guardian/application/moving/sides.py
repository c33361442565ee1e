"""The two databases of a move: opened, looked at before anything is written, and led by nobody else meanwhile."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from guardian.application.lead import LEASE_TTL
from guardian.application.root import LEASE, Clock
from guardian.core.storage import StorageError
from guardian.core.time import micros
from guardian.stores.backend import Stores
from guardian.stores.moving import Lead, Move, Moving
from guardian.stores.opening import backend, shown
from guardian.stores.people.book import NO_BOOK

T = TypeVar("T")
P = ParamSpec("P")

_RENEWED_SECONDS = LEASE_TTL.total_seconds() / 3
_MARK = "migrate/"
"""What the name of a process that moves begins with, where it leads."""
_SIGNS = ("person", "period", "report", "outbox", "alert_state", "incident", "recorder", "signed_in", "unsubscribed")
"""Tables that are empty where nobody has worked with a database yet."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two databases. `place` is what people know it by."""

    place: str
    stores: Stores
    moving: Moving


@asynccontextmanager
async def opened(database: Path | str) -> AsyncIterator[Side]:
    """A database, made where there is none; closed at the end. Raises StorageError where it cannot be used."""
    kind = backend(database)
    stores = await kind.open(NO_BOOK)
    try:
        moving = await in_thread(kind.moving)
        try:
            yield Side(shown(database), stores, moving)
        finally:
            await in_thread(moving.close)
    finally:
        await stores.close()


async def in_thread(work: Callable[P, T], *args: P.args, **values: P.kwargs) -> T:
    """What the work gives, done in a thread. Whoever is stopped meanwhile waits for its end: a database is not closed
    under it."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **values))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise


async def refuse_led(side: Side, now: datetime) -> None:
    """Raises StorageError where another process leads on this database. The lead of a move of this machine that is
    dead is taken from it."""
    lead = await in_thread(side.moving.lead, LEASE)
    if not _leads(lead, now):
        return
    if not lead.holder.startswith(_MARK):
        raise StorageError(
            f"a daemon leads on {side.place}: stop 'guardian run' there, and whatever calls its tick, wait "
            f"{LEASE_TTL.total_seconds():.0f} seconds, and run this again"
        )
    if not _is_dead(lead.holder):
        raise StorageError(
            f"another 'guardian migrate' works on {side.place}: let it come to its end, or wait "
            f"{LEASE_TTL.total_seconds():.0f} seconds after it was stopped"
        )
    await side.stores.state.release_lease(LEASE, lead.holder)


def _leads(lead: Lead, now: datetime) -> bool:
    return bool(lead.holder) and micros(now) < lead.expires_us <= micros(now + 2 * LEASE_TTL)


def _is_dead(holder: str) -> bool:
    """Whether this is the name of a process of this machine that has ended."""
    _, host, process, *_ = holder.split("/")
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


async def begun_before(source: Side, target: Side) -> bool:
    """Whether a move between these two has begun before, so that this one goes on.

    Raises StorageError where the target holds anything else, or was worked with since.
    """
    move = await in_thread(target.moving.move)
    if move is None:
        if what := await _what_is_there(target):
            raise StorageError(
                f"{target.place} holds {what} already, which no move has put there: name a database that is empty"
            )
        return False
    if move.source != source.place:
        raise StorageError(f"{target.place} holds what was moved from {move.source}: name a database that is empty")
    if await in_thread(_was_used, source.moving, target.moving, move):
        raise StorageError(
            f"{target.place} was in use since everything was moved there: what is newer there would be lost. To move "
            "again, empty it or name another one"
        )
    return True


async def _what_is_there(side: Side) -> str | None:
    for table in _SIGNS:
        if await in_thread(has_rows, side.moving, table):
            return f"a {table.replace('_', ' ')}" if table != "person" else "the names of people"
    return "requests" if await side.stores.events.newest_event() else None


def has_rows(store: Moving, table: str) -> bool:
    """Whether a table has any row."""
    return table in store.gives and any(store.rows(table))


def _was_used(source: Moving, target: Moving, move: Move) -> bool:
    """Whether somebody has led on the target since, or recorded into it. The end of a lead spends one token more."""
    if target.lead(LEASE).token > move.token + 1:
        return True
    known = {row["recorder"] for rows in source.rows("recorder") for row in rows}
    return any(row["recorder"] not in known for rows in target.rows("recorder") for row in rows)


async def while_leading(sides: tuple[Side, Side], holder: str, clock: Clock, work: Awaitable[T]) -> T:
    """What `work` gives, done while nobody else can lead on either side. Raises StorageError where somebody does."""

    async def keep() -> None:
        while True:
            await asyncio.sleep(_RENEWED_SECONDS)
            for side in sides:
                await take_lead(side, holder, clock())

    keeping, working = asyncio.ensure_future(keep()), asyncio.ensure_future(work)
    try:
        await asyncio.wait((keeping, working), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            keeping.result()
        return await working
    finally:
        for task in (keeping, working):
            task.cancel()
        await asyncio.wait((keeping, working))


async def take_lead(side: Side, holder: str, now: datetime) -> int:
    """Take or renew the lead under this name; its token. Raises StorageError where another process has it."""
    token = await side.stores.state.acquire_lease(LEASE, f"{_MARK}{holder}", now, LEASE_TTL)
    if token is None:
        raise StorageError(f"another process has begun to lead on {side.place}: stop it, and run this again")
    return token


async def give_lead(side: Side, holder: str) -> None:
    """Give the lead up, so that a daemon need not wait for its end."""
    await side.stores.state.release_lease(LEASE, f"{_MARK}{holder}")
