"""Looking at all minutes of a past at once makes no difference to what is said of it: only to the time it takes."""

import random
from dataclasses import replace
from datetime import timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.columns import MINUTE_US, Columns, MinuteCounts
from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.history import History
from guardian.alerting.incidents import Memory
from guardian.alerting.kinds import KINDS, judge, kind_of
from guardian.alerting.maintenance import Once, Recurring
from guardian.alerting.minutes import Minutes
from guardian.alerting.released import fixed
from guardian.alerting.sample import Released
from guardian.application.judging.backtest import Replay, replay
from guardian.application.settling import SETTLE_US
from guardian.core.cadence import Cron
from guardian.core.time import moment
from guardian.settings.rules import parse_rule
from tests.support.events import event as made
from tracker.event import Failure

WEEK = 7 * 1440
START = 29_000_000
ZONE = ZoneInfo("Europe/Zurich")
TABLES = [
    ("error_rate", {}),
    ("error_rate", {"feature": "c*", "min_requests": 3, "threshold": "20%", "count": "server", "for": "3m"}),
    ("error_rate", {"min_users": 2, "min_requests": 5, "window": "20m"}),
    ("feature_down", {"features": ["chat", "docs"], "silence": "0"}),
    ("feature_down", {"features": ["c*", "never"], "silence": "30m", "silence_requests": 2, "min_users": 0}),
    ("user_burst", {"errors": 2, "window": "90s"}),
    ("user_burst", {"errors": 3, "window": "15m", "min_requests": 5, "min_users": 2}),
    ("latency", {"threshold_ms": 300, "min_requests": 3}),
    ("latency", {"feature": "chat", "quantile": 0.5, "threshold_ms": 150, "min_requests": 1, "window": "5m"}),
    ("traffic_drop", {"min_requests": 4, "below": "60%", "window": "30m"}),
    ("traffic_drop", {"feature": "c*", "min_requests": 1, "below": "90%", "min_users": 1, "weeks": 2}),
    ("traffic_spike", {"min_requests": 4, "above": 1.2, "window": "30m"}),
    ("traffic_spike", {"feature": "chat", "min_requests": 1, "above": 1.1, "weeks": 3, "min_weeks": 1}),
    ("new_error", {"warmup": "2h"}),
    ("new_error", {"warmup": "0", "count": "all", "min_requests": 2, "min_users": 2}),
    ("tracker_silent", {"window": "5m"}),
    ("tracker_silent", {"window": "15m", "min_requests": 20, "min_users": 2}),
    ("burn_rate", {"min_requests": 2}),
    ("burn_rate", {"objective": "95%", "feature": "*", "min_requests": 1, "count": "all", "min_users": 1}),
]


def rules(tables=TABLES, **more):
    named = [(f"{kind}-{n}", {"kind": kind, "repeat": "1h", **keys, **more}) for n, (kind, keys) in enumerate(tables)]
    return tuple(parse_rule(name, table, critical_features=("chat",)) for name, table in named)


@cache
def past(seed, minutes=420):
    """Three weeks with a few thin hours at the same time of each, and the last of them, which is judged: requests in
    bursts, with silences between them, that now and then all fail, or are slow."""
    chance = random.Random(seed)
    failures = [Failure(f"Boom{n}", "no", f"app.py:{n} f") for n in range(6)] + [Failure("HTTP 404", "", "")]
    events = []
    for week in range(4):
        minute = START - week * WEEK - minutes
        while minute < START - week * WEEK:
            mood, length = chance.choice(("silent", "ordinary", "ordinary", "broken", "slow")), chance.randrange(4, 60)
            for _ in range(0 if mood == "silent" else chance.randrange(length * 3)):
                at_us = minute * MINUTE_US + chance.randrange(length * MINUTE_US)
                bad = chance.random() < (0.9 if mood == "broken" else 0.05)
                failure = chance.choice(failures[: 6 - week + chance.randrange(2)]) if bad else None
                status = chance.choice((404, 500, 503)) if bad else chance.choice((200, 200, 200, 101))
                took = chance.randrange(1_000, 900_000 if mood == "slow" else 400_000)
                user, feature = chance.choice("abcd") + "@example.com", chance.choice(("chat", "chart", "docs"))
                events.append(made(at_us, user=user, feature=feature, status=status, duration_us=took, failure=failure))
            minute += length
    events = [event for event in events if event.at_us < START * MINUTE_US]
    columns = Columns.of(events)
    counts = MinuteCounts.of(columns, START - 3 * WEEK - minutes - 10, START)
    history = History.of_columns(columns, counts)
    seen = sorted(chance.sample(range((START - 500) * MINUTE_US, (START - 380) * MINUTE_US), 3))
    return replace(history, zone=ZONE, alive_us=seen)


def one_by_one(history, around, first, last, state, released=()):
    """`replay` as it is meant: each minute is judged with each rule, after what was released."""
    incidents, notices = {i.id: i for i in state.incidents() if i.opened_us is not None}, []
    for minute in range(first, last + 1):
        state = fixed(state, around.rules, released, minute * MINUTE_US + SETTLE_US)
        state, transitions, sent = advance(state, history.at(minute), around)
        notices += sent
        incidents |= {t.incident.id: t.incident for t in transitions}
    incidents |= {i.id: i for i in state.incidents() if i.opened_us is not None}
    ordered = sorted(incidents.values(), key=lambda incident: (incident.opened_us or 0, incident.id))
    return Replay(first, last, tuple(ordered), tuple(notices))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_what_all_minutes_show_at_once_is_what_each_of_them_shows(rule, seed):
    history, first = past(seed), START - 420
    calm = kind_of(rule).calm(rule, Minutes(history, first, START))
    for n, minute in enumerate(range(first, START + 1)):
        verdicts = judge(rule, history.at(minute))
        firing = {v.subject: v.value for v in verdicts if v.state == "firing"}
        assert len(firing) <= calm.may_fire[n] or (firing and calm.may_fire[n] and not kind_of(rule).keeps_good)
        for subject, values in calm.values.items():
            assert (values[n] == firing[subject]) if values[n] == values[n] else subject not in firing
        if not calm.may_fire[n] and kind_of(rule).keeps_good:
            well = {v.subject for v in verdicts if v.state == "ok"}
            assert well == {subject for subject, each in calm.well.items() if each[n]}


def test_every_kind_can_be_looked_through_at_once_and_each_shows_both_sides_here():
    shown = {}
    for seed in range(4):
        minutes = Minutes(past(seed), START - 420, START)
        for rule in rules():
            calm = kind_of(rule).calm(rule, minutes)
            shown.setdefault(rule.kind, set()).update(bool(n) for n in calm.may_fire)
    assert shown == {kind: {True, False} for kind in KINDS}


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_finds_what_judging_each_minute_finds(seed):
    history = past(seed + 10)
    around = Surroundings(rules(), ZONE, admins=("a@example.com",))
    found = replay(history, around, START - 419, START)
    assert found == one_by_one(history, around, START - 419, START, AlertState())
    assert found.notices


@pytest.mark.parametrize("seed", range(6))
def test_releases_that_fix_what_is_open_make_no_difference(seed):
    history, chance = past(seed + 40), random.Random(seed)
    around = Surroundings(rules(fixed_by_release=True), ZONE, admins=("a@example.com",))
    begun = (START - 425) * MINUTE_US
    moments = sorted(begun + chance.randrange(425 * MINUTE_US) for _ in range(2 + seed))
    # At the very edge of what a minute may know, too.
    moments = sorted([*moments, (START - 200) * MINUTE_US + SETTLE_US, (START - 100) * MINUTE_US + SETTLE_US - 1])
    released = [Released(f"2.{n}", at_us) for n, at_us in enumerate(moments)]
    found = replay(history, around, START - 419, START, released=released)
    assert found == one_by_one(history, around, START - 419, START, AlertState(), released)
    assert any(each.fixed_us for each in found.incidents)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_a_replay_of_one_rule_alone_finds_the_same_too(rule):
    history, around = past(20), Surroundings((rule,), ZONE, admins=("a@example.com",))
    found = replay(history, around, START - 419, START)
    assert found == one_by_one(history, around, START - 419, START, AlertState())


DAY = moment((START - 300) * MINUTE_US)
HELD_UP = [
    ((Once(DAY, DAY + timedelta(minutes=20)),), AlertState()),
    ((Recurring(Cron("30 */3 * * *"), timedelta(minutes=4), ZONE),), AlertState()),
    ((), AlertState(maintained_us=(START - 425) * MINUTE_US)),
    ((), AlertState(memories={"error_rate-0": Memory(fixed_us={"": (START - 400) * MINUTE_US})})),
]


@pytest.mark.parametrize(("maintenance", "state"), HELD_UP)
def test_maintenance_and_what_was_marked_as_fixed_make_no_difference(maintenance, state):
    history, around = past(30), Surroundings(rules(), ZONE, maintenance=maintenance)
    found = replay(history, around, START - 419, START, state)
    assert found == one_by_one(history, around, START - 419, START, state)


def test_an_incident_that_never_ends_is_told_again_and_knows_its_worst_value():
    events = [
        made(
            (START - 3000 + n) * MINUTE_US + k,
            user="a@example.com",
            path="/c",
            status=500 if k < 5 else 200,
            duration_us=9,
        )
        for n in range(3000)
        for k in range(9 if n == 2000 else 10)
    ]
    history = History.of(events, (START - 3000) * MINUTE_US, START * MINUTE_US)
    for kind in ("error_rate", "burn_rate"):
        around = Surroundings((parse_rule(kind, {"repeat": "6h"}),), ZONE, admins=("a@example.com",))
        found = replay(history, around, START - 2900, START)
        assert found == one_by_one(history, around, START - 2900, START, AlertState())
        assert len(found.notices) == 1 + 2900 // 360
        assert found.incidents[0].fired_us == START * MINUTE_US
