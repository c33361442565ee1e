"""`UsageGuardian`: reads the summaries of a window and of the one before it, and makes the report."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from guardian.application.comparing import compared
from guardian.application.explained import explained
from guardian.application.noticing import Elsewhere, noticed
from guardian.application.window import Scope, window
from guardian.core.activity import Activity
from guardian.core.files import replacing
from guardian.core.indented import indented_pieces
from guardian.core.off_loop import let_go, off_loop
from guardian.core.report.build import build_report
from guardian.core.report.comparing import by_weekday
from guardian.core.report.json import to_json
from guardian.core.report.model import Fired, Report
from guardian.core.report.rows import UserRows
from guardian.core.report.timeline import bar_edges, moved
from guardian.core.storage import WindowGone
from guardian.core.summary import Counts, TimelineBar
from guardian.core.time import moment, utc_now
from guardian.stores.events import UsageRepository
from guardian.stores.history import HistoryStore
from guardian.stores.one_state import of_one_state
from guardian.stores.people.book import NO_BOOK, AliasBook, alias_note
from tracker.event import Event

REPORT_NAME = "usage_report.json"
"""The file in the reports folder that holds the newest report."""
STEPS, STEPS_WITHIN = 6, timedelta(minutes=30)
"""Who needs help is shown with so many steps, of so long before their newest error."""
Firings = Callable[[datetime, datetime], Awaitable[Sequence[Fired]]]
"""Gives the rules of which an incident was open within [start, end)."""


def _nowhere(now: datetime) -> Sequence[Path]:
    return ()


class UsageGuardian:
    """Makes reports out of a repository.

    `clock` gives the present, aware. In `timezone` (an IANA name) the bars of the timeline begin. A report is CRITICAL
    where a feature whose name fits a pattern of `critical_features` fails for everyone. `elsewhere` finds the other
    files that the app may record into, at that time; it is asked, in a thread, where no recorder is alive. `book` is
    the repository's: a report that is made while it cannot be read says so in `notes`. `fired` gives the rules that
    fired within a window; without it, a report does not know. `history` tells of releases and of causes. Without
    `seals` nothing is summarised first: the same report from a database that is thrown away after it, in less time.
    """

    def __init__(
        self,
        repository: UsageRepository,
        *,
        reports_dir: str | os.PathLike[str] = "reports",
        clock: Callable[[], datetime] = utc_now,
        timezone: str = "UTC",
        critical_features: Sequence[str] = ("chat_*",),
        elsewhere: Elsewhere = _nowhere,
        book: AliasBook = NO_BOOK,
        fired: Firings | None = None,
        history: HistoryStore | None = None,
        seals: bool = True,
    ) -> None:
        self.repository = repository
        self._reports_dir = Path(reports_dir)
        self._clock, self._zone = clock, ZoneInfo(timezone)
        self._critical = tuple(critical_features)
        self.elsewhere = elsewhere
        self._book, self._fired = book, fired
        self._history, self._seals = history, seals

    async def generate_report(
        self,
        hours: int | None = None,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        zone: ZoneInfo | None = None,
        features: Sequence[str] = (),
        max_users: int | None = None,
    ) -> dict[str, Any]:
        """The report on the last `hours` hours (1 to 720), or on `[start_time, end_time)`; JSON values only.

        It names every user, or with `max_users` at most so many, those with most errors and then most requests;
        `users_left_out` then counts the others, where there are some.

        `zone` is where the bars of the timeline begin (None: the one of all reports). With `features`, names in which
        * stands for any letters, only their requests count, now and before; `only_features` then has them, and nobody
        is said to have gone quiet. Such a report reads single events, so it reaches back as far as those are kept.
        Raises ValueError with one sentence for a bad window, StorageError where the store does not answer: a report
        never shows zeros in place of a failure.
        """
        made = [await self.read_report(
            hours, start_time=start_time, end_time=end_time, zone=zone, features=features, max_users=max_users
        )]  # fmt: skip
        return await off_loop(_written, made)

    async def read_report(
        self,
        hours: int | None = None,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        zone: ZoneInfo | None = None,
        features: Sequence[str] = (),
        max_users: int | None = None,
    ) -> Report:
        """The same as a typed value, for those who show it themselves; raises what `generate_report` does."""
        with of_one_state():
            report, *beside = await self.read_window(
                hours, start_time=start_time, end_time=end_time, zone=zone, features=features, max_users=max_users
            )
            await off_loop(beside.clear)  # there, since all that was counted is freed by it
            return await explained(report, self.repository, self._history, zone or self._zone)

    async def read_window(
        self,
        hours: int | None = None,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        zone: ZoneInfo | None = None,
        features: Sequence[str] = (),
        max_users: int | None = None,
        latency: bool = False,
        before: bool = False,
    ) -> tuple[Report, Activity, Sequence[TimelineBar]]:
        """The same with what it was made from, which has the latencies of each route; without who came and went, what
        was released, and why something moved (`guardian.application.explained`).

        What a page draws beside it is read along if asked for: the `latency` of each bar, and a bar for each of the
        report's of the period `before`, or the weekday, that it is compared with; none where that could not be.
        """
        now = self._clock()
        start, end = window(now, hours, start_time, end_time)
        if self._seals:
            await self.repository.seal(now)  # so that what is read next is short, whoever runs beside
        scope = Scope(start - (end - start), start, end, zone or self._zone, tuple(features))
        read = partial(self._read, most=max_users, latency=latency, drawn=before)
        try:
            previous, current, bars = await read(scope)
        except WindowGone:
            if hours is None:
                raise
            # Single events do not reach back to the window's first, begun 5 minutes any more: all of them count.
            start = start - (start - datetime.min.replace(tzinfo=UTC)) % timedelta(minutes=5)
            scope = replace(scope, before=start - timedelta(hours=hours), start=start)
            previous, current, bars = await read(scope)
        stats, recorders = await self.repository.stats(now), await self.repository.recorders(now)
        noted = await noticed(self.repository, recorders, start=start, end=end, now=now, elsewhere=self.elsewhere)
        comparison, same_weekday = await compared(
            self.repository, scope, current,
            edges=[*(bar.start for bar in bars), end] if before else (), stats=stats, recorders=recorders,
        )  # fmt: skip
        report = await off_loop(
            build_report, current, previous, previous_start=scope.before, start=start, end=end, now=now,
            steps=await self._steps(current, features),
            quiet=[] if features else await self.repository.gone_quiet(start, end),
            timeline=bars,
            critical_features=self._critical,
            stats=stats,
            recorders=recorders,
            notes=noted,
            known_features=await self.repository.feature_names(),
            whole=not features,
            comparison=comparison,
            compared=same_weekday,
            fired=None if self._fired is None else await self._fired(start, end),
        )  # fmt: skip
        if note := alias_note(self._book):
            report = replace(report, notes=(*report.notes, note))
        beside = same_weekday[0] if same_weekday else previous
        return replace(report, only_features=scope.features), current, beside.bars if beside else ()

    async def _read(
        self, scope: Scope, *, most: int | None, latency: bool, drawn: bool
    ) -> tuple[Counts | None, Activity, list[TimelineBar]]:
        """The counts of the period before, None where it is no longer stored, with bars if these are to be `drawn` and
        no weekday is instead; what the period itself shows, and its bars."""
        edges = bar_edges(scope.start, scope.end, scope.zone)
        current, bars = await self.repository.activity(edges, most=most, features=scope.features, latency=latency)
        back = moved(edges, scope.before, scope.start) if drawn and not by_weekday(scope.start, scope.end) else ()
        try:
            previous = await self.repository.counts(scope.before, scope.start, features=scope.features, edges=back)
        except WindowGone:
            previous = None
        return previous, current, bars

    async def _steps(self, current: Activity, features: Sequence[str]) -> dict[str, list[Event]]:
        """What each of those who need help did last, up to their newest error."""
        found = {}
        for email in current.needy:
            if failed := current.failures.get(email):
                until = moment(failed[-1].at_us) + timedelta(microseconds=1)
                since = until - STEPS_WITHIN
                found[email] = await self.repository.steps(email, since, until, most=STEPS, features=features)
        return found

    async def generate_and_save_report(
        self,
        hours: int | None = None,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        zone: ZoneInfo | None = None,
    ) -> tuple[dict[str, Any], Path]:
        """As `generate_report`, written to `reports_dir/usage_report.json` as well; the report and the file's path.

        The file is replaced as a whole: a reader sees the old report or the new one. Raises OSError where the folder
        cannot be written.
        """
        report = await self.generate_report(hours, start_time=start_time, end_time=end_time, zone=zone)
        return report, await self.save_report(report)

    async def save_report(self, report: Mapping[str, Any]) -> Path:
        """Write a report to `reports_dir/usage_report.json`; the file's path. Raises OSError where that cannot be."""
        path = self._reports_dir / REPORT_NAME
        await off_loop(_write_whole, path, report)
        return path


def _written(made: list[Report]) -> dict[str, Any]:
    """The JSON of the report in the list, which is empty afterwards."""
    report = made.pop()
    written = to_json(report)
    people = [*report.users.people] if isinstance(report.users, UserRows) else []
    del report
    let_go(people)  # a list of our own: the repository may keep the one that it gave
    return written


def _write_whole(path: Path, report: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.writelines(indented_pieces(report))
