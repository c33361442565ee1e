"""The life of an incident, minute by minute, as tables of verdicts in and changes out."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.alerting.incidents import REOPEN_WITHIN, SECOND, SUBJECTS, Memory
from guardian.alerting.life import after_verdicts
from guardian.alerting.verdicts import Verdict
from guardian.settings.rules import parse_rule

MINUTE = 60 * SECOND
STATES = {"F": "firing", ".": "ok", "?": "no_data"}


def live(
    verdicts: str, *, rule=None, memory=None, start=0, tell=True, muted="", subject=""
) -> tuple[Memory, list[str]]:
    """Feed one verdict a minute ("F" fires, "." is well, "?" unknown); what changed, as "minute change".

    With `tell`, each change is told at once, as `notices` does outside quiet hours.
    """
    rule = rule or parse_rule("error_rate", {})
    memory = memory or Memory()
    changes = []
    for minute, letter in enumerate(verdicts, start):
        now = minute * MINUTE
        verdict = Verdict(rule.name, subject, STATES[letter], 0.5 if letter == "F" else 0.0)
        quiet = bool(muted) and muted[minute - start] == "m"
        memory, transitions = after_verdicts(rule, [verdict], memory, now, alive=True, muted=quiet)
        for transition in transitions:
            changes.append(f"{minute} {transition.change}")
            if tell:
                told = replace(transition.incident, told_us=now)
                memory = replace(memory, latest={**memory.latest, subject: told})
    return memory, changes


def test_a_fix_is_remembered_as_long_as_the_longest_window_reaches_back():
    days = 24 * 60
    for start, left in ((7 * days, {"": 0}), (7 * days + 1, {})):
        assert live("F", memory=Memory(fixed_us={"": 0}), start=start)[0].fixed_us == left


@pytest.mark.parametrize(
    ("keys", "verdicts", "changes"),
    [
        ({}, "....", []),
        ({}, ".FFF", ["1 opened"]),
        ({}, "FFF.....", ["0 opened"]),
        ({}, "FFF......", ["0 opened", "8 resolved"]),  # well since minute 3, for 5 minutes
        ({}, "FFF...F......", ["0 opened", "12 resolved"]),  # fired again before it was over
        ({}, "FFF????????????", ["0 opened"]),  # no data never resolves
        ({}, "FFF.????.", ["0 opened", "8 resolved"]),
        ({"for": "2m"}, "FF.FFF", ["5 opened"]),  # it must hold without a break
        ({"for": "2m"}, "F?F", ["2 opened"]),  # the unknown is no break
        ({"for": "5m"}, "F" + "?" * 600 + "F", []),  # but ten hours without data do not count
        ({"for": "5m"}, "F" + "?" * 600 + "FFFFF", ["605 opened"]),
        ({"resolve_after": 0}, "F.", ["0 opened", "1 resolved"]),
        ({"repeat": "3m"}, "FFFFFFFF", ["0 opened", "3 reminder", "6 reminder"]),
        ({"repeat": "3m"}, "F????F", ["0 opened", "5 reminder"]),  # nobody says "still firing" of what is not known
        ({"repeat": 0}, "F" * 500, ["0 opened"]),
    ],
)
def test_an_incident_opens_repeats_and_resolves(keys, verdicts, changes):
    assert live(verdicts, rule=parse_rule("error_rate", keys))[1] == changes


def test_what_fires_again_within_the_hour_goes_on_in_the_same_incident():
    rule = parse_rule("error_rate", {"resolve_after": "1m"})
    memory, changes = live("F..F", rule=rule)
    assert changes == ["0 opened", "2 resolved", "3 reopened"]
    assert memory.number[""] == 1
    memory, changes = live("F.." + "." * (REOPEN_WITHIN // 60) + "F", rule=rule)
    assert changes == ["0 opened", "2 resolved", f"{3 + REOPEN_WITHIN // 60} opened"]
    assert memory.number[""] == 2
    assert memory.latest[""].earlier == 1


def test_flapping_is_said_once_and_ends_with_one_word_after_half_an_hour_of_calm():
    rule = parse_rule("error_rate", {"resolve_after": "1m", "repeat": "10m"})
    memory, changes = live("F..F..F..F..F..", rule=rule)
    assert changes == ["0 opened", "2 resolved", "3 reopened", "5 resolved", "6 flapping"]
    memory, changes = live("." * 29, rule=rule, memory=memory, start=15)
    assert changes == ["43 resolved"], "30 minutes after it was last seen well, at minute 13"
    assert live("F", rule=rule, memory=memory, start=44)[1] == ["44 reopened"], "what comes after the calm is news"


def test_a_flapping_incident_that_goes_on_is_repeated_and_spoken_of_after_a_silence():
    rule = parse_rule("error_rate", {"resolve_after": "1m", "repeat": "10m"})
    memory, changes = live("F..F..F" + "F" * 10, rule=rule)
    assert changes[-2:] == ["6 flapping", "16 reminder"]
    memory = replace(memory, latest={"": replace(memory.latest[""], silenced_until_us=20 * MINUTE)})
    assert live("F" * 5, rule=rule, memory=memory, start=17)[1] == ["20 unsilenced"]


def test_what_was_silenced_before_anybody_heard_of_it_is_told_when_the_silence_is_over():
    memory, _ = live("F", tell=False)
    memory = replace(memory, latest={"": replace(memory.latest[""], silenced_until_us=3 * MINUTE)})
    assert live("FFF", memory=memory, start=1)[1] == ["3 unsilenced"]


def test_marked_as_fixed_is_remembered_as_long_as_the_longest_window():
    week = parse_rule("error_rate", {"window": "7d"})
    memory = Memory(fixed_us={"": 0})
    firing = Verdict(week.name, "", "firing", 0.5)
    assert after_verdicts(week, [firing], memory, week.window * SECOND, alive=True)[0].fixed_us == {"": 0}
    assert after_verdicts(week, [firing], memory, (week.window + 60) * SECOND, alive=True)[0].fixed_us == {}
    with pytest.raises(ValueError, match="7d"):
        parse_rule("error_rate", {"window": "8d"})


def test_what_a_person_ended_is_told_once():
    memory, _ = live("F")
    closed = replace(memory.latest[""], status="resolved", resolved_us=30 * SECOND, closing=True)
    memory = replace(memory, latest={"": closed})
    memory, changes = live("..", memory=memory, start=1)
    assert changes == ["1 closed"]
    assert not memory.latest[""].closing
    assert live("F", memory=replace(memory, latest={"": closed}), start=1)[1] == ["1 closed", "1 reopened"]


def test_a_maintenance_window_does_not_count_as_time_that_it_held():
    rule = parse_rule("error_rate", {"for": "3m"})
    assert live("FFFFFFFF", rule=rule, muted=" mmmmmm ")[1] == []
    assert live("FFFFFFFF", rule=rule, muted=" mmm    ")[1] == ["7 opened"]


def test_minutes_in_which_nothing_came_do_not_count_as_time_that_it_held():
    rule, memory, opened = parse_rule("error_rate", {"for": "30m"}), Memory(), []
    for minute in range(200):  # a window of hours holds the same few failures for hours
        firing = [Verdict(rule.name, "", "firing", 0.5)]
        busy = minute in (0, 60, 120) or minute > 150
        memory, found = after_verdicts(
            rule, firing, memory, minute * MINUTE, alive=True, fresh=lambda subject, busy=busy: busy
        )
        opened += [minute for transition in found if transition.change == "opened"]
    assert opened == [150 + 30 - 2], "the first three were a minute each, one of them the first"


def test_a_silence_lasts_over_the_end_to_the_next_incident_within_its_time():
    rule = parse_rule("error_rate", {"resolve_after": "1m"})
    memory, _ = live("F", rule=rule)
    silenced = replace(memory.latest[""], silenced_until_us=480 * MINUTE, acknowledged_by="ann")
    memory, changes = live("." * 120, rule=rule, memory=replace(memory, latest={"": silenced}), start=1)
    assert changes == ["2 resolved"]
    memory, changes = live("F", rule=rule, memory=memory, start=121)
    assert changes == ["121 opened"]
    assert memory.latest[""].id != silenced.id
    assert (memory.latest[""].silenced(479 * MINUTE), memory.latest[""].acknowledged_by) == (True, "ann")
    assert live("F" * 5, rule=rule, memory=memory, start=477)[1] == ["480 unsilenced"], "what still fires then is told"
    memory, _ = live("." * 500, rule=rule, memory=memory, start=122)
    assert live("F", rule=rule, memory=memory, start=622)[0].latest[""].silenced_until_us is None


def test_nothing_is_repeated_within_a_maintenance_window():
    rule = parse_rule("error_rate", {"repeat": "3m"})
    assert live("F" * 12, rule=rule, muted="  mmmmmm    ")[1] == ["0 opened", "8 reminder", "11 reminder"]


def test_a_clock_that_was_set_back_gives_no_two_incidents_one_id():
    rule = parse_rule("error_rate", {})
    first, _ = live("F", rule=rule, start=100)
    memory, _ = live("F", rule=rule, memory=replace(first, latest={}), start=100)
    assert memory.latest[""].id != first.latest[""].id


def test_how_many_incidents_a_person_has_had_is_known_of_those_who_had_one_last():
    rule = parse_rule("user_burst", {})
    memory, changes = live("F", rule=rule, subject="first@x.org")
    for n in range(SUBJECTS + 50):
        verdicts = [Verdict(rule.name, f"u{n}@x.org", "firing", 5.0)]
        if n == SUBJECTS // 2:
            verdicts.append(Verdict(rule.name, "u0@x.org", "firing", 5.0))
        memory, _ = after_verdicts(rule, verdicts, memory, (100 + 100 * n) * MINUTE, alive=True)
    assert changes == ["0 opened"]
    assert len(memory.number) == SUBJECTS
    assert (memory.number["u0@x.org"], memory.number[f"u{SUBJECTS + 49}@x.org"]) == (2, 1)
    assert not {"first@x.org", "u1@x.org"} & memory.number.keys()


def test_maintenance_opens_nothing_and_what_lasts_beyond_it_opens_then():
    assert live("FFFF", muted="mmm ")[1] == ["3 opened"]
    assert live("FF..", muted="mm  ")[1] == []


def test_an_acknowledged_incident_is_not_repeated_but_its_end_is_told():
    rule = parse_rule("error_rate", {"repeat": "2m"})
    memory, _ = live("F", rule=rule)
    memory = replace(memory, latest={"": replace(memory.latest[""], status="acknowledged", acknowledged_by="ann")})
    assert live("FFFFFF......", rule=rule, memory=memory, start=1)[1] == ["12 resolved"]


def test_after_a_silence_what_still_fires_is_said_at_once():
    memory, _ = live("F")
    memory = replace(memory, latest={"": replace(memory.latest[""], silenced_until_us=10 * MINUTE)})
    assert live("F" * 12, memory=memory, start=1)[1] == ["10 unsilenced"]


def test_a_subject_without_a_verdict_is_well_only_while_there_is_traffic():
    rule = parse_rule("user_burst", {})
    fired = Verdict("user_burst", "ann@example.com", "firing", 5)
    for alive, end in ((True, "resolved"), (False, "open")):
        memory, _ = after_verdicts(rule, [fired], Memory(), 0, alive=True)
        for minute in range(1, 20):
            memory, _ = after_verdicts(rule, [], memory, minute * MINUTE, alive=alive)
        assert memory.latest["ann@example.com"].status == end


def test_an_incident_knows_the_last_good_moment_and_its_worst_value():
    memory, _ = live("..?F")
    assert memory.latest[""].last_good_us == 1 * MINUTE
    rule = parse_rule("error_rate", {})
    for now, value in ((4, 0.9), (5, 0.3)):
        memory, _ = after_verdicts(rule, [Verdict(rule.name, "", "firing", value)], memory, now * MINUTE, alive=True)
    assert (memory.latest[""].peak, memory.latest[""].value) == (0.9, 0.3)


@given(st.text(alphabet="F.?", max_size=80), st.integers(0, 80))
def test_a_restart_between_any_two_minutes_changes_nothing(verdicts, cut):
    rule = parse_rule("error_rate", {"for": "1m", "resolve_after": "2m", "repeat": "5m"})
    whole, changes = live(verdicts, rule=rule)
    first, before = live(verdicts[:cut], rule=rule)
    second, after = live(verdicts[cut:], rule=rule, memory=first, start=len(verdicts[:cut]))
    assert (second, before + after) == (whole, changes)


@given(st.text(alphabet="F.?", max_size=200))
def test_openings_and_ends_alternate_and_repeats_lie_between_them(verdicts):
    rule = parse_rule("error_rate", {"resolve_after": "1m", "repeat": "3m"})
    open_now = False
    for change in (c.split()[1] for c in live(verdicts, rule=rule)[1]):
        assert open_now == (change in ("resolved", "reminder"))
        open_now = change != "resolved"
