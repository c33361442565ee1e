"""What one person did: their sessions, and the story of their newest error. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracker.event import SESSION_GAP_US, Event


@dataclass(frozen=True, slots=True)
class Visit:
    """Activity with no gap of 30 minutes or more, from when its first request began to when its last one ended (µs)."""

    start_us: int
    end_us: int
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class Story:
    """Of the newest error: the last step before it that went well (None: none is known), the first bad one of its run,
    the last bad one, and the first step of the same feature after it that went well (None: not yet)."""

    good: Event | None
    first_bad: Event
    last_bad: Event
    recovered: Event | None

    @property
    def tries(self) -> bool:
        """Whether they tried more than once."""
        return self.first_bad is not self.last_bad


def failed(event: Event) -> bool:
    """Whether a step went wrong."""
    return event.outcome >= 400


def visits_of(steps: Sequence[Event]) -> list[Visit]:
    """The sessions of somebody's events, both in the order of time."""
    found: list[Visit] = []
    for event in steps:
        start, bad = event.at_us - event.duration_us, int(failed(event))
        last = found[-1] if found else None
        if last is None or start - last.end_us >= SESSION_GAP_US:
            found.append(Visit(start, event.at_us, 1, bad))
        else:
            found[-1] = Visit(last.start_us, event.at_us, last.requests + 1, last.errors + bad)
    return found


def ranked_features(steps: Sequence[Event]) -> list[tuple[str, list[int]]]:
    """Each feature of the steps with how many requests it had and how many of them failed, the most used first."""
    used: dict[str, list[int]] = {}
    for step in steps:
        count = used.setdefault(step.feature, [0, 0])
        count[0] += 1
        count[1] += failed(step)
    return sorted(used.items(), key=lambda pair: (-pair[1][0], pair[0]))


def story_of(steps: Sequence[Event]) -> Story | None:
    """What is to be told of the newest error among somebody's events, in the order of time; None where none failed.

    Its run are the failures of the same feature before it, up to one of that feature that went well.
    """
    newest = next((i for i in range(len(steps) - 1, -1, -1) if failed(steps[i])), None)
    if newest is None:
        return None
    feature, first = steps[newest].feature, newest
    for i in range(newest - 1, -1, -1):
        if steps[i].feature == feature:
            if not failed(steps[i]):
                break
            first = i
    good = next((step for step in reversed(steps[:first]) if not failed(step)), None)
    recovered = next((step for step in steps[newest + 1 :] if step.feature == feature and not failed(step)), None)
    return Story(good, steps[first], steps[newest], recovered)
