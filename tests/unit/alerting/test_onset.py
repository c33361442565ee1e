"""When an incident began and ended: by the requests, not by the verdicts that noticed it."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.history import History
from guardian.alerting.incidents import Incident
from guardian.settings.rules import parse_rule
from guardian.stores.alert_state import STATE_JSON
from tests.support.events import event
from tracker.event import Failure

DAY, WEEK = 24 * 60, 7 * 24 * 60
START_US = int(datetime(2026, 3, 16, 9, 0, tzinfo=UTC).timestamp()) * 1_000_000
FIRST = START_US // MINUTE_US


def us(clock: str) -> int:
    """A moment of the day, UTC: 10:01:51."""
    hours, minutes, *seconds = map(int, clock.split(":"))
    return START_US + ((hours - 9) * 3600 + minutes * 60 + (seconds or [0])[0]) * 1_000_000


def clock(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%H:%M:%S")


def every(seconds: float, start: str, end: str, status=200, feature="chat", back=0, took=9_000, user="u{}@x.org"):
    """A request each so many seconds in [start, end), `back` minutes earlier."""
    failure = Failure("Boom", "m", "app.py:7 f") if status >= 400 else None
    step, first = round(seconds * 1_000_000), us(start)
    return [
        event(
            at - back * MINUTE_US,
            user=user.format(i % 5),
            path="/c",
            feature=feature,
            status=status,
            duration_us=took,
            failure=failure,
        )
        for i, at in enumerate(range(first, us(end), step))
    ]


def live(rule, events, until, *, alive=None, singles_us=0, probes=None):
    """The incidents of a rule, in order, after each minute until then; each state goes through its JSON.

    Of the heartbeats `alive` each minute knows those that had come by its end.
    """
    around = Surroundings((rule,), ZoneInfo("UTC"))
    weeks = 5 * WEEK * MINUTE_US
    history = History.of(sorted(events), START_US - weeks, us(until) + MINUTE_US)
    history = replace(history, singles_us=singles_us, probes={rule.name: probes or []})
    state, found = AlertState(), {}
    for minute in range(FIRST + 1, us(until) // MINUTE_US + 1):
        seen = None if alive is None else [at for at in alive if at < minute * MINUTE_US]
        state, _, _ = advance(state, replace(history, alive_us=seen).at(minute), around)
        state = STATE_JSON.validate_json(STATE_JSON.dump_json(state))
        found |= {i.id: i for i in state.incidents() if i.opened_us is not None}
    return list(found.values())


def told(incident: Incident) -> tuple[str, str, int]:
    return clock(incident.first_us), clock(incident.over_us or 0), incident.lasted_s or 0


RATE = parse_rule("error_rate", {"resolve_after": "5m"})
DOWN = parse_rule("feature_down", {"silence": 0}, critical_features=("chat",))


def test_an_outage_of_a_busy_app_began_with_its_first_failure_and_ended_with_the_first_success():
    before, after = every(2, "09:00:01", "10:05:10"), every(2, "10:41:12", "13:00:00")
    stray = every(600, "09:10:00", "10:00:00", status=500)
    events = [*before, *stray, *every(2, "10:05:11", "10:41:10", status=503), *after]
    [incident] = live(RATE, events, "12:59")
    assert told(incident) == ("10:05:11", "10:41:12", 36 * 60), "not with an error of the ordinary hour before it"
    assert clock(incident.last_good_us) == "10:05:09"
    [down] = live(DOWN, events, "12:59")
    assert told(down) == told(incident)


def test_where_the_single_events_no_longer_reach_minutes_tell():
    events = [*every(2, "09:00:01", "10:05:00"), *every(2, "10:05:01", "10:41:00", 503), *every(2, "10:41", "13:00")]
    [incident] = live(RATE, events, "12:59", singles_us=us("12:59"))
    assert told(incident) == ("10:05:00", "10:41:00", 36 * 60)


def test_what_shows_by_absence_began_with_the_last_sign_of_life():
    busy = [e for week in (1, 2, 3) for e in every(20, "09:00:11", "14:00:00", back=week * WEEK)]
    events = [*busy, *every(20, "09:00:11", "10:00:52"), *every(20, "12:00:05", "14:00:00")]
    rule = parse_rule("feature_down", {}, critical_features=("chat",))
    [incident] = live(rule, events, "13:00")
    assert told(incident) == ("10:00:51", "12:00:05", 120 * 60)
    assert clock(incident.last_good_us) == "10:00:51"


def test_a_silent_app_was_silent_since_its_last_request_or_heartbeat():
    rule = parse_rule("tracker_silent", {})
    events = [*every(20, "09:00:11", "10:00:52"), *every(20, "10:40:05", "11:00:00")]
    alive = [us("09:30:51"), us("10:01:51"), us("10:40:00")]
    [incident] = live(rule, events, "10:55", alive=alive)
    assert told(incident) == ("10:01:51", "10:40:00", 39 * 60), "from the minute 10:01 to the minute 10:40"


def test_a_probe_tells_by_its_answers():
    rule = parse_rule(
        "feature_down", {"probe": {"url": "http://localhost/", "failures": 3}, "silence": 0}, critical_features=("x",)
    )
    answers = [(us(f"09:{m:02}:03"), not 10 <= m < 20) for m in range(1, 59)]
    [incident] = live(rule, every(20, "09:00", "10:00"), "09:50", probes=answers)
    assert told(incident) == ("09:10:03", "09:20:03", 10 * 60)


def test_a_slow_feature_is_slow_from_its_first_slow_request_to_the_first_quick_one():
    rule = parse_rule("latency", {"feature": "chat", "threshold_ms": 100})
    slow = every(2, "10:00:10", "10:20:09", took=900_000)
    events = [*every(2, "09:00", "10:00:10"), *slow, *every(2, "10:20:10", "12:00:00")]
    [incident] = live(rule, events, "11:50")
    assert told(incident) == ("10:00:10", "10:20:10", 20 * 60)


@pytest.mark.parametrize(
    ("kind", "seconds", "since", "until"),
    [("traffic_drop", None, "10:00:09", "11:30:09"), ("traffic_spike", 1, "10:00:00", "11:30:00")],
)
def test_unusual_traffic_began_when_it_left_the_usual(kind, seconds, since, until):
    busy = [e for week in (1, 2, 3, 4) for e in every(10, "08:00:09", "14:00:00", back=week * WEEK)]
    strange = every(seconds, "10:00:10", "11:30:09") if seconds else []
    events = [*busy, *every(10, "08:00:09", "10:00:10"), *strange, *every(10, "11:30:09", "14:00:00")]
    [incident] = live(parse_rule(kind, {"min_requests": 5}), events, "13:30")
    assert (clock(incident.first_us), clock(incident.over_us)) == (since, until)


def test_a_burst_lasted_from_its_first_error_to_the_next_good_request_or_its_last_error():
    rule = parse_rule("user_burst", {})
    errors = every(10, "10:00:05", "10:01:05", status=500, user="ann@x.org")
    rest = every(5, "09:00", "11:00")
    [gone] = live(rule, [*rest, *errors], "10:59")
    assert told(gone) == ("10:00:05", "10:00:55", 50)
    [back] = live(rule, [*rest, *errors, *every(60, "10:04:00", "10:05:00", user="ann@x.org")], "10:59")
    assert told(back) == ("10:00:05", "10:04:00", 4 * 60)


def test_a_new_error_lasted_from_its_first_to_its_last():
    rule = parse_rule("new_error", {"warmup": "1m"})
    events = [*every(5, "09:00:02", "11:30:00"), *every(30, "10:00:07", "10:20:07", status=500)]
    [incident] = live(rule, events, "11:00")
    assert told(incident) == ("10:00:07", "10:19:42", 19 * 60), "the first good request after the last"


def test_an_error_budget_burned_from_the_first_failure_on():
    rule = parse_rule("burn_rate", {"objective": "99%", "resolve_after": "5m"})
    events = [*every(2, "09:00:01", "10:05:10"), *every(2, "10:05:11", "10:41:10", 503), *every(2, "10:41:12", "13:00")]
    [incident] = live(rule, events, "12:59")
    assert (clock(incident.first_us), incident.over_us) == ("10:05:11", None), "three days show it still"


def test_three_outages_of_five_minutes_that_were_one_incident_lasted_fifteen():
    rule = parse_rule(
        "feature_down", {"window": "2m", "resolve_after": "1m", "silence": 0}, critical_features=("chat",)
    )
    outages = ["10:00:04", "10:15:04", "10:30:04"]
    events, at = [], "09:00:00"
    for start in outages:
        end = start.replace(":04", ":04").replace(start[3:5], f"{int(start[3:5]) + 5:02}")
        events += [*every(4, at, start), *every(4, start, end, status=503)]
        at = end
    events += every(4, at, "12:00:00")
    [incident] = live(rule, events, "11:50")
    assert told(incident) == ("10:00:04", "10:35:04", 15 * 60)
    assert clock(incident.again_us) == "10:30:04"


@pytest.mark.parametrize(
    ("first", "over", "seconds"),
    [
        ("09:05:50", "09:41:02", 36 * 60),
        ("09:05:00", "09:05:59", 59),
        ("09:05:50", "09:06:20", 30),
        ("09:05:50", "09:07:00", 120),
    ],
)
def test_how_long_it_lasted_fits_the_times_that_are_shown(first, over, seconds):
    incident = Incident("i", "r", "", "warning", "resolved", 0, onset_us=us(first), recovery_us=us(over))
    assert incident.lasted_s == seconds
    assert replace(incident, status="open").lasted_s is None


def test_an_incident_of_before_it_knew_these_moments_falls_back_on_its_verdicts():
    known = {"opened_us": us("10:02"), "well_since_us": us("10:12"), "resolved_us": us("10:17")}
    old = Incident("i", "r", "", "warning", "resolved", us("10:01"), **known)
    assert told(old) == ("10:01:00", "10:12:00", 11 * 60)
    assert told(replace(old, well_since_us=None)) == ("10:01:00", "10:17:00", 16 * 60)
