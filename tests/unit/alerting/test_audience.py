"""Who heard the beginning hears the end, whatever the settings say by then."""

import json
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.history import History
from guardian.settings.rules import parse_rule
from guardian.stores.alert_state import STATE_JSON, read_state
from tests.unit.alerting.test_engine import MINUTE_US, START_US, requests

ERRORS = {"resolve_after": "2m", "window": "5m", "repeat": "20m"}
ADMINS = ("ann@x.org",)
OUTAGE = requests(*((m, 30, 200) for m in range(30)), *((m, 40, 503) for m in range(30, 60)),
                  *((m, 40, 200) for m in range(60, 100)), *((m, 40, 503) for m in range(100, 120)),
                  *((m, 40, 200) for m in range(120, 240)))  # fmt: skip


def around(admins=ADMINS, **keys):
    rules = (parse_rule("error_rate", {**ERRORS, **keys}),) if "rules" not in keys else keys["rules"]
    return Surroundings(rules, ZoneInfo("UTC"), admins=admins)


def live(surroundings, until=200, state=None, start=0, events=OUTAGE):
    """What each recipient and channel was told, as (minute, change), by name; `surroundings` is asked each minute."""
    history = History.of(events, START_US, START_US + 600 * MINUTE_US)
    state, told = state or AlertState(), {}
    for minute in range(start + 1, until + 1):
        state, _, notices = advance(state, history.at(START_US // MINUTE_US + minute), surroundings(minute))
        state = read_state(STATE_JSON.dump_json(state).decode())
        for notice in notices:
            for name in notice.audience.names:
                first = " first" if notice.begins_for(name) else ""
                told.setdefault(name, []).extend((minute, t.change + first) for t in notice.transitions)
    return state, told


def test_a_channel_that_was_taken_away_meanwhile_hears_the_end_and_nothing_new():
    both, mail = around(channels=["mail", "pager"]), around(channels=["mail"])
    _, told = live(lambda minute: both if minute < 40 else mail)
    assert [change for _, change in told["pager"]] == ["opened first", "reminder", "resolved"]
    assert [change for _, change in told["ann@x.org"]] == [
        "opened first", "reminder", "resolved", "reopened", "reminder", "resolved",
    ]  # fmt: skip


@pytest.mark.parametrize("how", ["recipients", "admins"])
def test_who_comes_later_hears_nothing_of_what_others_were_told_but_the_next_beginning_is_theirs(how):
    def who(name):
        return around(recipients=[name]) if how == "recipients" else around(admins=(name,))

    _, told = live(lambda minute: who("ann@x.org") if minute < 40 else who("bob@x.org"))
    assert [change for _, change in told["ann@x.org"]] == ["opened first", "reminder", "resolved"]
    assert [change for _, change in told["bob@x.org"]] == ["reopened first", "reminder", "resolved"]


def test_who_has_not_heard_the_end_yet_hears_the_next_beginning_too():
    quiet = {"quiet_hours": "09:50-10:45"}  # the end at 10:02 and the beginning at 10:40 fall into it
    first, then = around(recipients=["ann@x.org"], **quiet), around(recipients=["bob@x.org"], **quiet)
    _, told = live(lambda minute: first if minute < 40 else then)
    assert [change for _, change in told["ann@x.org"]] == ["opened first", "reopened", "resolved"]
    assert [change for _, change in told["bob@x.org"]] == ["reopened first", "resolved"]


def test_the_end_of_a_rule_that_was_taken_away_goes_to_those_who_heard_of_it():
    there, gone = around(channels=["mail", "pager"]), around(rules=(), admins=("bob@x.org",))
    state, told = live(lambda minute: there if minute < 40 else gone)
    assert {name: [change for _, change in heard] for name, heard in told.items()} == {
        name: ["opened first", "removed"] for name in ("ann@x.org", "pager")
    }
    assert (dict(state.memories), dict(state.rules)) == ({}, {})


def test_a_state_that_was_stored_before_audiences_were_noted_goes_on():
    before = around(channels=["mail", "pager"])
    state, _ = live(lambda minute: before, until=40)
    old = json.loads(STATE_JSON.dump_json(state))
    [incident] = old["memories"]["error_rate"]["latest"].values()
    for key in ("heard", "readers", "end", "under", "held_us", "data_us", "recovery_us", "judged_from_us"):
        del incident[key]
    incident["began_us"] = incident.pop("onset_us")
    del old["former"]
    loaded = read_state(json.dumps(old))
    [kept] = loaded.incidents()
    assert kept.onset_us == START_US + 30 * MINUTE_US
    assert (kept.heard.channels, kept.heard.recipients) == (("mail", "pager"), ())
    _, told = live(lambda minute: around(channels=["mail"]), until=99, state=loaded, start=40)
    assert [change for _, change in told["pager"]] == ["reminder", "resolved"]


def test_the_end_that_waited_in_a_state_of_before_goes_to_those_who_heard_the_beginning():
    quiet = around(channels=["mail", "pager"], quiet_hours="09:50-10:33")
    state, _ = live(lambda minute: quiet, until=90)
    assert [h.transition.change for h in state.held] == ["resolved"]
    old = json.loads(STATE_JSON.dump_json(state))
    for incident in (*old["memories"]["error_rate"]["latest"].values(), old["held"][0]["transition"]["incident"]):
        del incident["heard"], incident["readers"]
    _, told = live(
        lambda minute: around(quiet_hours="09:50-10:35"), until=99, state=read_state(json.dumps(old)), start=90
    )
    assert [change for _, change in told["pager"]] == ["resolved"]


def test_what_began_again_unheard_in_a_silence_has_no_end_to_tell():
    def silenced(state):
        [incident] = state.incidents()
        return state.changed(replace(incident, silenced_until_us=START_US + 150 * MINUTE_US))

    state, _ = live(lambda minute: around(), until=80)
    _, told = live(lambda minute: around(), state=silenced(state), start=80)
    assert told == {}
