"""Moves everything that is kept from one database into another one, and compares both at the end.

It may be killed at any moment and run again: what was already copied is not written again, and nothing is duplicated.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from guardian.application.moving import copying
from guardian.application.moving.comparing import compare
from guardian.application.moving.copying import Progress
from guardian.application.moving.sides import (
    Side,
    begun_before,
    give_lead,
    has_rows,
    in_thread,
    opened,
    refuse_led,
    take_lead,
    while_leading,
)
from guardian.application.root import Clock, new_holder
from guardian.core.storage import StorageError
from guardian.core.time import moment, utc_now
from guardian.stores.moving import Move, Moving
from guardian.stores.opening import backend, shown

_LEFT = {
    "session": "sessions: they are made of the single requests there",
}
"""What cannot be moved everywhere, and what that means."""
_DAY_US = 86_400_000_000
ASKED = "links to sign in by that nobody has opened yet: ask for a new one"


@dataclass(slots=True)
class Outcome:
    """What a move did. `resumed` says that one had begun before; `rows` counts those that were written of each table,
    `requests` and `summaries` are what was written too, or, in a dry run, is there to be moved. `waiting` messages are
    still to be sent, from the target alone. `differences` is what is not the same on both sides, nothing where all is
    well; `left` what was left behind."""

    source: str
    target: str
    dry_run: bool = False
    resumed: bool = False
    rows: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    summaries: int = 0
    waiting: int = 0
    windows: int = 0
    differences: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


async def move(
    source: Path | str,
    target: Path | str,
    *,
    progress: Progress,
    clock: Clock = utc_now,
    random: Random | None = None,
    dry_run: bool = False,
) -> Outcome:
    """Move everything from one database into another one; `dry_run` only looks and counts.

    Raises StorageError where one cannot be used, another process leads on either, or the target holds anything else.
    """
    if shown(source) == shown(target):
        raise StorageError(f"{shown(source)} cannot be moved into itself: name another database")
    if not backend(source).exists():
        raise StorageError(f"there is no database {shown(source)} that could be moved: correct its name")
    outcome = Outcome(shown(source), shown(target), dry_run)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(opened(source))
        await refuse_led(one, clock())
        if dry_run and not backend(target).exists():
            await _count(one, None, outcome)
            return outcome
        two = await stack.enter_async_context(opened(target))
        await refuse_led(two, clock())
        outcome.resumed = await begun_before(one, two)
        if dry_run:
            await _count(one, two, outcome)
            return outcome
        holder = new_holder()
        await take_lead(one, holder, clock())
        stack.push_async_callback(give_lead, one, holder)
        token = await take_lead(two, holder, clock())
        stack.push_async_callback(give_lead, two, holder)
        await in_thread(two.moving.note_move, Move(one.place, token))
        await while_leading((one, two), holder, clock, _moved(one, two, outcome, progress, clock, random or Random()))
        await in_thread(two.moving.note_move, Move(one.place, token, done=not outcome.differences))
    return outcome


async def _count(source: Side, target: Side | None, outcome: Outcome) -> None:
    """Count what would be moved."""
    takes = source.moving.gives if target is None else target.moving.takes
    for table in copying.shared(source.moving, source.moving):
        if table in takes:
            outcome.rows[table] = await in_thread(_number_of_rows, source.moving, table)
    outcome.requests = sum((await in_thread(source.moving.stretches)).values())
    outcome.summaries = len(await in_thread(source.moving.bucket_starts))
    await _note_rest(source, target, outcome)


async def _requests(source: Side, target: Side, anew: bool, now: datetime, progress: Callable[[float], None]) -> int:
    """Copy the single requests; how many were written. Each day is summed up once it is there: all at the end would be
    long, and more than a store wants to know of what is new."""
    copied = copying.copied_events(source.moving, target.moving, anew=anew)
    written, sealed_us = 0, 0
    while (step := await in_thread(next, copied, None)) is not None:
        count, end_us, done = step
        written += count
        if end_us - sealed_us >= _DAY_US:
            await target.stores.events.seal(min(now, moment(end_us)))
            sealed_us = end_us
        progress(done)
    return written


def _number_of_rows(store: Moving, table: str) -> int:
    return sum(len(rows) for rows in store.rows(table))


async def _note_rest(source: Side, target: Side | None, outcome: Outcome) -> None:
    outcome.waiting = (await source.stores.state.outbox_counts())["pending"]
    gone = set() if target is None else source.moving.gives - target.moving.takes
    for table, said in _LEFT.items():
        if table in gone and await in_thread(has_rows, source.moving, table):
            outcome.left.append(said)
    outcome.left += [ASKED, *await in_thread(source.moving.outside)]


async def _moved(
    source: Side, target: Side, outcome: Outcome, progress: Progress, clock: Clock, random: Random
) -> None:
    def part(what: str, first: float, last: float) -> Any:
        progress(what, first)
        return lambda done: progress(what, first + (last - first) * done)

    one, two = source.moving, target.moving
    await in_thread(copying.make_key, one)
    rows = await in_thread(
        copying.copy_tables, one, two, late=False, progress=part("reports, mails, alerts and people", 0, 0.1)
    )
    gone = await in_thread(copying.people_gone, one, two)
    await in_thread(lambda: two.put_facts(one.facts()))
    outcome.summaries = await in_thread(
        copying.copy_buckets, one, two, anew=bool(gone), progress=part("summaries", 0.1, 0.2)
    )
    outcome.requests = await _requests(source, target, bool(gone), clock(), part("requests", 0.2, 0.75))
    if gone:
        await in_thread(two.delete, "person", gone)
    rows |= await in_thread(copying.copy_tables, one, two, late=True, progress=part("sessions", 0.75, 0.77))
    outcome.rows = {table: count for table, count in rows.items() if count}
    progress("adding up", 0.77)
    for side in (source, target):
        await side.stores.events.seal(clock())
    outcome.windows, outcome.differences = await compare(
        source, target, now=clock(), random=random, progress=part("comparing", 0.85, 1)
    )
    progress("comparing", 1.0)
    await _note_rest(source, target, outcome)
