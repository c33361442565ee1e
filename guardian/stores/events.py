"""What Guardian needs of a store of events, whichever database is under it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Protocol

from guardian.core.storage import RecorderHealth, RecorderNote, Signs, StorageStats
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
"""Events with a future time are only counted up to this number."""


class UsageRepository(Protocol):
    """Events in, events and summaries out. Windows are half-open `[start, end)`, aware, any zone.

    Results speak of people: ids that the aliases map to one name count as one person everywhere. A method that takes a
    person's name accepts any of their ids too.

    Methods raise `StorageError` with one sentence where the store cannot answer; they never return zeros instead.
    """

    async def write(self, events: Sequence[Event]) -> int:
        """Store a batch in one transaction. Returns how many were stored: an event that cannot be stored is skipped."""
        ...

    def events(self, start: datetime, end: datetime, *, failed_only: bool = False) -> AsyncIterator[list[Event]]:
        """The events of the window in order of time, in chunks of bounded size."""
        ...

    async def summary(self, start: datetime, end: datetime, *, features: Sequence[str] = ()) -> Summary:
        """The exact totals of the window: sealed summaries and, at the edges, raw events.

        With `features` (patterns with *) only their requests count, which takes single events. This and `timeline`
        raise WindowGone if retention has deleted what they need.
        """
        ...

    async def activity(
        self, edges: Sequence[datetime], *, most: int | None = None, features: Sequence[str] = (), latency: bool = False
    ) -> tuple[Activity, list[TimelineBar]]:
        """What a report shows for the time between the first and the last edge: at most `most` people by name (None:
        all), and a bar between each two neighbouring edges, with its `latency` if asked for (`Activity.latencies`). All
        read from one state of the store. Raises WindowGone as `summary` does."""
        ...

    async def people(self, start: datetime, end: datetime, *, after: Place | None, most: int) -> Listing:
        """The next `most` verified people of the window after the position `after` (None: from the start), most errors
        first, then most requests. Leaves out erased people. Raises WindowGone as `summary` does."""
        ...

    async def roster(self, start: datetime, end: datetime, *, back: timedelta) -> Roster:
        """Everybody who made a request in the window. People without a request in the time `back` before it (from a
        full hour on) are new. Raises WindowGone as `summary` does; if only `back` reaches too far, nobody is called
        new."""
        ...

    async def reached(self, start: datetime, end: datetime) -> dict[str, int]:
        """How many verified people used each feature in the window. Raises WindowGone as `summary` does."""
        ...

    async def counts(
        self, start: datetime, end: datetime, *, features: Sequence[str] = (), edges: Sequence[datetime] = ()
    ) -> Counts:
        """The `summary` of the window without people and latencies, in a fraction of the time. With `edges`, from
        `start` to `end`, also a bar between each two neighbours; no bars if retention has deleted what only they
        need."""
        ...

    async def outcomes(
        self, windows: Sequence[tuple[datetime, datetime]], *, features: Sequence[str] = ()
    ) -> list[Mapping[int, int]]:
        """How many requests of each window had which outcome (`Event.outcome`), all read from one state of the store.
        Stops before the first window whose data retention has deleted.
        """
        ...

    async def latencies(self, edges: Sequence[datetime]) -> list[dict[int, int]]:
        """Between each two neighbouring edges, how many latencies fell into each bin (`bin_of`), all read from one
        state of the store. Raises WindowGone as `summary` does."""
        ...

    async def bars(self, edges: Sequence[datetime], *, features: Sequence[str] = ()) -> list[TimelineBar]:
        """A bar between each two neighbouring edges, all read from one state of the store. With `features` (patterns
        with *) only their requests count; sealed summaries are enough for that. Raises WindowGone as `summary` does
        without features."""
        ...

    async def gone_quiet(self, start: datetime, end: datetime) -> list[Quiet]:
        """The people who went quiet after an error, as seen from this window (`guardian.core.quiet`); nobody if
        retention has deleted what that needs."""
        ...

    async def turnover(self, edges: Sequence[datetime]) -> Turnover:
        """Who came, stayed and left in the windows between neighbouring edges (`guardian.core.turnover`), of which
        there are at least two. All read from one state of the store. Raises WindowGone as `summary` does."""
        ...

    async def timeline(
        self, edges: Sequence[datetime], *, features: Sequence[str] = ()
    ) -> tuple[Summary, list[TimelineBar]]:
        """The summary between the first and the last edge, and a bar between each two neighbours, all read from one
        state of the store."""
        ...

    async def seal(self, now: datetime) -> int:
        """Summarise each closed bucket that is not sealed yet, or that late events made stale. Returns how many were
        written."""
        ...

    async def failure_groups(self, start: datetime, end: datetime) -> list[FailureGroup]:
        """All failed events of the window grouped by type and place, largest group first. Memory holds only the groups
        and the people they hit, however many events there are."""
        ...

    async def steps(
        self, email: str, start: datetime, end: datetime, *, most: int, features: Sequence[str] = ()
    ) -> list[Event]:
        """The newest `most` events of one user in the window, oldest first."""
        ...

    async def export_user(self, email: str) -> dict[str, Any] | None:
        """Everything stored about one person, as rows of the published tables, with their ids; None for an unknown
        person. This and `erase_user` raise StorageError if the aliases cannot be read: an id could be missed.
        """
        ...

    def exported(self, email: str) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """The same in pieces: a table's name and some of its rows, table by table, each at least once. Nothing for an
        unknown person. Reading never blocks writers, however much there is.
        """
        ...

    def rows(self, table: Table, start: datetime, end: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        """Everybody's rows of a published table, in pieces: requests that ended in the window, or sessions that began
        in it. People appear as they were recorded, without aliases. Reading never blocks writers."""
        ...

    async def names(self) -> list[tuple[str, str]]:
        """Every id or address that was ever recorded, with the person's name; without erased people."""
        ...

    async def erase_user(self, email: str) -> bool:
        """Erase the person with all their ids. Totals stay the same, and nothing leads back to them. False for an
        unknown person."""
        ...

    async def erase_buried(self, since: datetime) -> int:
        """Erase again each name that was erased after `since` but has events from before its erasure, which the host
        still had in its queue. Later events stay, and count as a new person's. Returns how many names were erased.
        """
        ...

    async def purge(self, *, events_before: datetime, summaries_before: datetime) -> int:
        """Delete events and summaries that are older, in small steps that never stall the host's writer. Returns how
        many events were deleted, including those of an earlier purge that was killed before it could report them.
        """
        ...

    async def let_expire(self, keep: timedelta, now: datetime) -> None:
        """Where the database can do so, let it delete single events by itself a few days after they reach this age, in
        case nobody purges."""
        ...

    async def purge_errors(self, before: datetime) -> int:
        """Remove the text and place of older errors; their kind stays. Returns how many events were changed."""
        ...

    async def purge_sessions(self, before: datetime) -> int:
        """Delete the sessions that ended before. Returns how many."""
        ...

    async def count_old(
        self, *, events_before: datetime, errors_before: datetime, sessions_before: datetime
    ) -> tuple[int, int, int]:
        """How many events, error texts and sessions the purges would delete. Deletes nothing."""
        ...

    async def stats(self, now: datetime | None = None) -> StorageStats:
        """How much is stored. Its newest event is that of `newest_event`."""
        ...

    async def unmerged_bytes(self) -> int:
        """The bytes not yet merged into the main file, as in SQLite's write-ahead log; 0 for a store without one."""
        ...

    async def newest_event(self, now: datetime | None = None) -> datetime | None:
        """The time of the newest event; None where there is none. Takes the same short time however many there are.
        With `now`, events from a clock that ran ahead are ignored (`core.clock.was_ahead`).
        """
        ...

    async def events_ahead(self, now: datetime) -> int:
        """How many events come from a clock that ran ahead (`core.clock.was_ahead`), at most MOST_AHEAD."""
        ...

    async def recorders(self, now: datetime | None = None) -> list[RecorderHealth]:
        """The processes that wrote in the last 7 days, latest heartbeat first. The 7 days end with the latest
        heartbeat; with `now`, with the latest that no clock running ahead has written, though such processes are still
        listed.
        """
        ...

    async def recorder_notes(self, since: datetime) -> list[RecorderNote]:
        """What the writing processes reported since then, latest first."""
        ...

    async def signs(self, now: datetime, since: datetime) -> Signs:
        """These five at `now`, with the notes since then, by as few questions as can be."""
        ...

    async def feature_names(self) -> set[str]:
        """The names of all features ever recorded."""
        ...

    async def reopen(self) -> None:
        """Open what is there now, like `StateStore.reopen`."""
        ...

    async def close(self) -> None:
        """Release the connections; safe to call twice."""
        ...
