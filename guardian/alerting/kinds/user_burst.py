"""`user_burst`: one user who hits several errors within a short time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from guardian.alerting.bursts import Bursts
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

MOST = 100
"""Of how many people at once each has an incident: more than anybody reads, and as many as a minute has time for."""
_FIRST_LOOK = 10_000
"""How many requests, of all users, are searched first for a user's next one."""


class UserBurst(KindSettings):
    """One user met `errors` or more errors within `window` (sliding, both ends inclusive)."""

    kind: Literal["user_burst"] = "user_burst"
    min_requests: Annotated[int, Field(ge=0)] = 0
    group_interval: GroupInterval = 600
    errors: Annotated[int, Field(ge=2)] = 5
    window: Annotated[Duration, between("1s", "7d")] = 600


def _judge(rule: UserBurst, snapshot: Snapshot, since: Since, going_on: Collection[str]) -> list[Verdict]:
    """Those who have an incident are judged first, then others in the order of their bursts, `MOST` at once."""
    seen = _seen(rule)
    found = snapshot.bursts(rule.errors, rule.window, seen)
    if not len(found):
        return []
    counting = found.began_us >= _since_each(found, snapshot, since)
    found = found.only(counting) if not np.all(counting) else found
    active = np.ones(len(found), dtype=bool)
    if rule.min_requests:
        rows = snapshot.history.rows(snapshot.start_us(seen), snapshot.now_us)
        made = np.bincount(snapshot.history.columns.user[rows], minlength=len(found.names))
        active = made[found.user] >= rule.min_requests
    firing = int(np.count_nonzero(active)) >= rule.min_users
    known = np.isin(found.user, [snapshot.history.stretches.people.place(name) for name in going_on])
    others = np.flatnonzero(~known)
    others = np.concatenate((others[active[others]], others[~active[others]]))[: max(0, MOST - len(going_on))]
    judged = np.sort(np.concatenate((np.flatnonzero(known), others)))
    left_out = int(np.count_nonzero(active)) - int(np.count_nonzero(active[judged])) if firing else 0
    more = {"left_out": left_out} if left_out else {}
    verdicts = []
    for (user, onset_us, ended_us), is_active in zip(found.only(judged), active[judged].tolist(), strict=True):
        state: State = "no_data" if not is_active else "firing" if firing else "ok"
        facts = {"onset_us": onset_us, "ended_us": ended_us, **more}
        verdicts.append(Verdict(rule.name, user, state, float(rule.errors), facts=facts))
    return verdicts


def _since_each(found: Bursts, snapshot: Snapshot, since: Since) -> np.ndarray:
    """For each of these bursts the moment (µs) before which nothing of its user counts."""
    since_us = np.full(len(found), since.get("", 0), dtype=np.int64)
    for name in since:
        since_us[found.user == snapshot.history.stretches.people.place(name)] = since.get(name, 0)
    return since_us


def _seen(rule: UserBurst) -> int:
    """For how many seconds a complete burst fires: at least a minute, so that none is missed between two judgements."""
    return max(rule.window, 60)


def _calm(rule: UserBurst, minutes: Minutes) -> Calm:
    ended_us = minutes.history.stretches.searched.every(rule.errors, rule.window * 1_000_000).ended_us
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
    said = lang.plural(
        "They hit one error in %(span)s.", "They hit %(n)s errors in %(span)s.", counts.failed, span=span
    )
    return _and_others(said, incident, lang)


def _at_worst(rule: UserBurst, incident: Incident, peak: float, lang: Language) -> str:
    said = lang("They hit %(n)s or more errors within %(time)s.", n=rule.errors, time=lang.duration(rule.window))
    return _and_others(said, incident, lang)


def _and_others(said: str, incident: Incident, lang: Language) -> str:
    """The sentence, and another one where there were too many people to follow each of them."""
    if not (left_out := incident.facts.get("left_out", 0)):
        return said
    others = lang.plural(
        "So did one more at that time, whom no alert follows.",
        "So did %(n)s more at that time, whom no alert follows.",
        left_out,
    )
    return f"{said} {others}"


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
    from_us = max(start_us, ended_us - rule.window * 1_000_000)
    span, window_us = (from_us, snapshot.now_us), rule.window * 1_000_000
    found = snapshot.history.stretches.searched.errors_of(incident.subject, *span, rule.errors, window_us)
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
    chooses=True,
    says_users=False,
)
"""See the module."""
