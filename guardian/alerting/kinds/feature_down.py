"""`feature_down`: a critical feature whose every request fails, whose probe fails, or that nobody uses any more."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from guardian.alerting.columns import MINUTE_US, Counts, lowest_bad
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import Kind, counted_s, named, new_requests, now
from guardian.alerting.minutes import Calm, Minutes, Said
from guardian.alerting.probes import answers, state_of
from guardian.alerting.turning import Onset, Series, last_request, requests_between
from guardian.alerting.verdicts import WEEK, Since, State, Verdict, earlier_weeks, enough_users
from guardian.alerting.wanted import Compared
from guardian.core.language import Language, marked
from guardian.core.secret_url import shown_url
from guardian.settings.kinds import KindSettings, Severity

if TYPE_CHECKING:
    from pydantic import Field

    from guardian.alerting.incidents import Incident
    from guardian.settings.quantities import Duration, Window, between
    from guardian.settings.rules import Probe

SILENCE_WEEKS = 4
"""How many earlier weeks a silence is compared with."""
LEAST_WEEKS = 2
"""How many of them must have been busy."""


class FeatureDown(KindSettings):
    """Every request to a critical feature failed; or its probe failed; or it is silent where it is normally busy.

    `features` empty means the setting `critical_features`. `silence` is how long the feature must have had no request,
    in a span in which at least two earlier weeks had `silence_requests` or more each (0: silence is not judged).
    """

    kind: Literal["feature_down"] = "feature_down"
    features: tuple[str, ...] = ()
    window: Window = 600
    min_requests: Annotated[int, Field(ge=1)] = 5
    min_users: Annotated[int, Field(ge=0)] = 2
    count: Literal["all", "server"] = "all"
    silence: Annotated[Duration, between("0", "7d", whole_minutes=True)] = 3600
    silence_requests: Annotated[int, Field(ge=1)] = 20
    probe: Probe | None = None
    severity: Severity = "critical"

    def needs_back(self) -> tuple[int, str]:
        """See RuleBase. A `silence` that nobody set may be cut short by retention: then it is not judged."""
        if self.silence and "silence" in self.model_fields_set:
            return LEAST_WEEKS * WEEK + self.silence, "silence"
        return self.window, "window"


def _judge(rule: FeatureDown, snapshot: Snapshot, since: Since) -> list[Verdict]:
    verdicts = []
    for subject in snapshot.features(rule.features):
        start = since.get(subject, 0)
        counts = snapshot.counts(rule.window, subject, since_us=start)
        bad = counts.bad(rule.count)
        facts: dict[str, Any] = {"why": "failing"}
        if counts.requests and bad < counts.requests:
            state: State = "ok"
        elif counts.requests >= rule.min_requests:
            state = "firing" if enough_users(rule, snapshot, rule.window, subject, since_us=start) else "no_data"
        elif not counts.requests and _silent(rule, snapshot, subject, start, facts):
            state = "firing"
        else:
            state = "no_data"
        rate = bad / counts.requests if counts.requests else None
        verdicts.append(Verdict(rule.name, subject, state, rate, counts, facts))
    if rule.probe:
        verdicts.append(_probed(rule, snapshot, since.get("probe", 0)))
    return verdicts


def _silent(rule: FeatureDown, snapshot: Snapshot, subject: str, since_us: int, facts: dict[str, Any]) -> bool:
    """No request for `silence`, where each of at least two earlier weeks was busy in the same span."""
    cut = not rule.silence or snapshot.begins_inside(rule.silence, since_us)
    if cut or snapshot.counts(rule.silence, subject).requests:
        return False
    usual = earlier_weeks(snapshot, SILENCE_WEEKS, rule.silence, subject)
    facts.update(why="silent", usual=round(median(usual)) if usual else 0)
    return len(usual) >= LEAST_WEEKS and min(usual) >= rule.silence_requests


def _calm(rule: FeatureDown, minutes: Minutes) -> Calm | None:
    if minutes.history.probes.get(rule.name):
        return None
    found = []
    for subject in minutes.features(rule.features):
        counts, silent = minutes.counts(rule.window, subject), minutes.counts(rule.silence, subject).requests == 0
        usual, covered = minutes.earlier_weeks(SILENCE_WEEKS, rule.silence, subject)
        busy = [(week >= covered) | (number >= rule.silence_requests) for week, number in enumerate(usual)]
        silent &= (rule.silence > 0) & (covered >= LEAST_WEEKS) & np.all(busy, axis=0)
        failing = (counts.requests >= rule.min_requests) & (counts.bad(rule.count) == counts.requests)
        may_fire = np.where(counts.requests > 0, failing, silent)
        found.append(Said(subject, may_fire, counts.requests > counts.bad(rule.count)))
    return Calm.of(minutes, found)


def _asked(incident: Incident) -> str:
    """The probe's address without what may be secret; incidents of older versions hold all of it."""
    return shown_url(incident.facts.get("url", ""))


def _probed(rule: FeatureDown, snapshot: Snapshot, since_us: int) -> Verdict:
    assert rule.probe is not None
    state = state_of(answers(rule.name, snapshot, since_us), rule.probe.failures)
    return Verdict(rule.name, "probe", state, None, facts={"why": "probe", "url": str(rule.probe.url)})


def _words(rule: FeatureDown, lang: Language) -> str:
    said = {"features": ", ".join(rule.features) or "–", "time": lang.duration(rule.window)}
    if rule.count == "server":
        words = lang("Every request to %(features)s failed with a server error within %(time)s.", **said)
    else:
        words = lang("Every request to %(features)s failed within %(time)s.", **said)
    if rule.silence:
        silence = {"time": lang.duration(rule.silence), "n": lang.number(rule.silence_requests)}
        words += " " + lang("Or none came for %(time)s, where each earlier week saw %(n)s or more.", **silence)
    if rule.probe:
        times, url = rule.probe.failures, str(rule.probe.url)
        words += " " + lang.plural("Or %(url)s failed.", "Or %(url)s failed %(n)s times in a row.", times, url=url)
    return words


def _title(rule: FeatureDown, subject: str, lang: Language) -> str:
    if subject == "probe":
        return lang("The probe %(rule)s is failing", rule=rule.name)
    return lang("%(feature)s is down", feature=subject)


def _sentence(rule: FeatureDown, incident: Incident, counts: Counts, lang: Language) -> str:
    why = incident.facts.get("why")
    if why == "probe":
        return lang.plural(
            "%(url)s did not answer as it should.",
            "%(url)s did not answer as it should %(n)s times in a row.",
            rule.probe.failures if rule.probe else 0, url=_asked(incident),
        )  # fmt: skip
    if why == "silent":
        return lang("Nobody has used it for %(time)s; about %(usual)s requests are usual at this hour of the week.",
                    time=lang.duration(rule.silence), usual=lang.number(incident.facts.get("usual", 0)))  # fmt: skip
    return lang.plural(
        "The only request in %(span)s failed.",
        "All %(n)s requests in %(span)s failed.",
        counts.requests, span=lang.lately(counted_s(incident, rule.window)),
    )  # fmt: skip


def _at_worst(rule: FeatureDown, incident: Incident, peak: float, lang: Language) -> str:
    why = incident.facts.get("why")
    if why == "probe":
        return lang("%(url)s did not answer as it should.", url=_asked(incident))
    if why == "silent":
        usual = lang.number(incident.facts.get("usual", 0))
        return lang("Nobody used it; about %(usual)s requests are usual.", usual=usual)
    return lang("At worst, every request failed.")


def _watches(rule: FeatureDown, subject: str) -> bool:
    return rule.probe is not None if subject == "probe" else named(rule.features, subject)


def _fresh(rule: FeatureDown, snapshot: Snapshot, subject: str) -> bool:
    """Silence and a probe's answers are verdicts without any request."""
    return (
        subject == "probe"
        or not snapshot.counts(rule.window, subject).requests
        or new_requests(rule, snapshot, subject)
    )


def _onset(rule: FeatureDown, incident: Incident, snapshot: Snapshot, start_us: int) -> Onset | None:
    """The last request before a silence; else the first failed request or probe after the last good one."""
    why = incident.facts.get("why")
    if why == "silent":
        last = last_request(snapshot, incident.subject)
        return None if last is None else Onset(last, last)
    if why == "probe":
        found = answers(rule.name, snapshot, start_us)
        return Series.of([at for at, _ in found], [good for _, good in found]).unbroken()
    rows = snapshot.history.rows(max(start_us, 0), snapshot.now_us, incident.subject)
    columns = snapshot.history.columns
    return Series.of(columns.at_us[rows], columns.status[rows] < lowest_bad(rule.count)).unbroken()


def _recovery(rule: FeatureDown, incident: Incident, snapshot: Snapshot, start_us: int) -> int | None:
    """The first good request, or good answer of the probe, since it last fired."""
    after_us = max(start_us, incident.fired_us - MINUTE_US)
    if incident.subject == "probe":
        return next((at for at, good in answers(rule.name, snapshot, after_us) if good), None)
    found = requests_between(snapshot, after_us, incident.subject, rule.count)
    good = np.flatnonzero(found.good)
    return int(found.at_us[good[0]]) if len(good) else None


def _gist(rule: FeatureDown, incident: Incident, lang: Language) -> str:
    why = incident.facts.get("why")
    if why == "probe":
        failures = rule.probe.failures if rule.probe else 1
        return lang.plural("a probe that fails", "a probe that fails %(n)s times in a row", failures)
    if why == "silent":
        return lang(
            "no request to %(feature)s for %(time)s, where %(n)s or more are usual",
            feature=incident.subject, time=lang.duration(rule.silence), n=lang.number(rule.silence_requests),
        )  # fmt: skip
    return lang(
        "%(n)s or more requests to %(feature)s in %(span)s, and every one failed",
        n=lang.number(rule.min_requests), feature=incident.subject, span=lang.lately(rule.window),
    )  # fmt: skip


def _reading(rule: FeatureDown, incident: Incident, counts: Counts | None, lang: Language) -> str:
    if incident.facts.get("why") == "silent":
        usual = lang.number(incident.facts.get("usual", 0))
        return now(lang("none where about %(usual)s are usual", usual=usual), lang) if counts else ""
    if counts is None or incident.facts.get("why") == "probe":
        return ""
    bad, requests = lang.number(counts.bad(rule.count)), lang.number(counts.requests)
    return now(lang("%(bad)s of %(all)s", bad=bad, all=requests), lang)


FEATURE_DOWN = Kind(
    FeatureDown,
    _judge,
    _words,
    _title,
    _sentence,
    _at_worst,
    gist=_gist,
    calm=_calm,
    reading=_reading,
    counts_back=lambda rule: rule.silence,
    compares=lambda rule: Compared(SILENCE_WEEKS, rule.silence, rule.features) if rule.silence else None,
    looks_back=lambda rule: WEEK,
    watches=_watches,
    fresh=_fresh,
    onset=_onset,
    recovery=_recovery,
    probe=lambda rule: rule.probe,
    unseen=lambda rule: marked("answers of past probes are not recorded") if rule.probe else None,
)
"""See the module."""
