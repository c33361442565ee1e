"""What a report holds. Pure values: times are aware, names are those of the JSON (docs/architecture.md).

Rows of which a report has thousands are named tuples, which are made several times faster than frozen dataclasses.
A default is what an older report has, or one of nothing but the fixed keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from guardian.core.summary import TimelineBar

if TYPE_CHECKING:
    from guardian.core.cause import MovedCause
    from guardian.core.releases import Release
    from guardian.core.turnover import Turnover

Statuses = Mapping[str, int]
"""How many requests failed, by the status that the client met; "200" are those that the app noted as failed."""


class FailedRequest(NamedTuple):
    """One request that failed, and why. `failed` says that the app noted it as failed, which `code` does not show."""

    endpoint: str
    error: str
    timestamp: datetime
    code: int
    failed: bool = False


class Step(NamedTuple):
    """One thing that somebody did. `failed` as in `FailedRequest`; `timestamp` is None where it is not known."""

    feature: str
    code: int
    failed: bool = False
    timestamp: datetime | None = None


class UserRow(NamedTuple):
    """One user's part. `features_used` begins with the most used, `errors` holds the newest errors, oldest first."""

    email: str
    total_time_minutes: int
    features_used: tuple[str, ...]
    requests_count: int
    errors_count: int
    errors: tuple[FailedRequest, ...] = ()


@dataclass(frozen=True, slots=True)
class FeatureCount:
    """How many requests a feature had."""

    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Quantiles in milliseconds; None without any request that has a latency."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature's part, with its errors' `statuses`. `failed_users`, verified ones, met any; None: not known."""

    name: str
    requests: int
    errors: int
    server_errors: int = 0
    error_rate: float = 0.0
    statuses: Statuses = field(default_factory=dict)
    failed_users: int | None = None
    latency_ms: Quantiles = Quantiles()


@dataclass(frozen=True, slots=True)
class FeatureBefore:
    """A feature's part of the period before."""

    name: str
    requests: int
    errors: int


@dataclass(frozen=True, slots=True)
class Previous:
    """The period before, which ended where the report's begins. None: not known; no JSON has `p95_ms`."""

    active_users: int | None
    total_requests: int
    total_errors: int
    period_start: datetime | None = None
    period_end: datetime | None = None
    error_breakdown: Statuses = field(default_factory=dict)
    top_features: tuple[FeatureCount, ...] = ()
    features: tuple[FeatureBefore, ...] = ()
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the report is compared with: "before" is its `previous`; "weekday" is `period`, the same weekday a week
    before; "nothing": no such period was recorded in full.

    Recording began, or retention has left something, at `recorded_since` (None: nothing was ever recorded).
    `usual_server_rate` is the median rate of server errors of the last eight such periods; None where fewer than three
    of them are known, or where it was not looked up, because hardly anything failed.
    """

    kind: Literal["before", "weekday", "nothing"]
    period: Previous | None = None
    recorded_since: datetime | None = None
    usual_server_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fired: an incident of it was open within the period."""

    rule: str
    severity: str


@dataclass(frozen=True, slots=True)
class Anonymous:
    """The requests of which nobody knows who made them."""

    requests_count: int = 0
    errors_count: int = 0


@dataclass(frozen=True, slots=True)
class Helped:
    """Somebody who needs help, and what they did last, up to their newest error."""

    email: str
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class GoneQuiet:
    """A regular user who has not come back after an error. `requests_count` is of the time looked back on."""

    email: str
    last_seen: datetime
    requests_count: int
    error: FailedRequest


@dataclass(frozen=True, slots=True)
class NoteRow:
    """What Guardian noticed, in English: see `guardian.core.notes.Note`. `detail` None: there is no such thing."""

    kind: str
    count: int
    detail: str | None
    text: str
    cure: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The privacy receipt: what is stored, and whether the tracker lives. None: not known, or there is none."""

    stored: tuple[str, ...] = ()
    events: int | None = None
    users: int | None = None
    oldest: datetime | None = None
    size_bytes: int | None = None
    purged_events: int | None = None
    totals_since: datetime | None = None
    dropped_events: int = 0
    last_heartbeat: datetime | None = None


@dataclass(frozen=True, slots=True)
class RecorderRow:
    """One writing process of the last 7 days; `accepted` = `stored` + `dropped` + `queued`."""

    id: str
    seen_at: datetime
    accepted: int
    stored: int
    dropped: int
    queued: int


@dataclass(frozen=True, slots=True)
class Report:
    """A report on [`period_start`, `period_end`).

    `status` is OK, WARNING or CRITICAL, "" where the report does not say; `previous` is None where the period before
    is no longer stored. A report on some features only has their patterns in `only_features`. `comparison` is None in
    an older report, which was compared with `previous`; `fired` has the rules that fired, None where nobody asked.
    `users_left_out` counts the people that `users` does not name. `turnover` is None where it was not looked for: in a
    short window, or an app too young; `releases` where nobody knows of any. `causes` are those of what moved.
    """

    period_start: datetime
    period_end: datetime
    active_users: int
    total_requests: int
    total_errors: int
    users: Sequence[UserRow]
    top_features: tuple[FeatureCount, ...]
    error_breakdown: Statuses
    status: str = ""
    status_reason: str = ""
    notes: tuple[NoteRow, ...] = ()
    previous: Previous | None = None
    anonymous: Anonymous = Anonymous()
    latency_ms: Quantiles = Quantiles()
    features: tuple[Feature, ...] = ()
    help: tuple[Helped, ...] = ()
    gone_quiet: tuple[GoneQuiet, ...] = ()
    timeline: tuple[TimelineBar, ...] = ()
    privacy: Receipt = Receipt()
    recorders: tuple[RecorderRow, ...] = ()
    generated_at: datetime | None = None
    only_features: tuple[str, ...] = ()
    comparison: Comparison | None = None
    fired: tuple[Fired, ...] | None = None
    users_left_out: int = 0
    turnover: Turnover | None = None
    releases: tuple[Release, ...] | None = None
    causes: tuple[MovedCause, ...] = ()

    @property
    def baseline(self) -> Previous | None:
        """The period that this one is compared with; None where there is none that was recorded in full."""
        if self.comparison is None or self.comparison.kind == "before":
            return self.previous
        return self.comparison.period

    @property
    def server_errors(self) -> int:
        """How many requests hit a server error."""
        if self.features:
            return sum(feature.server_errors for feature in self.features)
        return sum(count for code, count in self.error_breakdown.items() if int(code) >= 500)
