"""`tracker_silent`: neither a request nor a heartbeat from the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from guardian.alerting.columns import MINUTE_US, Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import Kind, always, no_feature, now, nowhere
from guardian.alerting.minutes import Calm, Minutes, Said
from guardian.alerting.turning import Onset, first_request, last_request
from guardian.alerting.verdicts import DAY, Since, State, Verdict, enough_users
from guardian.core.language import Language, marked
from guardian.settings.kinds import KindSettings, Severity

if TYPE_CHECKING:
    from pydantic import Field

    from guardian.alerting.incidents import Incident
    from guardian.settings.quantities import Window


class TrackerSilent(KindSettings):
    """Neither an event nor a heartbeat came from the host app for `window`."""

    kind: Literal["tracker_silent"] = "tracker_silent"
    window: Window = 600
    min_requests: Annotated[int, Field(ge=0)] = 0
    severity: Severity = "critical"

    def needs_back(self) -> tuple[int, str]:
        """See RuleBase: a day, since the app must have been in use before."""
        return DAY + self.window if self.min_requests or self.min_users else 0, "min_requests"


def _judge(rule: TrackerSilent, snapshot: Snapshot, since: Since) -> list[Verdict]:
    history = snapshot.history
    if history.alive_us is None or history.first_event_us is None:
        return [Verdict(rule.name, "", "no_data")]
    counts = snapshot.counts(rule.window)
    start = snapshot.now_us - rule.window * 1_000_000
    # Only the latest heartbeat of each recorder is known, so a recorder whose heartbeat is later may have lived in this
    # minute too. Heartbeats of a clock that ran ahead were left out before.
    alive = counts.requests > 0 or any(start <= at for at in history.alive_us)
    waited = max(history.first_event_us, since.get("", 0)) <= start
    used = snapshot.counts(DAY, back=rule.window).requests >= rule.min_requests
    used = used and enough_users(rule, snapshot, DAY, "", back=rule.window)
    state: State = "ok" if alive else "firing" if waited and used else "no_data"
    return [Verdict(rule.name, "", state, None, counts)]


def _calm(rule: TrackerSilent, minutes: Minutes) -> Calm:
    alive_us = minutes.history.alive_us
    if alive_us is None or minutes.history.first_event_us is None:
        return Calm.of(minutes, [])
    start_us = minutes.minute * MINUTE_US - rule.window * 1_000_000
    alive = (minutes.counts(rule.window).requests > 0) | (start_us <= max(alive_us, default=-1))
    return Calm.of(minutes, [Said("", ~alive, alive)])


def _words(rule: TrackerSilent, lang: Language) -> str:
    return lang("Neither a request nor a sign of life of the app for %(time)s.", time=lang.duration(rule.window))


def _least_requests(n: int, lang: Language) -> str:
    return lang.plural("After a day with at least %(n)s request.", "After a day with at least %(n)s requests.", n)


def _least_users(n: int, lang: Language) -> str:
    return lang.plural("After a day with at least %(n)s user.", "After a day with at least %(n)s users.", n)


def _title(rule: TrackerSilent, subject: str, lang: Language) -> str:
    return lang("The app has fallen silent")


def _sentence(rule: TrackerSilent, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang(
        "Neither a request nor a sign of life for %(time)s: the app is down, or tracks into another database.",
        time=lang.duration(rule.window),
    )


def _at_worst(rule: TrackerSilent, incident: Incident, peak: float, lang: Language) -> str:
    return lang("There was neither a request nor a sign of life.")


def _onset(rule: TrackerSilent, incident: Incident, snapshot: Snapshot, start_us: int) -> Onset | None:
    """The last sign of life."""
    signs = [at for at in snapshot.history.alive_us or () if at < snapshot.now_us]
    last = max([*signs[-1:], *filter(None, [last_request(snapshot, None)])], default=None)
    return None if last is None else Onset(last, last)


def _recovery(rule: TrackerSilent, incident: Incident, snapshot: Snapshot, start_us: int) -> int | None:
    """The first sign of life since it last fired."""
    after_us = max(start_us, incident.fired_us - rule.window * 1_000_000) + 1
    signs = [at for at in snapshot.history.alive_us or () if after_us <= at < snapshot.now_us]
    return min([*signs[:1], *filter(None, [first_request(snapshot, None, after_us)])], default=None)


def _gist(rule: TrackerSilent, incident: Incident, lang: Language) -> str:
    return lang("neither a request nor a sign of life for %(time)s", time=lang.duration(rule.window))


def _reading(rule: TrackerSilent, incident: Incident, counts: Counts | None, lang: Language) -> str:
    if counts is None or incident.onset_us is None:
        return ""
    return now(lang.duration((incident.fired_us - incident.onset_us) // 1_000_000), lang)


TRACKER_SILENT = Kind(
    TrackerSilent,
    _judge,
    _words,
    _title,
    _sentence,
    _at_worst,
    gist=_gist,
    calm=_calm,
    reading=_reading,
    least_requests=_least_requests,
    least_users=_least_users,
    counts_back=lambda rule: DAY + rule.window,
    singles_back=lambda rule: DAY + rule.window if rule.min_users else 0,
    feature=no_feature,
    features=nowhere,
    fresh=always,
    onset=_onset,
    recovery=_recovery,
    bad=None,
    says_users=False,
    unseen=lambda rule: marked("heartbeats of the past are not recorded"),
)
"""See the module."""
