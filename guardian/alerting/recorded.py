"""Requests held in memory, read like a store: for sample mails, and as the reference that stores are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from guardian.alerting.sample import Sample
from guardian.alerting.whom import Use
from guardian.core.summary import WEBSOCKET
from tracker.event import Event
from tracker.source import Source


class Recorded:
    """`guardian.alerting.whom.Past` on these events. `made_by` gives the release and instance of each; without it they
    are unknown."""

    def __init__(self, events: Sequence[Event], made_by: Callable[[Event], Source | None] = lambda event: None) -> None:
        self._events, self._made_by = events, made_by

    def sample(self, start_us: int, end_us: int, *, most: int = 20_000) -> Sample:
        """The sample of [start, end), µs, with at most `most` requests."""
        return Sample.of(((event, self._made_by(event)) for event in self._between(start_us, end_us)), most)

    def failed(self, start_us: int, end_us: int) -> Iterator[Sample]:
        """All failed requests of [start, end), µs, in one sample."""
        failed = (event for event in self._between(start_us, end_us) if event.failure is not None)
        found = [(event, self._made_by(event)) for event in failed]
        yield Sample.of(found, 2 * len(found) + 2)

    def slow(self, start_us: int, end_us: int, over_us: float, feature: str | None) -> Iterator[Sample]:
        """All good requests of [start, end), µs, that took longer, of this feature or of all, in one sample."""
        good = (event for event in self._between(start_us, end_us) if feature in (None, event.feature))
        found = [(event, self._made_by(event)) for event in good if timed(event) and latency_of(event) > over_us]
        yield Sample.of(found, 2 * len(found) + 2)

    def succeeded(self, since: Mapping[Use, int], end_us: int, within_us: float | None = None) -> set[Use]:
        """Which of these (person, feature) pairs had a good request after their moment (µs) that took no longer than
        the given time."""
        good = (event for event in self._between(0, end_us) if event.failure is None)
        if within_us is not None:
            good = (event for event in good if timed(event) and latency_of(event) <= within_us)
        pairs = ((event, (event.user, event.feature)) for event in good)
        return {pair for event, pair in pairs if pair in since and event.at_us > since[pair]}

    def _between(self, start_us: int, end_us: int) -> Iterator[Event]:
        return (event for event in self._events if start_us <= event.at_us < end_us)


def timed(event: Event) -> bool:
    """Whether it is a good request with a known latency."""
    return event.outcome < 400 and event.outcome != WEBSOCKET and latency_of(event) >= 0


def latency_of(event: Event) -> int:
    """The latency (µs): until the answer began, or the whole duration where that is not known."""
    return event.duration_us if event.latency_us is None else event.latency_us
