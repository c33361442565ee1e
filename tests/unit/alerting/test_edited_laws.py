"""Laws of telling while the settings change: who heard a beginning hears one end, and it is true."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.alerting.actions import edit_for
from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.history import History
from guardian.alerting.incidents import ENDS
from guardian.alerting.kinds import judge
from guardian.alerting.maintenance import Once
from guardian.alerting.notices import OPENINGS
from guardian.alerting.verdicts import SinceMaintenance
from guardian.settings.rules import parse_rule
from guardian.stores.alert_state import STATE_JSON, read_state
from tests.support.events import event
from tracker.event import Failure

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
FIRST = int(START.timestamp()) // 60
PART, TAIL = 7, 5 * 60
"""How many minutes the app stays as it is; and how many all is well in the end: no silence, nothing held back."""
BOOM = Failure("Boom", "m", "app.py:7 f")
RATE = {"kind": "error_rate", "window": "6m", "min_requests": 6, "resolve_after": "2m", "repeat": "15m"}
DOWN = {"kind": "feature_down", "features": ["chat", "docs"], "window": "4m", "silence": 0, "resolve_after": "2m"}
SETTINGS = [
    {"rate": RATE, "down": {**DOWN, "min_users": 0}},
    {"rate": {**RATE, "channels": ["mail", "pager"]}, "down": {**DOWN, "min_users": 0, "features": ["docs"]}},
    {"rate": {**RATE, "recipients": ["bob@x.org"], "threshold": "60%"}, "down": {**DOWN, "min_requests": 50}},
    {"rate": {**RATE, "feature": "chat"}, "down": {**RATE, "group_interval": "10m"}},
    {"rate": {**RATE, "feature": "*", "quiet_hours": "10:00-10:40"}},
    {"down": {**DOWN, "count": "server", "for": "2m", "min_users": 0, "channels": ["pager"]}},
    {},
]
RULES = [tuple(parse_rule(name, keys) for name, keys in tables.items()) for tables in SETTINGS]


def traffic(parts):
    """A request of each feature every 20 seconds; of each part a letter a feature: well, failing, wrong, or none."""
    status, events = {".": 200, "F": 500, "w": 404, "-": None}, []
    for minute in range(len(parts) * PART + TAIL):
        letters = parts[minute // PART] if minute < len(parts) * PART else ".."
        for second in (1, 21, 41):
            for feature, letter in zip(("chat", "docs"), letters, strict=True):
                if (code := status[letter]) is not None:
                    at_us = ((FIRST + minute) * 60 + second) * 1_000_000
                    failure = BOOM if code >= 400 else None
                    user = f"u{(minute + second) % 4}@x.org"
                    events.append(
                        event(at_us, user=user, path="/c", feature=feature, status=code, ms=9, failure=failure)
                    )
    return events


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.text(alphabet=".FFFw-", min_size=2, max_size=2), min_size=3, max_size=20),
    st.dictionaries(st.integers(0, 139), st.sampled_from(range(len(SETTINGS))), max_size=4),
    st.dictionaries(st.integers(0, 139), st.sampled_from(["acknowledge", "silence-1h", "resolve"]), max_size=4),
    st.integers(0, 139),
    st.sampled_from([3, 60]),
)
def test_whoever_heard_a_beginning_hears_one_end_that_is_true(parts, edits, deeds, closed, per_hour):
    events = traffic(parts)
    history = History.of(events, FIRST * MINUTE_US, (FIRST + len(parts) * PART + TAIL) * MINUTE_US)
    work = Once(START + timedelta(minutes=closed), START + timedelta(minutes=closed + 9))
    around = Surroundings(RULES[0], ZoneInfo("UTC"), (work,), per_hour=per_hour, reserve=1, admins=("ann@x.org",))
    state, hears, unheard, fired_by = AlertState(), {}, set(), {}
    for minute in range(1, len(parts) * PART + TAIL):
        around = replace(around, rules=RULES[edits[minute]]) if minute in edits else around
        snapshot, before = history.at(FIRST + minute), state
        state, changes, notices = advance(state, snapshot, around)
        state = read_state(STATE_JSON.dump_json(state).decode())
        for change in changes:
            if change.change == "resolved":
                incident = change.incident
                since = SinceMaintenance(before.memories[incident.rule].fixed_us, state.maintained_us)
                said = {v.subject: v.state for v in judge(fired_by[incident.id], snapshot, since)}
                assert said.get(incident.subject) != "firing", "it still fails"
                assert incident.first_us <= incident.over_us <= change.at_us
                assert 0 <= incident.lasted_s <= (incident.over_us - incident.first_us) // 1_000_000 + 60
        unheard |= {change.incident.id for change in changes if change.change in OPENINGS}
        fired_by |= {
            i.id: rule for i in state.incidents() for rule in around.rules
            if i.rule == rule.name and i.fired_us == snapshot.now_us
        }  # fmt: skip
        for notice in notices:
            for t in notice.transitions:
                for name in notice.audience.names:
                    heard = hears.setdefault(t.incident.id, set())
                    if t.change in ENDS:
                        assert name in heard or t.incident.id in unheard, "an end without its beginning"
                        heard.discard(name)
                    else:
                        assert name in heard or t.change in (*OPENINGS, "unsilenced"), "a reminder of nothing"
                        heard.add(name)
                if t.change in ENDS:
                    assert not hears[t.incident.id], "somebody who heard the beginning did not hear the end"
            unheard -= {t.incident.id for t in notice.transitions}  # what began and ended unheard is told as one
        waiting = {h.transition.incident.id for h in state.held}
        told = {t.incident.id for notice in notices for t in notice.transitions}
        for change in changes:
            if change.change in ENDS and hears.get(change.incident.id):
                assert change.incident.id in waiting | told, "in the outbox within the minute, or held for a reason"
        if minute in deeds:
            now = START + timedelta(minutes=minute, seconds=20)
            for incident in state.incidents():
                if incident.status in ("open", "acknowledged"):
                    state = edit_for(deeds[minute], by="ann@x.org", now=now, zone=ZoneInfo("UTC"))(state, incident)
    assert not any(hears.values()), "every beginning has its end"
    assert (state.held, dict(state.former)) == ((), {})
