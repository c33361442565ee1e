"""What Guardian needs of a store to judge rules: the recorded past as a `History`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from guardian.alerting.history import History
from guardian.alerting.sample import Released, Sample
from guardian.alerting.wanted import NOTHING_MORE, Wanted
from guardian.alerting.whom import Use
from guardian.stores.people.book import AliasBook

ALIVE_US = 120 * 1_000_000
"""A process that has said nothing for so long is not waited for: it says that it lives each minute at least."""
SAMPLED = 15_000
"""How many requests a sample has at most, where nobody says another number."""


class HistoryStore(Protocol):
    """Reads events for rules; its users are people, by the aliases. Minutes are counted since 1970.

    Methods block, for seconds where much is read: call them in a thread. They raise StorageError with one sentence
    where the store cannot answer.
    """

    @property
    def book(self) -> AliasBook:
        """Who the people are that requests are read of."""
        ...

    def first_event(self) -> int | None:
        """When the oldest stored event ended, µs; None where there is none."""
        ...

    def read(
        self, start: int, end: int, *, single_events: int, imported: bool = True, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """The minutes [start, end): counts of all of them, single events of the last `single_events` seconds, and what
        is wanted of before.

        Without `imported` only what the app itself recorded counts: nobody is to be called because of an imported past.
        """
        ...

    def grown(
        self, history: History, end: int, *, keep: int, single_events: int, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """The same history up to minute `end`, of which `keep` minutes of counts stay.

        It equals what `read` would give without what was imported, with what came late too, and costs less where little
        has come.
        """
        ...

    def sample(self, start_us: int, end_us: int, *, most: int = SAMPLED) -> Sample:
        """Requests of [start, end), imported ones too: all of them, or about `most` / 2 of the failed and as many of
        the good ones, from all of the window. It takes as long for many requests as for few."""
        ...

    def failed(self, start_us: int, end_us: int) -> Iterator[Sample]:
        """Every failed request of [start, end), imported ones too, in samples of bounded length and any order. Which
        release and instance answered is not told on every store."""
        ...

    def slow(self, start_us: int, end_us: int, over_us: float, feature: str | None) -> Iterator[Sample]:
        """Every good request of [start, end) that took longer than `over_us`, imported ones too, of this feature or of
        all, in samples as above. Each request is looked at."""
        ...

    def succeeded(self, since: Mapping[Use, int], end_us: int, within_us: float | None = None) -> set[Use]:
        """Which of these pairs of person and feature had a request that did not fail, later than the moment (µs) that
        is given for each, and before the end. It reads sealed summaries wherever these tell, so it costs little however
        many requests there were. With `within_us` only those count that are known to have taken no longer: then it
        reads requests, an hour at once and the newest first. Of a time whose single requests are deleted nothing is
        told."""
        ...

    def releases(self, start_us: int, end_us: int) -> list[Released]:
        """What was released in [start, end), in order: each release that no process had before, once, however many
        began with it. Not the first that was ever noted: before it nobody knew of any."""
        ...

    def stored_until(self, now_us: int) -> int:
        """Up to when everything is stored that the processes have taken which live, µs; `now_us`, or later, where none
        is known to have more."""
        ...

    async def reopen(self) -> None:
        """Begin on what is there now, as `StateStore.reopen`; until then what was replaced is an error."""
        ...

    async def close(self) -> None:
        """Release what is kept for the next call; safe to call twice."""
        ...
