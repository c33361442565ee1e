"""Laws of telling, whatever happens: no end goes unsaid or is said twice, nothing leaves its thread or the budget."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.alerting.actions import ACTIONS, edit_for
from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, tell
from guardian.alerting.incidents import ENDS, Memory
from guardian.alerting.life import after_verdicts
from guardian.alerting.verdicts import Verdict
from guardian.settings.rules import parse_rule
from guardian.stores.alert_state import STATE_JSON

ZONE = ZoneInfo("Europe/Zurich")
START = int(datetime(2026, 3, 16, 4, 30, tzinfo=UTC).timestamp()) // 60  # half an hour before the quiet ones
STATES = {"F": "firing", ".": "ok", "?": "no_data"}
RULES = tuple(
    parse_rule(name, {"kind": "error_rate", "resolve_after": "2m", "repeat": "30m", **keys})
    for name, keys in {
        "plain": {},
        "quiet": {"quiet_hours": "06:00-06:40"},
        "grouped": {"group_interval": "10m", "severity": "critical"},
    }.items()
)
AROUND = Surroundings(RULES, ZONE, per_hour=6, reserve=2)
LONG_AFTER = 27 * 60
"""So many minutes later every silence is over, and the budget has room for what it held back."""


def live(minutes, deeds):
    """The state when all has long been well, and what was told as (minute, notice).

    `minutes` holds the verdicts of each rule's two subjects, `deeds` what people do after a minute, and to which of the
    open incidents.
    """
    state, told = AlertState(), []
    for minute, letters in enumerate([*minutes, *["......"] * LONG_AFTER], START):
        now_us, memories, transitions = minute * MINUTE_US, {}, []
        for n, rule in enumerate(RULES):
            said = [Verdict(rule.name, subject, STATES[letters[2 * n + i]], 0.5) for i, subject in enumerate("ab")]
            memories[rule.name], changes = after_verdicts(
                rule, said, state.memories.get(rule.name, Memory()), now_us, alive=True
            )
            transitions += changes
        state, notices = tell(replace(state, minute=minute, memories=memories), transitions, now_us, AROUND)
        told += [(minute, notice) for notice in notices]
        for action, which in deeds.get(minute - START, ()):
            going_on = [i for i in state.incidents() if i.status in ("open", "acknowledged")]
            if going_on:
                now = datetime.fromtimestamp(now_us / 1e6, UTC) + timedelta(seconds=20)
                state = edit_for(action, by="ann", now=now, zone=ZONE)(state, going_on[which % len(going_on)])
        if minute % 7 == 0:
            state = STATE_JSON.validate_json(STATE_JSON.dump_json(state))
    return state, told


deed = st.tuples(st.sampled_from(ACTIONS), st.integers(0, 5))
verdicts = st.lists(st.text(alphabet="FFF..?", min_size=6, max_size=6), min_size=5, max_size=90)


@settings(max_examples=40, deadline=None)
@given(verdicts, st.dictionaries(st.integers(0, 90), st.lists(deed, max_size=2), max_size=12))
def test_every_incident_that_was_told_is_told_over_once_in_its_thread_and_within_the_budget(minutes, deeds):
    state, told = live(minutes, deeds)
    assert state.held == ()
    assert all(incident.status == "resolved" for incident in state.incidents())
    threads, over_us = {}, {}
    for minute, notice in told:
        assert len({t.incident.id for t in notice.transitions}) == len(notice.transitions), "one thing of each"
        for t in notice.transitions:
            incident = t.incident
            assert threads.setdefault(incident.id, notice.thread) == notice.thread
            if t.change in ENDS and over_us.get(incident.id):
                assert (incident.again_us or 0) > over_us[incident.id], "over already, and did not fire again"
            over_us[incident.id] = minute * MINUTE_US if t.change in ENDS else None
    assert all(over_us.values()), "what was told has an end"
    for minute, _ in told:
        hour = [n for at, n in told if minute - 60 < at <= minute]
        assert len(hour) <= AROUND.per_hour
        assert sum(not n.critical for n in hour) <= AROUND.per_hour - AROUND.reserve
    names = [(notice.thread, notice.name) for _, notice in told]
    assert len(set(names)) == len(names)
