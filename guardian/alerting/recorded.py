"""Requests that are at hand one by one, asked as a store is: for samples of mails, and to compare stores with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from guardian.alerting.sample import Sample
from tracker.event import Event
from tracker.source import Source


class Recorded:
    """`guardian.alerting.whom.Past` on these events, with the sources that they came from, by `made_by`: nobody knows,
    where nothing is given."""

    def __init__(self, events: Sequence[Event], made_by: Callable[[Event], Source | None] = lambda event: None) -> None:
        self._events, self._made_by = events, made_by

    def sample(self, start_us: int, end_us: int, *, most: int = 20_000) -> Sample:
        """The sample of [start, end), µs, with at most so many requests."""
        return Sample.of(((event, self._made_by(event)) for event in self._between(start_us, end_us)), most)

    def failed(self, start_us: int, end_us: int) -> Iterator[Sample]:
        """All failed requests of [start, end), µs, in one sample."""
        failed = (event for event in self._between(start_us, end_us) if event.failure is not None)
        found = [(event, self._made_by(event)) for event in failed]
        yield Sample.of(found, 2 * len(found) + 2)

    def succeeded(self, since: Mapping[tuple[str, str], int], end_us: int) -> set[tuple[str, str]]:
        """Which of these pairs of person and feature had a request that did not fail, after their moment (µs)."""
        pairs = ((event, (event.user, event.feature)) for event in self._between(0, end_us) if event.failure is None)
        return {pair for event, pair in pairs if pair in since and event.at_us > since[pair]}

    def _between(self, start_us: int, end_us: int) -> Iterator[Event]:
        return (event for event in self._events if start_us <= event.at_us < end_us)
