"""What a rule no longer watches, because the settings were changed while it fired, is never called resolved."""

from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.history import History
from guardian.settings.rules import parse_rule
from guardian.stores.alert_state import STATE_JSON, read_state
from tests.unit.alerting.test_onset import MINUTE_US, START_US, every

DOWN = {"silence": 0, "resolve_after": "5m"}
BROKEN = [
    *every(3, "09:00:01", "12:00", user="ann{}@x.org"),
    *every(3, "09:30:02", "12:00", status=503, feature="docs"),
    *every(30, "09:00:02", "12:00", feature="rest"),
]


def live(*rules_from, until=120, events=BROKEN):
    """The changes as (minute, subject, change); `rules_from` are (minute, name, keys) of what the settings become."""
    history = History.of(sorted(events), START_US, START_US + 600 * MINUTE_US)
    state, found = AlertState(), []
    for minute in range(1, until + 1):
        _, name, keys = max((r for r in rules_from if r[0] <= minute), key=lambda r: r[0])
        rules = (parse_rule(name, keys, critical_features=("chat",)),) if name else ()
        around = Surroundings(rules, ZoneInfo("UTC"), admins=("ann@x.org",))
        state, changes, _ = advance(state, history.at(START_US // MINUTE_US + minute), around)
        state = read_state(STATE_JSON.dump_json(state).decode())
        found += [(minute, t.incident.subject, t.change) for t in changes]
    return found, state


def rate(**keys):
    return {"resolve_after": "5m", "window": "10m", **keys}


@pytest.mark.parametrize(
    ("name", "first", "then", "subject"),
    [
        ("feature_down", {**DOWN, "features": ["chat", "docs"]}, {**DOWN, "features": ["chat"]}, "docs"),
        ("feature_down", {**DOWN, "features": ["d*"]}, {**DOWN, "features": ["c*"]}, "docs"),
        ("feature_down", {**DOWN, "features": ["docs"]}, DOWN, "docs"),
        ("error_rate", rate(), rate(feature="chat"), ""),
        ("error_rate", rate(feature="*"), rate(), "docs"),
        ("error_rate", rate(), rate(threshold="90%"), ""),
        ("error_rate", rate(), rate(min_requests=100_000), ""),
        ("error_rate", rate(), rate(min_users=50), ""),
        ("error_rate", rate(), rate(window="1m", min_requests=1000), ""),
        ("error_rate", rate(), {"kind": "burn_rate", "objective": "10%", "resolve_after": "5m"}, ""),
        ("user_burst", {"errors": 2}, {"errors": 1000}, "u0@x.org"),
    ],
)
def test_an_edit_that_ends_the_firing_is_told_as_no_longer_watched(name, first, then, subject):
    found, state = live((0, name, first), (60, name, then))
    mine = [(minute, change) for minute, about, change in found if about == subject]
    assert [change for _, change in mine] == ["opened", "unwatched"]
    assert mine[1][0] == 60
    assert [change for _, _, change in found if change == "resolved"] == []
    assert dict(state.former) == {}


def test_what_still_fires_by_the_changed_rule_goes_on_and_ends_by_it():
    failing = [*every(3, "09:00:01", "12:00"), *every(1, "09:30:02", "10:30", status=503)]
    found, _ = live((0, "error_rate", rate()), (60, "error_rate", rate(threshold="20%")), events=failing)
    assert [change for _, _, change in found] == ["opened", "resolved"]
    ended = found[1][0]
    assert ended > 90


def test_what_is_well_by_the_old_rule_too_is_resolved():
    failing = [*every(3, "09:00:01", "12:00"), *every(1, "09:30:02", "10:00", status=503)]
    found, _ = live((0, "error_rate", rate()), (68, "error_rate", rate(threshold="50%")), events=failing)
    assert [change for _, _, change in found] == ["opened", "unwatched"], "it would still fire for some minutes"
    found, _ = live((0, "error_rate", rate()), (71, "error_rate", rate(threshold="50%")), events=failing)
    assert [change for _, _, change in found] == ["opened", "resolved"]


def test_what_is_not_known_by_the_old_rule_is_not_called_well_by_the_new_one():
    events = [*every(3, "09:00:01", "12:00", feature="rest"), *every(3, "09:10:02", "09:40", status=404),
              *every(400, "09:40:02", "12:00", status=404)]  # fmt: skip
    found, _ = live(
        (0, "feature_down", DOWN), (55, "feature_down", {**DOWN, "count": "server", "min_requests": 1}), events=events
    )
    assert [change for _, about, change in found] == ["opened", "unwatched"]


def test_a_rule_that_watches_it_again_begins_anew():
    wide, narrow = {**DOWN, "features": ["chat", "docs"]}, {**DOWN, "features": ["chat"]}
    found, state = live((0, "feature_down", wide), (60, "feature_down", narrow), (65, "feature_down", wide))
    assert [(about, change) for _, about, change in found] == [
        ("docs", "opened"),
        ("docs", "unwatched"),
        ("docs", "opened"),
    ]
    again = next(i for i in state.incidents() if i.subject == "docs")
    assert (again.status, again.earlier, again.end) == ("open", 1, None)
    found, _ = live((0, "feature_down", wide), (60, "", {}), (65, "feature_down", wide))
    assert [change for _, _, change in found] == ["opened", "removed", "opened"]


def test_edits_that_change_no_verdict_change_nothing():
    found, _ = live((0, "error_rate", rate()), (60, "error_rate", rate(recipients=["bob@x.org"], severity="critical")))
    assert [change for _, _, change in found] == ["opened"]
