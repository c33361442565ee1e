"""Who hears of what, and when: bundling, quiet hours, silence, the budget."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.incidents import SECOND, Audience, Incident, Transition
from guardian.alerting.notices import Budget, plan, quiet_until
from guardian.settings.rules import parse_rule

ZURICH = ZoneInfo("Europe/Zurich")
RULES = {
    "error_rate": parse_rule("error_rate", {}),
    "feature_down": parse_rule("feature_down", {"recipients": ["oncall@example.com"]}),
    "user_burst": parse_rule("user_burst", {}),
    "night": parse_rule("night", {"kind": "user_burst", "quiet_hours": "22:00-07:00"}),
    "quiet": parse_rule("quiet", {"kind": "error_rate", "quiet_hours": "22:00-07:00"}),
}


def at(text: str) -> int:
    """A local moment in Zurich as Unix microseconds."""
    return int(datetime.fromisoformat(f"2026-{text}").replace(tzinfo=ZURICH).timestamp()) * SECOND


def transition(change="opened", *, name="a", rule="error_rate", now="03-16T12:00", severity="warning", **more):
    if more.get("told_us") and "heard" not in more and change not in ("reopened", "flapping"):
        more["heard"] = Audience(RULES[rule].channels, RULES[rule].recipients)
    incident = Incident(name, rule, "", severity, "resolved" if change == "resolved" else "open", since_us=0, **more)
    return Transition(incident, change, at(now))


def planned(transitions, held=(), now="03-16T12:00", budget=None, admins=1, **more):
    budget = budget or Budget()
    addresses = tuple(f"admin{n}@example.com" for n in range(admins))
    return plan(transitions, held, RULES, now_us=at(now), zone=ZURICH, budget=budget, admins=addresses, **more)


def spoken(result) -> list[tuple[str, list[str]]]:
    return [(n.form, [f"{t.incident.id} {t.change}" for t in n.transitions]) for n in result.notices]


def test_one_opening_is_one_notice_that_begins_a_thread():
    result = planned([transition()])
    assert spoken(result) == [("single", ["a opened"])]
    assert (result.notices[0].thread, result.notices[0].first, result.threads) == ("a", True, {"a": "a"})


def test_openings_of_one_minute_come_in_one_notice_and_end_in_its_thread():
    result = planned([transition(name="a"), transition(name="b")])
    assert spoken(result) == [("bundle", ["a opened", "b opened"])]
    assert result.threads == {"a": "a", "b": "a"}
    end = planned([transition("resolved", name="b", thread="a", told_us=1)])
    assert (spoken(end), end.notices[0].thread, end.notices[0].first) == ([("single", ["b resolved"])], "a", False)
    both = planned([transition("resolved", name=n, thread="a", told_us=1) for n in "ab"])
    assert spoken(both) == [("bundle", ["a resolved", "b resolved"])]


def test_rules_with_recipients_of_their_own_are_not_bundled_with_others():
    result = planned([transition(name="a"), transition(name="b", rule="feature_down")])
    assert [n.audience.recipients for n in result.notices] == [("admin0@example.com",), ("oncall@example.com",)]


def test_what_opened_and_ended_unheard_while_nobody_looked_is_one_notice():
    assert spoken(planned([transition(), transition("resolved")])) == [("single", ["a resolved"])]
    assert spoken(planned([transition("resolved")])) == [], "the end of what nobody heard of is not told"


def test_a_silenced_incident_is_not_told():
    assert planned([transition("reminder", silenced_until_us=at("03-16T12:01"), told_us=1)]).notices == ()
    assert planned([transition("reminder", silenced_until_us=at("03-16T12:00"), told_us=1)]).notices != ()


def test_quiet_hours_hold_everything_back_for_one_digest_in_the_morning():
    night = planned([transition(rule="quiet", name="a"), transition(rule="quiet", name="b")], now="03-16T23:30")
    assert (spoken(night), {h.until_us for h in night.held}) == ([], {at("03-17T07:00")})
    later = planned([transition("resolved", rule="quiet", name="b")], night.held, now="03-17T02:00")
    assert spoken(later) == []
    assert spoken(planned([], later.held, now="03-17T06:59")) == []
    morning = planned([], later.held, now="03-17T07:00")
    assert spoken(morning) == [("digest", ["a opened", "b resolved"])]
    assert morning.held == ()
    assert set(morning.threads) == {"a", "b"}


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("03-16T21:59", None),
        ("03-16T22:00", "03-17T07:00"),
        ("03-17T06:59", "03-17T07:00"),
        ("03-17T07:00", None),
        ("03-28T23:00", "03-29T07:00"),  # the night in which clocks go forward
        ("10-24T23:00", "10-25T07:00"),  # and back
    ],
)
def test_quiet_hours_end_on_the_local_clock(now, until):
    assert quiet_until((22 * 60, 7 * 60), at(now), ZURICH) == (until and at(until))


def test_quiet_hours_may_lie_within_a_day():
    assert quiet_until((12 * 60, 13 * 60), at("03-16T12:30"), ZURICH) == at("03-16T13:00")
    assert quiet_until((12 * 60, 13 * 60), at("03-16T13:00"), ZURICH) is None
    assert quiet_until(None, at("03-16T13:00"), ZURICH) is None


def test_the_last_ten_messages_of_the_hour_are_kept_for_critical_ones():
    spent = Budget(spent=50)
    assert spoken(planned([transition()], budget=spent)) == []
    assert spoken(planned([transition(severity="critical")], budget=spent)) == [("single", ["a opened"])]
    assert spoken(planned([transition(severity="critical")], budget=Budget(spent=60))) == []


def test_every_recipient_counts_towards_the_budget():
    assert spoken(planned([transition()], budget=Budget(spent=48), admins=2)) != []
    assert spoken(planned([transition()], budget=Budget(spent=49), admins=2)) == []


@pytest.mark.parametrize(("budget", "admins"), [(Budget(), 55), (Budget(per_hour=5, reserve=0), 6)])
def test_one_notice_to_everybody_fits_however_many_they_are(budget, admins):
    first = planned([transition()], budget=budget, admins=admins)
    assert (spoken(first), first.messages) == ([("single", ["a opened"])], admins)
    spent = replace(budget, spent=admins)
    assert spoken(planned([transition(name="b")], budget=spent, admins=admins)) == []
    critical = planned([transition(name="c", severity="critical")], budget=spent, admins=admins)
    assert bool(critical.notices) == bool(budget.reserve), "the reserve holds one for everybody too"


def test_the_reserve_holds_at_least_one_critical_notice_to_everybody():
    for spent, fits in ((38, True), (39, False)):
        assert bool(planned([transition()], budget=Budget(spent=spent), admins=11).notices) == fits
    assert planned([transition(severity="critical")], budget=Budget(spent=49), admins=11).notices


def test_notices_of_one_thread_in_one_minute_have_names_of_their_own():
    changes = [
        transition("resolved", name="a", thread="T", told_us=1),
        transition("reopened", name="b", thread="T", told_us=1),
    ]
    names = {(n.thread, n.name) for n in planned(changes).notices}
    assert len(names) == 2
    elsewhere = planned([transition("resolved", name="c", thread="T", rule="feature_down", told_us=1)]).notices
    assert (elsewhere[0].thread, elsewhere[0].name) not in names


def test_overflow_becomes_one_digest_an_hour_after_it_began():
    first = planned([transition(name="a")], budget=Budget(spent=60))
    assert {h.until_us for h in first.held} == {at("03-16T13:00")}
    second = planned([transition(name="b", now="03-16T12:40")], first.held, "03-16T12:40", Budget(spent=60))
    assert {h.until_us for h in second.held} == {at("03-16T13:00")}
    end = planned([transition("resolved", name="a", now="03-16T12:50")], second.held, "03-16T12:50", Budget(spent=5))
    assert spoken(end) == [], "it joins what waits already"
    assert spoken(planned([], end.held, "03-16T13:00")) == [("overflow", ["a resolved", "b opened"])]


def test_nothing_is_lost_between_notices_and_what_waits():
    many = [transition(name=f"{i:03}", rule="feature_down" if i % 2 else "error_rate") for i in range(70)]
    result = planned(many, budget=Budget(per_hour=1, reserve=0))
    told = {t.incident.id for n in result.notices for t in n.transitions}
    held = {h.transition.incident.id for h in result.held}
    assert told | held == {t.incident.id for t in many}
    assert not told & held
    assert datetime.fromtimestamp(min(h.until_us for h in result.held) / SECOND, UTC).minute == 0


def burst(change="opened", **more):
    return transition(change, rule=more.pop("rule", "user_burst"), **more)


def test_what_opens_soon_after_the_last_opening_of_its_rule_waits_for_others():
    first = planned([burst(name="a")], last_told={})
    assert spoken(first) == [("single", ["a opened"])]
    told = {"user_burst opening": at("03-16T12:00")}
    second = planned([burst(name="b")], now="03-16T12:03", last_told=told)
    third = planned([burst(name="c")], held=second.held, now="03-16T12:08", last_told=told)
    assert (second.notices, third.notices, [h.why for h in third.held]) == ((), (), ["group", "group"])
    assert planned([], held=third.held, now="03-16T12:09", last_told=told).notices == ()
    both = planned([], held=third.held, now="03-16T12:10", last_told=told)
    assert spoken(both) == [("bundle", ["b opened", "c opened"])]
    assert (both.notices[0].first, both.held, both.threads) == (True, (), {"b": "b", "c": "b"})


def test_other_rules_and_rules_without_an_interval_do_not_wait():
    told = {"user_burst opening": at("03-16T12:00"), "error_rate opening": at("03-16T12:00")}
    assert spoken(planned([transition()], now="03-16T12:01", last_told=told)) == [("single", ["a opened"])]
    assert spoken(planned([burst()], now="03-16T12:01", last_told={"error_rate opening": at("03-16T12:00")})) != []


def test_what_is_over_or_silenced_before_anybody_heard_is_not_told():
    told = {"user_burst opening": at("03-16T12:00")}
    waiting = planned([burst(name="a"), burst(name="b")], now="03-16T12:03", last_told=told)
    later = planned([burst("resolved", name="a")], held=waiting.held, now="03-16T12:05", last_told=told)
    assert later.notices == ()
    assert spoken(planned([], held=later.held, now="03-16T12:10", last_told=told)) == [("single", ["b opened"])]
    silenced = burst(name="a", silenced_until_us=at("03-16T13:00"))
    held = planned([burst(name="a")], now="03-16T12:03", last_told=told).held
    held = tuple(replace(h, transition=silenced) for h in held)
    assert planned([], held=held, now="03-16T12:10", last_told=told).notices == ()


def test_the_newest_of_what_waited_is_told_once():
    told = {"user_burst opening": at("03-16T12:00")}
    waiting = planned([burst(name="a")], now="03-16T12:03", last_told=told)
    result = planned([burst("flapping", name="a")], held=waiting.held, now="03-16T12:10", last_told=told)
    assert spoken(result) == [("single", ["a flapping"])]


def test_what_waited_into_the_quiet_hours_waits_for_the_morning():
    told = {"night opening": at("03-16T21:55")}
    waiting = planned([burst(name="a", rule="night")], now="03-16T21:58", last_told=told)
    night = planned([], held=waiting.held, now="03-16T22:05", last_told=told)
    assert (night.notices, [h.why for h in night.held]) == ((), ["quiet"])
    assert spoken(planned([], held=night.held, now="03-17T07:00", last_told=told)) == [("digest", ["a opened"])]


def test_ends_of_a_rule_are_told_together_too_each_in_its_thread():
    told = {"user_burst end": at("03-16T12:00")}
    ends = [burst("resolved", name=name, thread=thread, told_us=1) for name, thread in ("aT", "bT", "cU")]
    waiting = planned(ends, now="03-16T12:03", last_told=told)
    assert (waiting.notices, len(waiting.held)) == ((), 3)
    result = planned([], held=waiting.held, now="03-16T12:10", last_told=told)
    assert [(n.thread, n.first, len(n.transitions)) for n in result.notices] == [("T", False, 2), ("U", False, 1)]
    assert spoken(planned(ends[:1], now="03-16T12:10", last_told=told)) == [("single", ["a resolved"])]


def test_an_opening_does_not_wait_for_an_end_nor_an_end_for_an_opening():
    for told, change in (("end", "opened"), ("opening", "resolved")):
        last = {f"user_burst {told}": at("03-16T12:00")}
        assert planned([burst(change, told_us=1)], now="03-16T12:01", last_told=last).notices != ()


def test_the_end_of_a_silenced_incident_is_told_when_the_silence_is_over():
    until = at("03-16T13:00")
    silenced = {"told_us": 1, "thread": "a", "silenced_until_us": until}
    held = planned([transition("resolved", **silenced)]).held
    assert [(h.why, h.until_us) for h in held] == [("silence", until)]
    result = planned([], held=held, now="03-16T13:00")
    assert (spoken(result), result.notices[0].thread) == ([("single", ["a resolved"])], "a")
    again = planned([transition("reopened", **silenced)], held=held, now="03-16T12:30")
    assert (again.notices, again.held) == ((), ()), "that it still fires is said when the silence is over"


def test_what_the_budget_held_back_is_not_told_in_quiet_hours():
    held = planned([transition(rule="quiet", now="03-16T21:30")], now="03-16T21:30", budget=Budget(spent=60)).held
    night = planned([], held=held, now="03-16T22:30")
    assert (night.notices, [(h.why, h.until_us) for h in night.held]) == ((), [("quiet", at("03-17T07:00"))])


def test_the_end_of_the_quiet_hours_tells_an_incident_once_and_in_its_own_thread():
    night = planned([transition(rule="quiet", name="a")], now="03-16T23:30")
    both = planned([transition("resolved", rule="quiet", name="a", now="03-17T07:00")], night.held, now="03-17T07:00")
    assert spoken(both) == [("digest", ["a resolved"])]
    ended = transition("resolved", rule="quiet", name="b", thread="b", told_us=1)
    night = planned([ended, transition(rule="quiet", name="c")], now="03-16T23:30")
    morning = planned([], night.held, now="03-17T07:00")
    assert [(n.form, n.thread, n.first) for n in morning.notices][1:] == [("single", "b", False)]
    assert spoken(morning)[0] == ("digest", ["c opened"])


def test_reminders_do_not_pile_up_in_quiet_hours():
    night = planned([transition("reminder", rule="quiet", told_us=1, thread="a")], now="03-16T23:30")
    for minute in range(31, 60):
        again = transition("reminder", rule="quiet", told_us=1, thread="a")
        night = planned([again], night.held, now=f"03-16T23:{minute}")
    assert len(night.held) == 1
    assert spoken(planned([], night.held, now="03-17T07:00")) == [("single", ["a reminder"])]


def test_quiet_hours_that_end_in_the_hour_that_comes_twice_never_end_in_the_past():
    second = datetime(2026, 10, 25, 2, 30, tzinfo=ZURICH, fold=1)
    now_us = int(second.timestamp()) * SECOND
    until = quiet_until((22 * 60, 2 * 60 + 45), now_us, ZURICH)
    assert until == int(second.replace(minute=45).timestamp()) * SECOND


def test_what_a_person_ended_is_told_at_once_to_those_who_heard_of_it():
    closed = transition("resolved", rule="user_burst", told_us=1, thread="a", now="03-16T12:01")
    closed = replace(closed, change="closed")
    told = {"user_burst end": at("03-16T12:00")}
    assert spoken(planned([closed], now="03-16T12:01", last_told=told)) == [("single", ["a closed"])]
    unheard = replace(closed, incident=replace(closed.incident, told_us=None, heard=None, thread=None))
    assert planned([unheard], now="03-16T12:01", last_told=told).notices == ()
