"""What Guardian needs from a store to judge rules: the recorded past as a `History`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from guardian.alerting.history import History
from guardian.alerting.sample import Released, Sample
from guardian.alerting.wanted import NOTHING_MORE, Wanted
from guardian.alerting.whom import Use
from guardian.stores.people.book import AliasBook

ALIVE_US = 120 * 1_000_000
"""A process silent for this long is not waited for: a living one writes a heartbeat at least once a minute."""
SAMPLED = 15_000
"""The default for the most requests in a sample."""


class HistoryStore(Protocol):
    """Reads events for rules, with users named by the aliases. Minutes are counted since 1970. Methods block, for
    seconds if much is read, so call them in a thread. They raise StorageError with one sentence if the store cannot
    answer.
    """

    @property
    def book(self) -> AliasBook:
        """The aliases by which people are named."""
        ...

    def first_event(self) -> int | None:
        """When the oldest stored event ended, µs; None where there is none."""
        ...

    def read(
        self, start: int, end: int, *, single_events: int, imported: bool = True, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """The history of the minutes [start, end): counts of all of them, single events of the last `single_events`
        seconds, and what is wanted from before. Without `imported` only events that the app itself recorded count:
        imported ones must not raise an alert.
        """
        ...

    def grown(
        self, history: History, end: int, *, keep: int, single_events: int, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """The same history up to minute `end`, with `keep` minutes of counts. It equals what `read` without `imported`
        would give, late events included, but costs less where little has happened.
        """
        ...

    def sample(self, start_us: int, end_us: int, *, most: int = SAMPLED) -> Sample:
        """A sample of the requests in [start, end), imported ones included: all of them, or about `most` / 2 each of
        the failed and the good ones, from all over the window. Takes about the same time however many requests there
        are."""
        ...

    def failed(self, start_us: int, end_us: int) -> Iterator[Sample]:
        """Every failed request of [start, end), imported ones too, in samples of bounded size and any order. Not every
        store says which release and instance answered."""
        ...

    def slow(self, start_us: int, end_us: int, over_us: float, feature: str | None) -> Iterator[Sample]:
        """Every good request of [start, end), of this feature or of all, that took longer than `over_us`, imported ones
        included; in samples as above. Examines each request."""
        ...

    def succeeded(self, since: Mapping[Use, int], end_us: int, within_us: float | None = None) -> set[Use]:
        """Which of these (person, feature) pairs had a good request after the moment (µs) given for each, and before
        the end. Sealed summaries answer most of this, so it costs little however many requests there were. With
        `within_us` only requests known to have taken no longer count; then single requests are read, hour by hour,
        newest first. Times whose single requests are deleted are left out."""
        ...

    def releases(self, start_us: int, end_us: int) -> list[Released]:
        """The releases that first appeared in [start, end), in order, each once, however many processes run it. Without
        the first release ever recorded, since nothing shows when it was deployed."""
        ...

    def stored_until(self, now_us: int) -> int:
        """Up to when (µs) all events of the living processes are stored; `now_us` or later if none is known to have
        more waiting."""
        ...

    async def reopen(self) -> None:
        """Open what is there now, like `StateStore.reopen`; until then, a replaced database is an error."""
        ...

    async def close(self) -> None:
        """Release what is kept between calls; safe to call twice."""
        ...
