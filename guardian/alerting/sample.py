"""A sample of the requests in a window, with everything by which a cause can be told."""

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
    """A release of the app, and when (µs) it answered its first request."""

    release: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests in no particular order, one numpy array for each column. `user`, `route`, `source` and `failure` index
    the lists of their values; `source` and `failure` are -1 where there is none. `status` holds outcomes
    (`Event.outcome`), `duration_us` latencies. `weight` says how many requests of the window each one stands for: 1
    where all of its kind (failed or good) are in the sample. `sources` are pairs of release and instance, "" for
    unknown."""

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
        """A sample of these events with their sources: all of them, or at most `most` / 2 each of the failed and the
        good ones, spread evenly."""
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
        """How many requests of the window the sample stands for."""
        return round(float(self.weight.sum()))

    def failed(self, lowest: int, facts: Mapping[str, Any]) -> np.ndarray:
        """1 for each request whose outcome is at least `lowest`, else 0; only for one error, where the facts of an
        incident name one. In these facts, an error without an exception has the feature as its place."""
        flags = self.status >= lowest
        if "place" in facts:
            kind, where = facts["kind"], facts["place"]
            same = [what == kind and (line or where) == where for what, line in self.failures]
            flags &= np.array([*same, False])[self.failure]
            if not any(line == where for _, line in self.failures):
                flags &= np.array([feature == where for _, _, feature in self.routes], dtype=bool)[self.route]
        return flags.astype(np.int8)

    def only(self, rows: np.ndarray) -> Sample:
        """The sample with only these rows, given as indices or flags."""
        return Sample(
            self.at_us[rows], self.user[rows], self.route[rows], self.source[rows], self.status[rows],
            self.duration_us[rows], self.failure[rows], self.weight[rows],
            self.users, self.routes, self.sources, self.failures,
        )  # fmt: skip


NO_SAMPLE = Sample.of((), 2)
"""No requests."""


def place(kind: str, location: str) -> Place:
    """The kind of a failure, and the innermost line of its location."""
    return kind, location.rsplit("\n", 1)[-1]
