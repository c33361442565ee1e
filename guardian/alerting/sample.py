"""Some of the requests of a window, with all that they can differ by: what a cause is looked for in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tracker.event import Event
from tracker.source import Source

Route = tuple[str, str, str]
"""Endpoint, method, feature."""
Flags = np.ndarray
"""A small number for each request of a sample."""
Place = tuple[str, str]
"""What failed, such as "KeyError", and where: "file:line function", "" where no exception was seen."""


class Released(NamedTuple):
    """A release of the app, and when (µs) the first request came that it answered."""

    release: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests, a numpy array a column; `user`, `route`, `source` and `failure` index the lists of what they stand for,
    `source` and `failure` are -1 where there is none. `status` holds outcomes (`Event.outcome`), `duration_us`
    latencies. `weight` says how many requests of the window each one stands for: 1 where all of its kind, failed or
    good, are here. `sources` are pairs of release and instance, "" for what is not known. In no order."""

    at_us: np.ndarray
    user: np.ndarray
    route: np.ndarray
    source: np.ndarray
    status: np.ndarray
    duration_us: np.ndarray
    failure: np.ndarray
    weight: np.ndarray
    users: Sequence[str]
    routes: Sequence[Route]
    sources: Sequence[Source]
    failures: Sequence[Place]

    @classmethod
    def of(cls, events: Iterable[tuple[Event, Source | None]], most: int) -> Sample:
        """The sample of any events, each with where it came from: all of them, or of the failed and of the good ones at
        most `most` / 2 each, spread evenly."""
        pairs = list(events)
        failed = [pair for pair in pairs if pair[0].failure is not None]
        good = [pair for pair in pairs if pair[0].failure is None]
        users: dict[str, int] = {}
        routes: dict[Route, int] = {}
        sources: dict[Source, int] = {}
        failures: dict[Place, int] = {}
        rows, weights = [], list[float]()
        for kind in (failed, good):
            step = max(1, -(-len(kind) // (most // 2)))
            kept = kind[::step]
            weights += [len(kind) / len(kept)] * len(kept) if kept else []
            for event, source in kept:
                failure = event.failure
                rows.append(
                    (
                        event.at_us,
                        users.setdefault(event.user, len(users)),
                        routes.setdefault((event.endpoint, event.method, event.feature), len(routes)),
                        -1 if source is None else sources.setdefault(source, len(sources)),
                        event.outcome,
                        event.duration_us if event.latency_us is None else event.latency_us,
                        -1 if failure is None else failures.setdefault(place(*failure[::2]), len(failures)),
                    )
                )
        table = np.array(rows, dtype=np.int64).reshape(-1, 7)
        weight = np.array(weights, dtype=float)
        at_us, user, route, origin, status, took_us, failed_by = table.T
        return cls(
            at_us, user, route, origin, status, took_us, failed_by, weight,
            [*users], [*routes], [*sources], [*failures],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.at_us)

    @property
    def requests(self) -> int:
        """How many requests it stands for."""
        return round(float(self.weight.sum()))

    def failed(self, lowest: int, facts: Mapping[str, Any]) -> np.ndarray:
        """1 for each request with at least this outcome, 0 for each other one; where the facts of an incident are of
        one error, only for that one. The place of an error without an exception is there the feature."""
        flags = self.status >= lowest
        if "place" in facts:
            kind, where = facts["kind"], facts["place"]
            same = [what == kind and (line or where) == where for what, line in self.failures]
            flags &= np.array([*same, False])[self.failure]
            if not any(line == where for _, line in self.failures):
                flags &= np.array([feature == where for _, _, feature in self.routes], dtype=bool)[self.route]
        return flags.astype(np.int8)

    def only(self, rows: np.ndarray) -> Sample:
        """The same with some of its rows: their numbers, or a flag each."""
        return Sample(
            self.at_us[rows], self.user[rows], self.route[rows], self.source[rows], self.status[rows],
            self.duration_us[rows], self.failure[rows], self.weight[rows],
            self.users, self.routes, self.sources, self.failures,
        )  # fmt: skip


NO_SAMPLE = Sample.of((), 2)
"""No requests."""


def place(kind: str, location: str) -> Place:
    """What failed, and the innermost line of its location."""
    return kind, location.rsplit("\n", 1)[-1]
