"""Sample alert mails, made as the daemon makes them: minute by minute from invented events, by the same functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.explaining import MOST_LEAD, Explanation, explain
from guardian.alerting.history import History
from guardian.alerting.incidents import SECOND, Incident
from guardian.alerting.recorded import Recorded
from guardian.alerting.sample import Released
from guardian.alerting.whom import NOBODY, whom
from guardian.application.preview.sample import ADMIN, NOW, SENDER, URL, ZONE, Sample
from guardian.application.preview.traffic import USERS
from guardian.core.language import Language
from guardian.core.outgoing import Outgoing
from guardian.core.time import micros
from guardian.mail.alert.compose import AlertWriter
from guardian.settings.rules import Rule, parse_rule
from tracker.event import Event, Failure
from tracker.source import Source

BOOM = Failure("TimeoutError", "Internal Server Error", "chat.py:118 answer")
WEEK = 7 * 1440

Requests = Iterable[tuple[str, int, int]]
"""What happens in a minute: (feature, how many requests, their status)."""


@dataclass(frozen=True)
class Scene:
    """`happens(minute)` for minutes from `start` to 0 and on to `minutes`; rules are judged from minute 1 on.

    `releases` are minutes, in order, and what answers from then on.
    """

    rules: dict[str, dict[str, Any]]
    happens: Callable[[int], Requests]
    minutes: int = 30
    start: int = -360
    user: str | None = None
    slow_from: int | None = None
    silent_from: int | None = None
    around: tuple[tuple[str, Any], ...] = ()
    releases: tuple[tuple[int, str], ...] = ()


def usual(number: int = 12) -> list[tuple[str, int, int]]:
    """A good minute."""
    return [("threads", number, 200), ("chat_message", number // 2, 200)]


def failing(feature: str, number: int, from_minute: int, to_minute: int) -> Callable[[int], Requests]:
    """Usual minutes, in some of which a feature fails."""
    return lambda minute: [("threads", 12, 200), (feature, number, 500 if from_minute <= minute < to_minute else 200)]


def weekly(number: int, now: int) -> Callable[[int], Requests]:
    """So many requests a minute in these hours of earlier weeks and until now, and `now` from then on."""

    def happens(minute: int) -> Requests:
        near = -minute % WEEK <= 360 or -minute % WEEK >= WEEK - 90
        return [("threads", now if minute >= 0 else number if near else 0, 200)]

    return happens


SCENES: dict[str, tuple[str, int, Scene]] = {
    "alert-error-rate": ("More than 10 % of the requests failed in the last hour.", 0, Scene(
        {"error_rate": {}}, failing("chat_message", 8, 5, 200), 40)),
    "alert-feature-down": ("Every request to a critical feature failed.", 0, Scene(
        {"feature_down": {"features": ["chat_message"]}}, failing("chat_message", 3, 5, 60), 30)),
    "alert-user-burst": ("One user hit 5 errors within 10 minutes; it can be answered to reach them.", 0, Scene(
        {"user_burst": {}}, lambda m: [("search", 1, 200), ("document_upload", 1, 500)] if 3 <= m < 9 else [],
        user="rosa@example.com")),
    "alert-latency": ("A feature has become slow.", 0, Scene(
        {"slow": {"kind": "latency", "feature": "search"}}, lambda m: [("search", 4, 200)], 30, slow_from=2)),
    "alert-traffic-drop": ("Far fewer requests than at the same hour of earlier weeks.", 0, Scene(
        {"traffic_drop": {}}, weekly(6, 1), 70, -3 * WEEK)),
    "alert-traffic-spike": ("Far more requests than at the same hour of earlier weeks.", 0, Scene(
        {"traffic_spike": {}}, weekly(2, 20), 70, -3 * WEEK)),
    "alert-new-error": ("An error never seen before.", 0, Scene(
        {"new_error": {}}, failing("chat_message", 2, 5, 9), 20, -1500)),
    "alert-tracker-silent": ("The app gives no sign of life.", 0, Scene(
        {"tracker_silent": {}}, lambda m: usual() if m < 2 else [], 20, silent_from=2)),
    "alert-burn-rate": ("The error budget of an objective is used up too fast.", 0, Scene(
        {"burn_rate": {"objective": "99%"}}, failing("chat_message", 6, 3, 90), 70, -3 * 1440)),
    "alert-bundle": ("What opens in the same minute comes in one mail.", 0, Scene(
        {"error_rate": {"window": "10m"}, "feature_down": {"features": ["chat_message"], "window": "6m"}},
        failing("chat_message", 3, 1, 60), 20)),
    "alert-many-users": ("What one user after the other hits within `group_interval` comes in one mail.", -1, Scene(
        {"user_burst": {}}, failing("chat_message", 24, 3, 60), 16)),
    "alert-reminder": ("It still fires after `repeat`, and nobody has acknowledged it.", 1, Scene(
        {"error_rate": {"repeat": "1h"}}, failing("chat_message", 8, 5, 200), 110)),
    "alert-resolved": ("It is over: how long it lasted, how bad it was, and whom to tell.", 1, Scene(
        {"feature_down": {"features": ["chat_message"]}}, failing("chat_message", 3, 5, 40), 60,
        releases=((-360, "2.4.0"), (5, "2.4.1"), (40, "2.4.2")))),
    "alert-reopened": ("It fires again within an hour of its end: the same thread goes on.", 2, Scene(
        {"feature_down": {"features": ["chat_message"], "window": "2m"}},
        lambda m: [("threads", 12, 200), ("chat_message", 3, 500 if 3 <= m < 9 or m >= 25 else 200)])),
    "alert-flapping": ("It comes and goes: said once.", -1, Scene(
        {"feature_down": {"features": ["chat_message"], "window": "1m", "min_requests": 2, "resolve_after": "1m"}},
        lambda m: [("threads", 12, 200), ("chat_message", 3, 500 if m > 0 and m % 6 < 2 else 200)], 16)),
    "alert-quiet-hours": ("In the morning, what fired in the quiet hours and whether it is over.", 0, Scene(
        {"feature_down": {"features": ["chat_message"], "quiet_hours": "22:00-09:30"},
         "error_rate": {"window": "10m", "quiet_hours": "22:00-09:30"}},
        failing("chat_message", 4, 3, 14), 31)),
    "alert-overflow": ("The hourly budget is spent: the rest comes in one mail an hour later.", -1, Scene(
        {"error_rate": {}, "feature_down": {"features": ["chat_message"]}, "chat_errors": {
            "kind": "error_rate", "feature": "chat_message", "threshold": "80%", "for": "10m"}},
        failing("chat_message", 8, 5, 300), 110, around=(("per_hour", 1), ("reserve", 0)))),
}  # fmt: skip
"""By name: when the mail is sent, which of the scene's mails it is, and the scene."""


def alert_samples(lang: Language) -> list[Sample]:
    """One mail of each scene."""
    return [Sample(name, when, _lived(scene, lang)[which]) for name, (when, which, scene) in SCENES.items()]


def _lived(scene: Scene, lang: Language) -> Sequence[Outgoing]:
    """Every mail of the scene, in order."""
    rules = tuple(parse_rule(name, table) for name, table in scene.rules.items())
    around = replace(Surroundings(rules, ZONE), **dict(scene.around))
    writer = AlertWriter((ADMIN,), SENDER, lang, ZONE, URL, "sample " * 6, nonce=lambda: "sample", pages_url=URL)
    first, events = micros(NOW), _events(scene)
    writer = replace(writer, look=partial(_looked, scene, Recorded(events, partial(_made_by, scene))))
    history = History.of(events, first + scene.start * MINUTE_US, first + scene.minutes * MINUTE_US)
    if scene.silent_from is not None:
        history = replace(history, alive_us=[first + m * MINUTE_US for m in range(scene.silent_from)])
    state, mails = AlertState(), list[Outgoing]()
    for minute in range(1, scene.minutes + 1):
        snapshot = history.at(first // MINUTE_US + minute)
        state, _, notices = advance(state, snapshot, around)
        for notice in notices:
            mails += writer.compose(notice, snapshot, NOW + timedelta(minutes=minute, seconds=5)).messages
    return mails


def _looked(scene: Scene, past: Recorded, rule: Rule, incident: Incident, now_us: int) -> Explanation:
    """Why, and once it is over whom it hit."""
    why = explain(rule, incident, now_us, past.sample)
    began = [Released(name, micros(NOW) + minute * MINUTE_US) for minute, name in scene.releases]
    over_us = incident.over_us
    until_us = now_us if over_us is None else over_us
    released = (each for each in began[1:] if incident.first_us - MOST_LEAD * SECOND <= each.at_us < until_us)
    return replace(
        why, released=tuple(released), whom=NOBODY if over_us is None else whom(rule, incident, now_us, past)
    )


def _made_by(scene: Scene, event: Event) -> Source | None:
    minute = (event.at_us - micros(NOW)) // MINUTE_US
    names = [name for start, name in scene.releases if start <= minute]
    return Source(names[-1], "web-1") if names else None


def _events(scene: Scene) -> list[Event]:
    found, first = [], micros(NOW)
    for minute in range(scene.start, scene.minutes):
        for feature, number, status in scene.happens(minute):
            for n in range(number):
                at_us = first + minute * MINUTE_US + (n + 1) * MINUTE_US // (number + 2)
                user = scene.user or USERS[(minute * 7 + n) % len(USERS)]  # each request of a minute is of another
                failure = BOOM if status >= 400 else None
                slow = scene.slow_from is not None and minute >= scene.slow_from
                duration = (3_400_000 if slow else 80_000) + n * 7_000
                found.append(Event(at_us, user, f"/api/{feature}", "POST", feature, status, duration, failure))
    return sorted(found, key=lambda event: event.at_us)
