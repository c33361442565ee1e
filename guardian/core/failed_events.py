"""Failed events by person as columns: of the thousands in a report, an `Event` is made where somebody looks at one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np

from tracker.event import Event, Failure

AT_ONCE = 2_000
"""How many rows one call turns into objects: all at once would hold the GIL too long."""
_EVENT: Callable[[tuple[Any, ...]], Event] = partial(tuple.__new__, Event)  # four times as fast as calling it


class FailedEvents(Mapping[str, Sequence[Event]]):
    """The failed events of each person by name, in the order of the rows. Equal to a dictionary of the same.

    `edges` has the row at which each person's begin, in the order of `people`, and where the last ones end. `rows` are
    at_us, route, status, duration_us, the number of the failure, and latency_us (-2: not known); `routes` has the
    endpoint, method and feature of each route, `why` each failure, at their numbers.
    """

    def __init__(
        self,
        people: Sequence[str],
        edges: Sequence[int],
        rows: Sequence[np.ndarray],
        routes: Sequence[np.ndarray],
        why: np.ndarray,
    ) -> None:
        self._spans = dict(zip(people, pairwise(edges), strict=True))
        self._rows, self._routes, self._why = rows, routes, why

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __contains__(self, name: object) -> bool:
        return name in self._spans

    def __getitem__(self, name: str) -> Sequence[Event]:
        first, end = self._spans[name]
        return self._all[first:end] if "_all" in self.__dict__ else self._events([name] * (end - first), first, end)

    def __eq__(self, other: object) -> bool:
        return self.made() == (other.made() if isinstance(other, FailedEvents) else other)

    __hash__ = None  # type: ignore[assignment]

    def made(self) -> dict[str, list[Event]]:
        """All of them as events."""
        return {name: self._all[first:end] for name, (first, end) in self._spans.items()}

    def number(self, name: str) -> int:
        """How many events this person has."""
        first, end = self._spans.get(name, (0, 0))
        return end - first

    def columns(self, names: Sequence[str]) -> tuple[list[int], list[str], list[int], list[Failure | None]]:
        """The at_us, endpoints, statuses and failures of these people, one after the other."""
        edges = (edge for name in names for edge in self._spans.get(name, (0, 0)))
        spans = np.fromiter(edges, np.int64).reshape(-1, 2)
        counts = spans[:, 1] - spans[:, 0]
        order = np.repeat(spans[:, 1] - np.cumsum(counts), counts) + np.arange(counts.sum())
        at, endpoints, statuses, why = list[int](), list[str](), list[int](), list[Failure | None]()
        for first in range(0, len(order), AT_ONCE):
            at_us, route, status, _, failure, _ = (column[order[first : first + AT_ONCE]] for column in self._rows)
            at += at_us.tolist()
            endpoints += self._routes[0][route].tolist()
            statuses += status.tolist()
            why += self._why[failure].tolist()
        return at, endpoints, statuses, why

    @cached_property
    def _all(self) -> list[Event]:
        owners = np.empty(len(self._spans), object)
        owners[:] = list(self._spans)
        who = np.repeat(owners, [end - first for first, end in self._spans.values()])
        events = list[Event]()
        for first in range(0, len(who), AT_ONCE):
            some = who[first : first + AT_ONCE].tolist()
            events += self._events(some, first, first + len(some))
        return events

    def _events(self, who: list[str], first: int, end: int) -> list[Event]:
        at_us, route, status, duration, failure, latency = (column[first:end] for column in self._rows)
        endpoint, method, feature = (names[route].tolist() for names in self._routes)
        took = [None if each == -2 else each for each in latency.tolist()]
        columns = (at_us.tolist(), who, endpoint, method, feature, status.tolist(), duration.tolist(),
                   self._why[failure].tolist(), took, [None] * len(who))  # fmt: skip
        return list(map(_EVENT, zip(*columns, strict=True)))
