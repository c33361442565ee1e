"""The rules as they stand in the file: one pydantic model a kind, each key checked at load."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from guardian.settings.section import Section
from guardian.settings.values import Addresses, AskedUrl, ClockRange, Duration, Share, Window, between

Severity = Literal["info", "warning", "critical"]
Lasting = Annotated[Duration, between("0", "31d")]
GroupInterval = Annotated[Duration, between("0", "1d")]


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    lower = [name.lower() for name in names]
    for place, name in enumerate(names):
        if lower.index(name.lower()) < place:
            raise ValueError(f"{json.dumps(name)} is there twice: write it once")
    return names


class RuleBase(Section):
    """What every rule has. `for` is how long it must hold before anybody hears of it; `resolve_after` how long it
    must be well again; `repeat` how often an open, unacknowledged incident is said again (0: never). What opens within
    `group_interval` of the rule's last opening that was told waits for the end of it, and comes in one message."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False)

    name: str = ""
    enabled: bool = True
    for_: Lasting = Field(default=0, alias="for")
    resolve_after: Lasting = 300
    repeat: Lasting = 4 * 3600
    group_interval: GroupInterval = 0
    severity: Severity = "warning"
    min_requests: int = Field(default=20, ge=0)
    min_users: int = Field(default=0, ge=0)
    quiet_hours: ClockRange | None = None
    channels: Annotated[tuple[str, ...], AfterValidator(_each_once)] = ("mail",)
    recipients: Annotated[Addresses, AfterValidator(_each_once)] = ()

    @field_validator("channels")
    @classmethod
    def _heard(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        if not channels:
            raise ValueError("the list is empty and nobody would hear: name mail or another channel, "
                             "or set enabled = false")  # fmt: skip
        return channels

    @model_validator(mode="after")
    def _recipients_hear(self) -> Self:
        if self.recipients and "mail" not in self.channels:
            raise ValueError("recipients get mail, which channels leaves out: add mail to channels, "
                             "or take recipients away")  # fmt: skip
        return self


class ErrorRate(RuleBase):
    """Share of failed requests over a window above `threshold`; `feature` judges one, or each of a pattern."""

    kind: Literal["error_rate"] = "error_rate"
    threshold: Share = 0.10
    window: Window = 3600
    count: Literal["all", "server"] = "all"
    feature: str | None = None

    @field_validator("threshold")
    @classmethod
    def _can_be_exceeded(cls, threshold: float) -> float:
        if threshold >= 1:
            raise ValueError("more than 100% is never reached: write a smaller share, such as 10%")
        return threshold


class Probe(Section):
    """An active check: GET `url` every minute must answer `status` in `timeout`; `failures` in a row are an outage."""

    url: AskedUrl
    status: int = Field(default=200, ge=100, le=599)
    timeout: Annotated[Duration, between("1s", "1m")] = 10
    failures: int = Field(default=3, ge=1, le=100)


class FeatureDown(RuleBase):
    """Every request to a critical feature failed; or its probe failed; or it is silent where it is normally busy.

    `features` empty means the setting `critical_features`. `silence` is how long the feature must have been silent
    where each of at least two earlier weeks had `silence_requests` or more in the same span (0: never judged).
    """

    kind: Literal["feature_down"] = "feature_down"
    features: tuple[str, ...] = ()
    window: Window = 600
    min_requests: int = Field(default=5, ge=1)
    min_users: int = Field(default=2, ge=0)
    count: Literal["all", "server"] = "all"
    silence: Annotated[Duration, between("0", "7d", whole_minutes=True)] = 3600
    silence_requests: int = Field(default=20, ge=1)
    probe: Probe | None = None
    severity: Severity = "critical"


class UserBurst(RuleBase):
    """One user met `errors` or more errors within `window` (sliding, both ends inclusive)."""

    kind: Literal["user_burst"] = "user_burst"
    min_requests: int = Field(default=0, ge=0)
    group_interval: GroupInterval = 600
    errors: int = Field(default=5, ge=2)
    window: Annotated[Duration, between("1s", "7d")] = 600


class Latency(RuleBase):
    """A quantile of the durations of a feature's good requests above `threshold_ms`."""

    kind: Literal["latency"] = "latency"
    group_interval: GroupInterval = 600
    feature: str = "*"
    quantile: float = Field(default=0.95, gt=0, lt=1)
    threshold_ms: float = Field(default=2000, gt=0)
    window: Window = 900


class Traffic(RuleBase):
    """Requests of the last hour against the median of the same hour of the four weeks before."""

    window: Window = 3600
    weeks: int = Field(default=4, ge=2, le=8)
    min_weeks: int = Field(default=2, ge=1)
    feature: str | None = None

    @model_validator(mode="after")
    def _enough_weeks(self) -> Self:
        if self.min_weeks > self.weeks:
            fit = f"make it {self.weeks} or less"
            raise ValueError(f"min_weeks = {self.min_weeks} is more than weeks = {self.weeks}: {fit}")
        return self


class TrafficDrop(Traffic):
    """Fewer requests than `below` × the usual number, where at least `min_requests` are usual."""

    kind: Literal["traffic_drop"] = "traffic_drop"
    below: Share = 0.3

    @field_validator("below")
    @classmethod
    def _can_be_missed(cls, below: float) -> float:
        if not below:
            raise ValueError("fewer than 0% is never reached: write a larger share, such as 30%")
        return below


class TrafficSpike(Traffic):
    """More requests than `above` × the usual number, and at least `min_requests`."""

    kind: Literal["traffic_spike"] = "traffic_spike"
    above: float = Field(default=3.0, gt=1)


class NewError(RuleBase):
    """A kind of error at a place of the code never seen before, once `warmup` of history is there to compare with."""

    kind: Literal["new_error"] = "new_error"
    group_interval: GroupInterval = 600
    window: Window = 600
    warmup: Annotated[Duration, between("0", "90d")] = 86400
    min_requests: int = Field(default=1, ge=1)
    count: Literal["all", "server"] = "server"


class TrackerSilent(RuleBase):
    """Neither an event nor a heartbeat came from the host app for `window`."""

    kind: Literal["tracker_silent"] = "tracker_silent"
    window: Window = 600
    min_requests: int = Field(default=0, ge=0)
    severity: Severity = "critical"


class BurnRate(RuleBase):
    """The error budget of `objective` burns too fast, in a long and a short window at once.

    The three pairs (1 h and 5 min at 14.4, 6 h and 30 min at 6, 3 d and 6 h at 1) are those of Google's SRE workbook,
    chapter 5, "Multiwindow, multi-burn-rate alerts", for a budget of 30 days.
    """

    kind: Literal["burn_rate"] = "burn_rate"
    objective: Share = 0.999
    feature: str | None = None
    count: Literal["all", "server"] = "server"
    severity: Severity = "critical"

    @field_validator("objective")
    @classmethod
    def _has_a_budget(cls, objective: float) -> float:
        if objective >= 1:
            raise ValueError("100% leaves no error budget to burn: write a smaller share, such as 99.9%")
        if not objective:
            raise ValueError("0% is always met: write a larger share, such as 99.9%")
        return objective


Rule = ErrorRate | FeatureDown | UserBurst | Latency | TrafficDrop | TrafficSpike | NewError | TrackerSilent | BurnRate
KINDS: dict[str, type[RuleBase]] = {model.model_fields["kind"].default: model for model in get_args(Rule)}
"""Each kind of rule and its model."""
AnyRule = Annotated[Rule, Field(discriminator="kind")]
"""A rule of whichever kind."""
_ADAPTER: TypeAdapter[Rule] = TypeAdapter(AnyRule)

DEFAULT_RULES: dict[str, dict[str, Any]] = {"error_rate": {}, "feature_down": {}, "user_burst": {}}
"""What is judged when the file has no `[rules]`."""


def named_tables(tables: Any) -> Any:
    """The `[rules.NAME]` tables with `name` and `kind` filled in; the kind may be left out where the name is one."""
    if not isinstance(tables, dict):
        return tables
    return {
        name: {"kind": name, **table, "name": name} if isinstance(table, dict) else table
        for name, table in tables.items()
    }


def parse_rule(name: str, table: dict[str, Any], *, critical_features: tuple[str, ...] = ()) -> Rule:
    """One rule from its table; `critical_features` is what a `feature_down` that names no features watches.

    Raises pydantic.ValidationError, a ValueError.
    """
    return watching(_ADAPTER.validate_python(named_tables({name: table})[name]), critical_features)


def watching(rule: Rule, critical_features: tuple[str, ...]) -> Rule:
    """The rule, with the critical features where it watches features and names none."""
    if getattr(rule, "features", None) == ():
        return rule.model_copy(update={"features": critical_features})
    return rule
