"""What Guardian needs of a store of events, whichever database is under it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from guardian.core.storage import RecorderHealth, RecorderNote, StorageStats
from tracker.event import Event

if TYPE_CHECKING:
    from guardian.core.activity import Activity
    from guardian.core.failure_groups import FailureGroup
    from guardian.core.listing import Listing, Place
    from guardian.core.quiet import Quiet
    from guardian.core.roster import Roster
    from guardian.core.summary import Counts, Summary, TimelineBar
    from guardian.core.turnover import Turnover


Table = Literal["user_sessions", "feature_usage", "user_errors"]
"""The published tables."""
MOST_AHEAD = 10_000
"""More events of the future than this are not counted."""


class UsageRepository(Protocol):
    """Events in, events and summaries out. Windows are half-open `[start, end)`, aware, any zone.

    Whatever is read names people: all ids that the aliases give one name are one person, in every count. Where a method
    takes somebody's name, each of their ids does as well.

    Methods raise `StorageError` with one sentence where the store cannot answer; they never answer with zeros instead.
    """

    async def write(self, events: Sequence[Event]) -> int:
        """Store a batch in one transaction; how many were stored (a poison event costs only itself)."""
        ...

    def events(self, start: datetime, end: datetime, *, failed_only: bool = False) -> AsyncIterator[list[Event]]:
        """The events of the window in the order of time, in chunks of bounded length."""
        ...

    async def summary(self, start: datetime, end: datetime, *, features: Sequence[str] = ()) -> Summary:
        """The exact totals of the window: sealed summaries and, at the edges, raw events.

        With `features`, names in which * stands for any letters, only requests of those count, from raw events alone.
        This and `timeline` raise WindowGone where retention has deleted what they need.
        """
        ...

    async def activity(
        self, edges: Sequence[datetime], *, most: int | None = None, features: Sequence[str] = (), latency: bool = False
    ) -> tuple[Activity, list[TimelineBar]]:
        """What a report shows of the time from the first edge to the last, naming at most so many people (None: all),
        and a bar for each two neighbours, with its `latency` if asked for (`Activity.latencies`): of one state of the
        store. Raises WindowGone as `summary` does."""
        ...

    async def people(self, start: datetime, end: datetime, *, after: Place | None, most: int) -> Listing:
        """The next `most` verified people of the window behind the place `after` (None: from the first on), most errors
        first, then most requests; nobody who was erased. Raises WindowGone as `summary` does."""
        ...

    async def roster(self, start: datetime, end: datetime, *, back: timedelta) -> Roster:
        """Everybody who was there in the window; who was not in the time `back` before it, from a full hour on, is new.
        Raises WindowGone as `summary` does; where `back` reaches too far for that, nobody is called new."""
        ...

    async def reached(self, start: datetime, end: datetime) -> dict[str, int]:
        """How many verified people used each feature in the window. Raises WindowGone as `summary` does."""
        ...

    async def counts(
        self, start: datetime, end: datetime, *, features: Sequence[str] = (), edges: Sequence[datetime] = ()
    ) -> Counts:
        """What `summary` says of the window without its people and latencies, in a fraction of the time. With `edges`,
        from `start` to `end`, a bar for each two neighbours; none where retention has deleted what only they need."""
        ...

    async def outcomes(
        self, windows: Sequence[tuple[datetime, datetime]], *, features: Sequence[str] = ()
    ) -> list[Mapping[int, int]]:
        """How many requests of each window had which outcome (`Event.outcome`), of one state of the store.

        Fewer than there are windows where retention has deleted what one needs: that one and those behind it are left
        out.
        """
        ...

    async def latencies(self, edges: Sequence[datetime]) -> list[dict[int, int]]:
        """Between each two neighbours of the edges, how many latencies fell into each bin (`bin_of`): of one state of
        the store. Raises WindowGone as `summary` does."""
        ...

    async def bars(self, edges: Sequence[datetime], *, features: Sequence[str] = ()) -> list[TimelineBar]:
        """A bar for each two neighbours of the edges: of one state of the store. With `features`, names in which *
        stands for any letters, only their requests count, from sealed summaries as well. Raises WindowGone as `summary`
        does without any."""
        ...

    async def gone_quiet(self, start: datetime, end: datetime) -> list[Quiet]:
        """Who went quiet after an error, as a report on the window says (`guardian.core.quiet`); nobody where retention
        has deleted what would tell."""
        ...

    async def turnover(self, edges: Sequence[datetime]) -> Turnover:
        """What became of people in the windows between each two neighbours of the edges (`guardian.core.turnover`), at
        least two; of one state of the store. Raises WindowGone as `summary` does."""
        ...

    async def timeline(
        self, edges: Sequence[datetime], *, features: Sequence[str] = ()
    ) -> tuple[Summary, list[TimelineBar]]:
        """The summary from the first edge to the last, and a bar for each two neighbours: of one state of the store."""
        ...

    async def seal(self, now: datetime) -> int:
        """Summarise each closed bucket that is not sealed yet or was made stale; how many were written."""
        ...

    async def recent_failures(
        self,
        start: datetime,
        end: datetime,
        *,
        per_user: int,
        users: Sequence[str] | None = None,
        features: Sequence[str] = (),
    ) -> dict[str, list[Event]]:
        """The newest failed events of each user, at most `per_user`, oldest first; `users` None means everyone.
        `features` as in `summary`, here and in `steps`."""
        ...

    async def failure_groups(self, start: datetime, end: datetime) -> list[FailureGroup]:
        """All failed events of the window by type and place, the largest group first: however many there are, what is
        held in memory is the groups and whom they met."""
        ...

    async def steps(
        self, email: str, start: datetime, end: datetime, *, most: int, features: Sequence[str] = ()
    ) -> list[Event]:
        """The newest `most` events of one user in the window, oldest first."""
        ...

    async def export_user(self, email: str) -> dict[str, Any] | None:
        """Everything stored about one person, as the published tables' rows, with the ids; None for someone never seen.

        This and `erase_user` raise StorageError where the aliases cannot be read: an id could be left out.
        """
        ...

    def exported(self, email: str) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """The same piece by piece: the name of a table and some rows, each table at least once, one after the other.

        Nothing for someone never seen. What is read holds up nobody, however much it is.
        """
        ...

    def rows(self, table: Table, start: datetime, end: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        """The rows of a published table, everybody's, some at a time: of requests that ended in the window, or of
        sessions that began in it. People stand there as they were recorded. What is read holds up nobody."""
        ...

    async def names(self) -> list[tuple[str, str]]:
        """Every id or address that was ever recorded, with the name of the person behind it; none of erased people."""
        ...

    async def erase_user(self, email: str) -> bool:
        """Remove the person with all their ids; totals stay true, nothing leads back. False for someone never seen."""
        ...

    async def erase_buried(self, since: datetime) -> int:
        """Erase anew each name erased after `since` that has events of before that: the host had them queued meanwhile.

        What came after it stays, and counts as a new person. How many names were erased.
        """
        ...

    async def purge(self, *, events_before: datetime, summaries_before: datetime) -> int:
        """Delete what is older, in small steps that never stall the host's writer; how many events went.

        Among them are those of a purge before that was killed, which could not say so.
        """
        ...

    async def let_expire(self, keep: timedelta, now: datetime) -> None:
        """Let the database delete single events by itself a few days after they are older than that, where it can: for
        the time when nobody purges."""
        ...

    async def purge_errors(self, before: datetime) -> int:
        """Take text and place from errors that are older; of how many events. Their kind stays."""
        ...

    async def purge_sessions(self, before: datetime) -> int:
        """Delete the sessions that ended before; how many went."""
        ...

    async def count_old(
        self, *, events_before: datetime, errors_before: datetime, sessions_before: datetime
    ) -> tuple[int, int, int]:
        """How many events, error texts and sessions the purges would take, without taking them."""
        ...

    async def stats(self, now: datetime | None = None) -> StorageStats:
        """How much is stored; the newest event is the one of `newest_event`."""
        ...

    async def unmerged_bytes(self) -> int:
        """How many bytes wait beside the main file to become part of it, as in SQLite's write-ahead log; 0 where there
        is no such thing."""
        ...

    async def newest_event(self, now: datetime | None = None) -> datetime | None:
        """The time of the newest event, at once however many there are; None where there is none.

        Given `now`, without those that a clock which was ahead has noted (`core.clock.was_ahead`).
        """
        ...

    async def events_ahead(self, now: datetime) -> int:
        """How many events a clock has noted that was ahead (`core.clock.was_ahead`), at most MOST_AHEAD."""
        ...

    async def recorders(self, now: datetime | None = None) -> list[RecorderHealth]:
        """The writing processes of the last 7 days, the latest heartbeat first.

        The days end with the latest heartbeat; given `now`, with the latest of those that no clock which was ahead has
        noted. The others are among them all the same.
        """
        ...

    async def recorder_notes(self, since: datetime) -> list[RecorderNote]:
        """What the writing processes said of themselves since then, the latest first."""
        ...

    async def feature_names(self) -> set[str]:
        """The names of all features that were ever recorded."""
        ...

    async def reopen(self) -> None:
        """Begin on what is there now, as `StateStore.reopen`."""
        ...

    async def close(self) -> None:
        """Release the connections; safe to call twice."""
        ...
