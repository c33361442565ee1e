"""`user_burst`: one user who hits several errors within a short time."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from guardian.alerting.columns import MINUTE_US, NOTHING, Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import Kind, any_requests, no_feature, since_it_began, whichever
from guardian.alerting.minutes import Calm, Minutes
from guardian.alerting.turning import Onset
from guardian.alerting.verdicts import Since, State, Verdict
from guardian.core.language import Language
from guardian.settings.kinds import KindSettings

if TYPE_CHECKING:
    from pydantic import Field

    from guardian.alerting.incidents import Incident
    from guardian.settings.quantities import Duration, between
    from guardian.settings.rules import GroupInterval


_FIRST_LOOK = 10_000
"""How many requests, of all users, are searched first for a user's next one."""


class UserBurst(KindSettings):
    """One user met `errors` or more errors within `window` (sliding, both ends inclusive)."""

    kind: Literal["user_burst"] = "user_burst"
    min_requests: Annotated[int, Field(ge=0)] = 0
    group_interval: GroupInterval = 600
    errors: Annotated[int, Field(ge=2)] = 5
    window: Annotated[Duration, between("1s", "7d")] = 600


def _judge(rule: UserBurst, snapshot: Snapshot, since: Since) -> list[Verdict]:
    seen = _seen(rule)
    found = snapshot.bursts(rule.errors, rule.window, seen)
    found = {user: span for user, span in found.items() if span[0] >= since.get(user, 0)}
    active = {user for user in found if not rule.min_requests or len(snapshot.rows_of(user, seen)) >= rule.min_requests}
    state: State = "firing" if len(active) >= rule.min_users else "ok"
    verdicts = []
    for user, (onset_us, ended_us) in found.items():
        facts = {"onset_us": onset_us, "ended_us": ended_us}
        said = state if user in active else "no_data"
        verdicts.append(Verdict(rule.name, user, said, float(rule.errors), facts=facts))
    return verdicts


def _seen(rule: UserBurst) -> int:
    """For how many seconds a complete burst fires: at least a minute, so that none is missed between two judgements."""
    return max(rule.window, 60)


def _calm(rule: UserBurst, minutes: Minutes) -> Calm:
    ended_us = minutes.history.stretches.every_burst(rule.errors, rule.window * 1_000_000)
    return Calm.within(minutes, ended_us, ended_us + _seen(rule) * 1_000_000)


def _words(rule: UserBurst, lang: Language) -> str:
    return lang("One user hits %(n)s or more errors within %(time)s.", n=rule.errors, time=lang.duration(rule.window))


def _least_requests(n: int, lang: Language) -> str:
    return lang.plural("Once they have made at least %(n)s request.", "Once they have made at least %(n)s requests.", n)


def _title(rule: UserBurst, subject: str, lang: Language) -> str:
    return lang("%(user)s keeps hitting errors", user=subject)


def _sentence(rule: UserBurst, incident: Incident, counts: Counts, lang: Language) -> str:
    minutes = -(-(incident.fired_us - incident.first_us) // MINUTE_US)
    span = lang.lately(60 * max(minutes, 1))
    return lang.plural(
        "They hit one error in %(span)s.", "They hit %(n)s errors in %(span)s.", counts.failed, span=span
    )


def _at_worst(rule: UserBurst, incident: Incident, peak: float, lang: Language) -> str:
    return lang("They hit %(n)s or more errors within %(time)s.", n=rule.errors, time=lang.duration(rule.window))


def _user(rule: UserBurst, incident: Incident, snapshot: Snapshot, seconds: int) -> Set[str]:
    return {incident.subject}


def _features(rule: UserBurst, incident: Incident, snapshot: Snapshot, seconds: int) -> Mapping[str, Counts]:
    """The user's own requests, feature by feature."""
    columns, found = snapshot.history.columns, dict[str, Counts]()
    rows = snapshot.rows_of(incident.subject, seconds)
    for code, status in zip(columns.feature[rows], columns.status[rows], strict=True):
        name, old = columns.features[code], found.get(columns.features[code], NOTHING)
        found[name] = Counts(old.requests + 1, old.failed + int(status >= 400), old.server + int(status >= 500))
    return found


def _onset(rule: UserBurst, incident: Incident, snapshot: Snapshot, start_us: int) -> Onset | None:
    """The user's first error in the window that ended with the burst."""
    ended_us = incident.facts.get("ended_us", snapshot.now_us)
    rows = snapshot.rows_of(incident.subject, 2 * max(rule.window, 60), failed=True)
    at_us = snapshot.history.columns.at_us[rows]
    found = at_us[at_us >= max(start_us, ended_us - rule.window * 1_000_000)]
    return Onset(int(found[0])) if len(found) else None


def _recovery(rule: UserBurst, incident: Incident, snapshot: Snapshot, start_us: int) -> int | None:
    """The user's first request after their last error; that error where they made none."""
    columns, seconds = snapshot.history.columns, max(0, snapshot.now_us - start_us) // 1_000_000 + 1
    failed = snapshot.rows_of(incident.subject, seconds, failed=True)
    if not len(failed):
        return None
    last = int(failed[-1])
    row, end, size = last + 1, int(np.searchsorted(columns.at_us, snapshot.now_us)), _FIRST_LOOK
    while row < end:  # it is usually near, so the search widens step by step
        found = np.flatnonzero(columns.user[row : min(row + size, end)] == columns.user[last])
        if len(found):
            return int(columns.at_us[row + int(found[0])])
        row, size = row + size, 2 * size
    return int(columns.at_us[last])


def _gist(rule: UserBurst, incident: Incident, lang: Language) -> str:
    time = lang.duration(rule.window)
    return lang("%(n)s or more errors of one user within %(time)s", n=lang.number(rule.errors), time=time)


def _reading(rule: UserBurst, incident: Incident, counts: Counts | None, lang: Language) -> str:
    return "" if counts is None else lang("%(n)s so far", n=lang.number(counts.failed))


def _measured(rule: UserBurst, incident: Incident, snapshot: Snapshot, seconds: int) -> Counts:
    """All of the user's own requests."""
    found = _features(rule, incident, snapshot, seconds).values()
    return Counts(*(sum(each[column] for each in found) for column in range(3)))


USER_BURST = Kind(
    UserBurst,
    _judge,
    _words,
    _title,
    _sentence,
    _at_worst,
    gist=_gist,
    calm=_calm,
    reading=_reading,
    least_requests=_least_requests,
    feature=no_feature,
    users=_user,
    features=_features,
    measured=_measured,
    span=since_it_began,
    looks_back=lambda rule: rule.window + 60,
    watches=whichever,
    fresh=any_requests,
    onset=_onset,
    recovery=_recovery,
    keeps_good=False,
    of_one_user=True,
    says_users=False,
)
"""See the module."""
