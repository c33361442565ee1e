"""`new_error`: a type of error, at a place in the code, that was never seen before."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from guardian.alerting.columns import Counts, lowest_bad
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import Kind, any_requests, counted, no_feature, since_it_began, whichever
from guardian.alerting.minutes import Calm, Minutes
from guardian.alerting.turning import Onset, first_request
from guardian.alerting.verdicts import DAY, Since, State, Verdict, enough_users
from guardian.core.counting import distinct
from guardian.core.language import Language
from guardian.settings.kinds import KindSettings

if TYPE_CHECKING:
    from pydantic import Field

    from guardian.alerting.incidents import Incident
    from guardian.settings.quantities import Duration, Window, between
    from guardian.settings.rules import GroupInterval

NEW_FOR = DAY
"""How many seconds an error counts as new after its first sighting."""


class NewError(KindSettings):
    """A type of error, at a place in the code, never seen before; judged once there is `warmup` of history to compare
    with."""

    kind: Literal["new_error"] = "new_error"
    group_interval: GroupInterval = 600
    window: Window = 600
    warmup: Annotated[Duration, between("0", "90d")] = 86400
    min_requests: Annotated[int, Field(ge=1)] = 1
    count: Literal["all", "server"] = "server"

    def needs_back(self) -> tuple[int, str]:
        """See RuleBase."""
        return max((self.window, "window"), (self.warmup, "warmup"))


def _judge(rule: NewError, snapshot: Snapshot, since: Since) -> list[Verdict]:
    """An error that is no longer new opens nothing, but while it keeps coming its verdict is "no data": the incident
    must not end."""
    if not snapshot.covers(rule.warmup):
        return []
    first_seen, verdicts = snapshot.history.first_seen, []
    warm_us = (snapshot.history.first_event_us or 0) + rule.warmup * 1_000_000
    new_us = max(warm_us, snapshot.now_us - max(NEW_FOR, rule.window) * 1_000_000)
    for kind, place in snapshot.failures(rule.window):
        subject = f"{kind} at {place}"
        counts = snapshot.failure_counts(rule.window, (kind, place), since_us=since.get(subject, 0))
        bad = counts.bad(rule.count)
        if not bad:
            continue
        state: State = "no_data"
        if first_seen.get((kind, place), 0) >= new_us and bad >= rule.min_requests:
            met = {"since_us": since.get(subject, 0), "failed": True, "count": rule.count, "failure": (kind, place)}
            state = "firing" if enough_users(rule, snapshot, rule.window, "", **met) else "ok"
        facts = {"kind": kind, "place": place}
        verdicts.append(Verdict(rule.name, subject, state, float(counts.requests), counts, facts))
    return verdicts


def _calm(rule: NewError, minutes: Minutes) -> Calm:
    """It can only fire while an occurrence of a new error lies in the window."""
    history = minutes.history
    columns, first_seen = history.columns, history.first_seen
    warm_us = (history.first_event_us or 0) + rule.warmup * 1_000_000
    seen_us = np.array([first_seen.get(what, 0) for what in columns.failures], dtype=np.int64)
    new_until_us = np.where(seen_us >= warm_us, seen_us + max(NEW_FOR, rule.window) * 1_000_000, -1)
    rows = history.stretches.failed.every
    rows = rows[columns.status[rows] >= lowest_bad(rule.count)]
    at_us, until_us = columns.at_us[rows], new_until_us[columns.failure[rows]]
    return Calm.within(minutes, at_us, np.minimum(at_us + rule.window * 1_000_000, until_us))


def _words(rule: NewError, lang: Language) -> str:
    return lang("A type of error, at a place in the code, that has never been seen before.")


def _least_requests(n: int, lang: Language) -> str:
    return lang.plural("Once it came at least %(n)s time.", "Once it came at least %(n)s times.", n)


def _title(rule: NewError, subject: str, lang: Language) -> str:
    return lang("New error: %(error)s", error=subject)


def _sentence(rule: NewError, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang.plural(
        "Seen for the first time, once so far.",
        "Seen for the first time, %(n)s times so far.",
        counts.requests,
    )


def _at_worst(rule: NewError, incident: Incident, peak: float, lang: Language) -> str:
    return lang("It had never been seen before.")


def _users(rule: NewError, incident: Incident, snapshot: Snapshot, seconds: int) -> Set[str]:
    """The users who met this error."""
    what = (incident.facts["kind"], incident.facts["place"]) if "place" in incident.facts else None
    which: dict[str, Any] = {"since_us": incident.judged_from_us, "failed": True, "count": counted(rule)}
    return snapshot.users(seconds, failure=what, **which)


def _features(rule: NewError, incident: Incident, snapshot: Snapshot, seconds: int) -> dict[str, Counts]:
    """Where this error occurred; other failures there are not counted."""
    columns, history = snapshot.history.columns, snapshot.history
    what, found = (incident.facts.get("kind", ""), incident.facts.get("place", "")), dict[str, Counts]()
    if what not in columns.failures:
        return found
    start_us = snapshot.now_us - seconds * 1_000_000
    rows = np.arange(len(columns))[history.rows(start_us, snapshot.now_us)]
    rows = rows[columns.failure[rows] == columns.failures.index(what)]
    for code in distinct(columns.feature[rows]).tolist():
        status = columns.status[rows[columns.feature[rows] == code]]
        requests = snapshot.counts(seconds, columns.features[code]).requests
        found[columns.features[code]] = Counts(requests, int((status >= 400).sum()), int((status >= 500).sum()))
    return found


def _measured(rule: NewError, incident: Incident, snapshot: Snapshot, seconds: int) -> Counts:
    """How often it occurred in all, not only in the window."""
    what = (incident.facts.get("kind", ""), incident.facts.get("place", ""))
    return snapshot.failure_counts(seconds, what, since_us=incident.judged_from_us)


def _onset(rule: NewError, incident: Incident, snapshot: Snapshot, start_us: int) -> Onset | None:
    """When it first occurred."""
    found = snapshot.failure_times(start_us, (incident.facts.get("kind", ""), incident.facts.get("place", "")))
    return Onset(int(found[0])) if len(found) else None


def _recovery(rule: NewError, incident: Incident, snapshot: Snapshot, start_us: int) -> int | None:
    """The first good request after it last occurred; the last occurrence where there was none."""
    found = snapshot.failure_times(start_us, (incident.facts.get("kind", ""), incident.facts.get("place", "")))
    if not len(found):
        return None
    return first_request(snapshot, None, int(found[-1]) + 1, good=True) or int(found[-1])


def _gist(rule: NewError, incident: Incident, lang: Language) -> str:
    if rule.min_requests > 1:
        times = {"n": lang.number(rule.min_requests), "span": lang.lately(rule.window)}
        return lang("an error never seen before, at least %(n)s times in %(span)s", **times)
    return lang("an error never seen before")


def _reading(rule: NewError, incident: Incident, counts: Counts | None, lang: Language) -> str:
    return "" if counts is None else lang("%(n)s so far", n=lang.number(counts.requests))


NEW_ERROR = Kind(
    NewError,
    _judge,
    _words,
    _title,
    _sentence,
    _at_worst,
    gist=_gist,
    calm=_calm,
    reading=_reading,
    least_requests=_least_requests,
    fewest=1,
    feature=no_feature,
    users=_users,
    features=_features,
    measured=_measured,
    watches=whichever,
    fresh=any_requests,
    onset=_onset,
    recovery=_recovery,
    span=since_it_began,
    keeps_good=False,
)
"""See the module."""
