"""Whom an incident concerns, counted on from minute to minute, is whom it would be found to concern all at once."""

import random
from dataclasses import replace

import pytest

from guardian.alerting.affected import Met, noted
from guardian.alerting.columns import MINUTE_US, Columns
from guardian.alerting.engine import AlertState
from guardian.alerting.history import History
from guardian.alerting.incidents import Incident, Memory
from guardian.alerting.recorded import Recorded
from guardian.settings.rules import parse_rule
from tests.support.events import event
from tracker.event import ANONYMOUS, Failure

START = 29_000_000
NOTHING_MORE = Recorded(())
BOOM, OTHER = Failure("Boom", "no", "app.py:1 f"), Failure("Other", "no", "app.py:2 f")
TABLES = [
    ("error_rate", {"window": "10m"}, ""),
    ("error_rate", {"window": "10m", "feature": "chat", "count": "server"}, "chat"),
    ("feature_down", {"features": ["chat"], "window": "5m"}, "chat"),
    ("latency", {"window": "15m"}, "docs"),
    ("traffic_spike", {"window": "30m"}, ""),
    ("traffic_drop", {"window": "30m"}, "chat"),
    ("new_error", {"window": "10m"}, "Boom at app.py:1 f"),
    ("burn_rate", {}, ""),
    ("tracker_silent", {"window": "5m"}, ""),
    ("user_burst", {"window": "5m"}, "u3@example.com"),
]
ABOUT_FAILURES = ("error_rate", "feature_down", "new_error", "burn_rate")


def traffic(seed, minutes=60):
    """A few requests a minute of fifty people and of nobody, some of which fail."""
    chance, events = random.Random(seed), []
    for at in sorted(chance.randrange(minutes * MINUTE_US) for _ in range(4 * minutes)):
        failure = chance.choice((BOOM, OTHER)) if chance.random() < 0.4 else None
        user = ANONYMOUS if chance.random() < 0.1 else f"u{chance.randrange(50)}@example.com"
        status, feature = chance.choice((404, 500)) if failure else 200, chance.choice(("chat", "docs"))
        events.append(event(START * MINUTE_US + at, user=user, feature=feature, status=status, ms=9, failure=failure))
    return events


def firing(rule, subject, minute, first, **more):
    """The state in which the rule has fired for a subject since a minute, and does in this one."""
    at_us = {"since_us": first * MINUTE_US, "fired_us": minute * MINUTE_US, "opened_us": first * MINUTE_US}
    facts = {"kind": "Boom", "place": "app.py:1 f"} if rule.kind == "new_error" else {}
    incident = Incident(f"{rule.name}-1", rule.name, subject, "error", "open", facts=facts, **at_us, **more)
    return AlertState(memories={rule.name: Memory({subject: incident})})


def history_of(events, end, late=()):
    return replace(History.of(events, START * MINUTE_US, end * MINUTE_US), late=late)


def told(incident):
    return incident.users, incident.names


@pytest.mark.parametrize(("kind", "keys", "subject"), TABLES)
@pytest.mark.parametrize("seed", range(5))
def test_people_counted_minute_by_minute_are_those_counted_all_at_once(kind, keys, subject, seed):
    rule, chance, events, met = parse_rule(kind, keys), random.Random(seed), traffic(seed), Met(NOTHING_MORE)
    held_back = chance.sample(events, 40)
    known, first, fixed_us = [e for e in events if e not in held_back], START + 20, (START + 12) * MINUTE_US + 7
    for minute in range(first, START + 60, chance.choice((1, 1, 3))):
        inside = [e for e in held_back if e.at_us < minute * MINUTE_US]
        came = chance.sample(inside, min(len(inside), chance.choice((0, 0, 3))))
        held_back, known = [e for e in held_back if e not in came], known + came
        now = [e for e in known if e.at_us < minute * MINUTE_US]
        history = history_of(now, minute, {e.at_us // MINUTE_US for e in came} if minute > first else None)
        met.follow(history)
        state = firing(rule, subject, minute, first, judged_from_us=fixed_us if seed % 2 else 0)
        (counted,) = met.noted(state, [rule], history.at(minute)).incidents()
        assert told(counted) == told(noted(rule, state.incidents()[0], history.at(minute)))


@pytest.mark.parametrize(("kind", "keys", "subject"), [each for each in TABLES if each[0] in ABOUT_FAILURES])
@pytest.mark.parametrize("seed", range(5))
def test_people_are_counted_from_the_beginning_whatever_is_at_hand(kind, keys, subject, seed):
    """After restarts, while it does not fire for some minutes, and with what comes later than what is at hand."""
    rule, chance, events = parse_rule(kind, keys), random.Random(seed), traffic(seed, 200)
    held_back, first = chance.sample(events, 60), START + 20
    known, fixed_us = [e for e in events if e not in held_back], (START + 12) * MINUTE_US + 7 if seed % 2 else 0
    past = Recorded(known)
    met, begun = Met(past), False
    for minute in range(first, START + 200):
        inside = [e for e in held_back if e.at_us < minute * MINUTE_US]
        came = chance.sample(inside, min(len(inside), chance.choice((0, 0, 3))))
        held_back = [e for e in held_back if e not in came]
        known += came
        anew = not begun or chance.random() < 0.04
        met, begun = Met(past) if chance.random() < 0.02 else met, True
        now = [e for e in known if e.at_us < minute * MINUTE_US]
        history = history_of(now, minute, None if anew else {e.at_us // MINUTE_US for e in came})
        singles_us = (minute - 15) * MINUTE_US
        held = replace(history, columns=Columns.of(e for e in now if e.at_us >= singles_us), singles_us=singles_us)
        met.follow(held)
        state = firing(rule, subject, minute, first, judged_from_us=fixed_us)
        if minute % 50 in range(20, 45):  # well for longer than what is at hand
            state = state.changed(replace(state.incidents()[0], fired_us=(minute // 50 * 50 + 19) * MINUTE_US))
            assert met.noted(state, [rule], held.at(minute)) == state
            continue
        (counted,) = met.noted(state, [rule], held.at(minute)).incidents()
        assert told(counted) == told(noted(rule, state.incidents()[0], history.at(minute)))


def test_an_incident_that_begins_anew_does_not_keep_the_people_of_before():
    rule, events, met = parse_rule("error_rate", {"window": "5m"}), traffic(1), Met(NOTHING_MORE)
    for first in (START + 10, START + 50):
        history = history_of(events, first)
        met.follow(history)
        (counted,) = met.noted(firing(rule, "", first, first), [rule], history.at(first)).incidents()
        assert told(counted) == told(noted(rule, firing(rule, "", first, first).incidents()[0], history.at(first)))


def test_a_history_that_was_read_anew_has_no_name_of_somebody_who_was_erased():
    rule, met = parse_rule("error_rate", {"window": "10m"}), Met(NOTHING_MORE)
    events = [
        event(START * MINUTE_US, user=f"{name}@example.com", feature="c", status=500, duration_us=9, failure=BOOM)
        for name in ("a", "b")
    ]
    for there, late in ((events, ()), (events[1:], None)):
        history = history_of(there, START + 1, late)
        met.follow(history)
        (counted,) = met.noted(firing(rule, "", START + 1, START + 1), [rule], history.at(START + 1)).incidents()
    assert told(counted) == (1, ("b@example.com",))


def test_a_number_that_was_told_does_not_fall():
    rule, met = parse_rule("error_rate", {"window": "10m"}), Met(NOTHING_MORE)
    history = history_of(traffic(2)[:3], START + 1)
    state = firing(rule, "", START + 1, START + 1, users=77, names=("z@example.com",))
    met.follow(history)
    (counted,) = met.noted(state, [rule], history.at(START + 1)).incidents()
    assert told(counted) == (77, ("z@example.com",))
