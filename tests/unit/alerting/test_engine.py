"""One minute of alerting after the other: maintenance windows, rules that are taken away, threads that are over."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, advance, set_back
from guardian.alerting.history import History
from guardian.alerting.maintenance import Once
from guardian.settings.rules import parse_rule
from guardian.stores.alert_state import STATE_JSON
from tests.support.events import event as made
from tracker.event import Failure

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
ERRORS = parse_rule("error_rate", {"resolve_after": "1m"})
BURST = parse_rule("user_burst", {"resolve_after": "1m"})
AROUND = Surroundings((ERRORS, BURST), ZoneInfo("Europe/Zurich"))


def requests(*rows):
    """Events from (minute, number, status); no user of a minute meets more than one error of it."""
    failure = Failure("Boom", "Internal Server Error", "app.py:7 f")
    return [
        made(START_US + minute * MINUTE_US + i * 1000, user=f"u{minute}-{i}@example.org", path="/c", status=status,
             ms=9, failure=failure if status >= 400 else None)
        for minute, number, status in rows
        for i in range(number)
    ]  # fmt: skip


def live(events, minutes, around=AROUND, state=None, start=0):
    """The state after so many minutes, and the notices as (minute, changes); every state goes through its JSON."""
    history = History.of(events, START_US, START_US + 600 * MINUTE_US)
    state, told = state or AlertState(), []
    for minute in range(start + 1, start + minutes + 1):
        surrounding = around(minute) if callable(around) else around
        state, _, notices = advance(state, history.at(START_US // MINUTE_US + minute), surrounding)
        told += [(minute, [t.change for t in n.transitions], n) for n in notices]
        state = STATE_JSON.validate_json(STATE_JSON.dump_json(state))
    return state, told


def changes(told):
    return [(minute, found) for minute, found, _ in told]


def test_the_errors_of_a_maintenance_window_raise_no_alert_after_it():
    window = Once(START + timedelta(minutes=5), START + timedelta(minutes=15))
    around = replace(AROUND, maintenance=(window,))
    events = requests((1, 100, 200), *((m, 30, 503) for m in range(5, 15)), *((m, 30, 200) for m in range(15, 60)))
    assert changes(live(events, 60)[1]) != [], "without the window it fires"
    assert changes(live(events, 60, around)[1]) == []
    still = requests((1, 100, 200), *((m, 30, 503) for m in range(5, 60)))
    assert changes(live(still, 60, around)[1])[0] == (16, ["opened"]), "what still fails afterwards is news"


def test_minutes_that_nobody_watched_are_judged_one_by_one_and_told_once():
    events = requests((1, 40, 503), (2, 40, 503), (3, 100, 200), (4, 40, 503), *((m, 40, 200) for m in range(5, 120)))
    history, first = History.of(events, START_US, START_US + 600 * MINUTE_US), START_US // MINUTE_US
    watched, told = live(events, 100)
    assert changes(told)[0] == (2, ["opened"])
    assert len(told) > 1
    state, found, notices = advance(
        AlertState(), history.at(first + 100), AROUND, passed=(history.at(first + m) for m in range(1, 100))
    )
    assert [t.change for t in found] == [change for _, changed, _ in told for change in changed]
    assert len(notices) == 1, "it opened and ended meanwhile: one word on both"
    assert state.minute == watched.minute
    assert [(i.id, i.status, i.resolved_us) for i in state.incidents()] == [
        (i.id, i.status, i.resolved_us) for i in watched.incidents()
    ]


def test_a_window_that_was_seen_by_a_clock_that_was_ahead_hides_nothing_of_the_present():
    events = requests((1, 40, 503), (2, 40, 503), (3, 40, 503))
    ahead = AlertState(START_US // MINUTE_US + 5000, maintained_us=START_US + 5000 * MINUTE_US)
    state, told = live(events, 3, state=set_back(ahead, START_US // MINUTE_US))
    assert changes(told) == [(2, ["opened"])]
    assert state.maintained_us == START_US


def test_an_incident_whose_rule_is_taken_away_ends_in_a_mail():
    events = requests((1, 40, 503), (2, 40, 503))
    state, told = live(events, 3)
    assert changes(told) == [(2, ["opened"])]
    without = replace(AROUND, rules=(BURST,))
    after, told = live(events, 2, without, state, start=3)
    assert changes(told) == [(4, ["removed"])]
    notice = told[0][2]
    assert (notice.rules["error_rate"], notice.thread) == (ERRORS, notice.transitions[0].incident.id)
    assert dict(after.rules) == {}


def test_what_waits_for_the_morning_is_told_though_its_rule_is_gone():
    quiet = parse_rule("error_rate", {"quiet_hours": "09:00-10:30"})  # 08:00 to 09:30 UTC
    events = requests((1, 40, 503), (2, 40, 503))
    state, told = live(events, 5, replace(AROUND, rules=(quiet,)))
    assert (told, len(state.held)) == ([], 1)
    state, told = live(events, 30, replace(AROUND, rules=(BURST,)), state, start=5)
    assert changes(told) == [(30, ["removed"])]
    assert (state.held, dict(state.rules)) == ((), {})


def test_a_burst_that_was_told_while_the_clock_was_ahead_is_not_told_again_when_its_time_comes():
    failure = Failure("Boom", "Internal Server Error", "app.py:7 f")
    burst = [
        made(START_US + 200 * MINUTE_US + i * 1_000_000, user="ann@x.org", path="/c", status=500, ms=9, failure=failure)
        for i in range(6)
    ]
    rest = requests(*((m, 3, 200) for m in range(0, 400)))
    events = sorted([*burst, *rest], key=lambda event: event.at_us)
    around = replace(AROUND, rules=(BURST,))
    state, told = live(events, 2, around, start=199)
    assert changes(told) == [(201, ["opened"])]
    [incident] = state.incidents()
    state, told = live(events, 140, around, set_back(state, START_US // MINUTE_US + 60), start=60)
    assert changes(told) == [(62, ["resolved"])], "its rule has nothing more against that user"
    state, told = live(events, 100, around, state, start=200)
    assert changes(told) == []
    again = [e._replace(at_us=e.at_us + 100 * MINUTE_US) for e in burst]
    _, told = live(sorted([*events, *again], key=lambda event: event.at_us), 20, around, state, start=300)
    assert changes(told)[0] == (301, ["opened"])
    assert told[0][2].transitions[0].incident.id != incident.id
