"""Why an incident is, as far as the requests of its time and of another tell."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.alerting.explaining import UNEXPLAINED, explain, explain_change
from guardian.alerting.incidents import Incident
from guardian.alerting.sample import NO_SAMPLE, Sample
from guardian.core.cause import Cause, Way
from guardian.settings.rules import parse_rule
from tests.support.events import event as made
from tracker.event import Failure
from tracker.source import Source

SECOND, WEEK = 1_000_000, 7 * 86400
NOW = 1_772_442_000
"""Seconds since 1970."""
INCIDENT = Incident(
    "i", "r", "", "warning", "open", since_us=(NOW - 600) * SECOND, onset_us=(NOW - 600) * SECOND,
    fired_us=NOW * SECOND,
)  # fmt: skip
KEY_ERROR = Failure("KeyError", "no", "chat.py:118 answer")
OLD, NEW = Source("2.4.0", "web-1"), Source("2.4.1", "web-1")


def traffic(start, end, number, *, route="/chat", users=20, source=OLD, failure=None, took=5_000, user=None):
    """So many requests between `start` and `end` seconds before now, in turn by so many people."""
    status = 200 if failure is None else 500
    return [
        (
            made(
                int((NOW - start + (start - end) * n / number) * SECOND), user=user or f"u{n % users}@x.org",
                feature=route[1:], path=route, status=status, duration_us=took, failure=failure,
            ),
            source,
        )
        for n in range(number)
    ]  # fmt: skip


def why(kind, requests, incident=INCIDENT, **settings):
    def read(start_us, end_us):
        return Sample.of([pair for pair in requests if start_us <= pair[0].at_us < end_us], 20_000)

    return explain(parse_rule(kind, settings), incident, NOW * SECOND, read)


def named(explanation):
    return [(found.dimension, found.value) for found in explanation.cause.found]


BEFORE = [*traffic(4200, 600, 400), *traffic(4200, 600, 400, route="/files")]


def test_a_release_that_breaks_one_route_is_named_with_the_route_and_the_error():
    told = why(
        "error_rate",
        [
            *BEFORE,
            *traffic(600, 0, 60, source=NEW, failure=KEY_ERROR),
            *traffic(600, 0, 60, route="/files", source=NEW),
            *traffic(WEEK + 600, WEEK, 500),
        ],
    )
    assert set(named(told)) == {("release", "2.4.1"), ("route", "/chat")}
    assert (told.of, told.days) == ("failed", 7)
    assert told.way == Way(("KeyError", "chat.py:118 answer"), 60, 60, 0, 500)


def test_what_there_is_nothing_of_a_week_before_is_compared_with_the_day_before():
    told = why("error_rate", [*traffic(600, 0, 60, failure=KEY_ERROR), *traffic(86400 + 600, 86400, 90)])
    assert (told.days, told.way.before, told.way.before_requests) == (1, 0, 90)
    alone = why("error_rate", traffic(600, 0, 60, failure=KEY_ERROR))
    assert (alone.days, alone.way.before_requests) == (0, None)


def test_a_few_requests_of_a_week_before_are_no_comparison_where_there_were_more_the_day_before():
    now, day = traffic(600, 0, 60, failure=KEY_ERROR), traffic(86400 + 600, 86400, 90)
    for week, days, requests in ((1, 1, 90), (49, 1, 90), (50, 7, 50)):
        told = why("error_rate", [*now, *day, *traffic(WEEK + 600, WEEK, week)])
        assert (told.days, told.way.before_requests) == (days, requests)
    fewer = why("error_rate", [*now, *traffic(86400 + 600, 86400, 20), *traffic(WEEK + 600, WEEK, 20)])
    assert (fewer.days, fewer.way.before_requests) == (7, 20)


def test_of_a_rush_that_is_compared_with_nothing_it_is_not_said_that_it_is_spread():
    rush = [*traffic(600, 0, 1100, user="bot@x.org"), *traffic(600, 0, 100)]
    assert why("traffic_spike", rush).cause == Cause()
    alike = explain_change(Sample.of(traffic(600, 0, 900), 20_000), NO_SAMPLE, of="more", zone=ZoneInfo("UTC"))
    assert alike.cause == Cause()


def test_what_nearly_all_came_from_one_person_is_not_spread_over_people():
    gone = [*traffic(86400 + 600, 86400, 1100, user="bot@x.org"), *traffic(86400 + 600, 86400, 100)]
    assert why("traffic_drop", gone).cause == Cause()
    alike = why("traffic_drop", traffic(86400 + 600, 86400, 1200))
    assert alike.cause == Cause(even=("person",))


def test_where_all_fail_alike_nothing_is_blamed_and_that_is_told():
    failing = [
        *traffic(600, 0, 60, failure=KEY_ERROR), *traffic(600, 0, 60),
        *traffic(600, 0, 60, route="/files", failure=KEY_ERROR), *traffic(600, 0, 60, route="/files"),
    ]  # fmt: skip
    told = why("error_rate", [*BEFORE, *failing])
    assert named(told) == []
    assert {"route", "person"} <= set(told.cause.even)


def test_a_route_that_always_fails_is_not_the_cause():
    flaky = [*traffic(4200, 0, 100, route="/old", failure=KEY_ERROR), *traffic(4200, 0, 100, route="/old")]
    week = [
        (event._replace(at_us=event.at_us - WEEK * SECOND), source)
        for event, source in [*flaky, *BEFORE, *traffic(600, 0, 60)]
    ]
    told = why("error_rate", [*BEFORE, *flaky, *week, *traffic(600, 0, 60, source=NEW, failure=KEY_ERROR)])
    assert named(told)[0] == ("release", "2.4.1")
    assert ("route", "/old") not in named(told)


def test_what_began_again_is_explained_by_what_goes_on_now():
    """A release broke the chat and was rolled back; within the hour the next one breaks it in the same way."""
    newer = Source("2.4.2", "web-1")
    told = why(
        "error_rate",
        [
            *traffic(7200, 3000, 400),
            *traffic(3000, 2400, 90, source=NEW, failure=KEY_ERROR),
            *traffic(2400, 300, 300),
            *traffic(300, 0, 60, source=newer, failure=KEY_ERROR),
            *traffic(300, 0, 60, route="/files", source=newer),
        ],
        replace(INCIDENT, onset_us=(NOW - 3000) * SECOND, again_us=(NOW - 300) * SECOND),
        window="5m",
    )
    assert set(named(told)) == {("release", "2.4.2"), ("route", "/chat")}
    assert (told.way.bad, told.way.of) == (60, 60)


def test_a_rule_about_server_errors_ignores_the_others():
    missing = Failure("HTTP 404", "")
    other = [(event._replace(status=404, failure=missing), source) for event, source in traffic(600, 0, 90)]
    told = why("error_rate", [*BEFORE, *other, *traffic(600, 0, 30, route="/files", failure=KEY_ERROR)], count="server")
    assert named(told)[0] == ("route", "/files")


def test_errors_that_come_anyhow_do_not_hide_who_has_the_new_one():
    anyhow = [
        (event._replace(status=404, failure=Failure("HTTP 404", "")), source)
        for event, source in traffic(4200, 0, 40, route="/files", users=40)
    ]
    week = [(event._replace(at_us=event.at_us - WEEK * SECOND), source) for event, source in [*anyhow, *BEFORE]]
    told = why("error_rate", [*BEFORE, *anyhow, *week, *traffic(600, 0, 6, user="ann@x.org", failure=KEY_ERROR)])
    assert named(told)[0] == ("person", "ann@x.org")
    assert (told.cause.found[0].bad, told.cause.found[0].of) == (6, 46)


def test_a_rule_about_one_feature_looks_at_that_alone():
    failing = traffic(600, 0, 60, source=NEW, failure=KEY_ERROR)
    noise = traffic(600, 0, 200, route="/files", failure=KEY_ERROR)
    told = why("error_rate", [*BEFORE, *failing, *noise], replace(INCIDENT, subject="chat"), feature="chat")
    assert named(told) == [("release", "2.4.1")]


def test_a_slow_instance_is_named():
    slow, quick = Source("2.4.0", "web-2"), Source("2.4.0", "web-1")
    requests = [
        *traffic(4200, 0, 200, source=quick),
        *traffic(4200, 600, 200, source=slow),
        *traffic(600, 0, 60, source=slow, took=9_000_000),
    ]
    told = why("latency", requests, replace(INCIDENT, subject="chat"), feature="chat", threshold_ms=2000)
    assert (told.of, named(told), told.way) == ("slow", [("instance", "web-2")], None)


def test_of_too_few_requests_it_is_told_which_feature_is_missing():
    week = [*traffic(WEEK + 3600, WEEK, 300), *traffic(WEEK + 3600, WEEK, 300, route="/files")]
    told = why("traffic_drop", [*week, *traffic(3600, 0, 300, route="/files")])
    assert (told.of, named(told)) == ("missing", [("feature", "chat")])
    assert (told.cause.found[0].bad, told.cause.found[0].requests) == (300, 300)


def test_of_too_many_requests_it_is_told_whose_they_are():
    week = traffic(WEEK + 3600, WEEK, 300)
    told = why("traffic_spike", [*week, *traffic(3600, 0, 300), *traffic(3600, 0, 900, user="bot@x.org")])
    assert (told.of, named(told)) == ("more", [("person", "bot@x.org")])


def test_of_a_burst_of_one_person_it_is_told_whether_others_met_it():
    burst = replace(INCIDENT, subject="ann@x.org", of_user=True)
    mine = traffic(500, 0, 10, failure=KEY_ERROR, user="ann@x.org")
    assert why("user_burst", [*mine, *traffic(600, 0, 100)], burst).others == (0, 20)
    usual = traffic(WEEK + 500, WEEK, 40, user="ann@x.org")
    told = why("user_burst", [*mine, *traffic(600, 0, 100), *usual], burst)
    assert told.way == Way(("KeyError", "chat.py:118 answer"), 10, 10, 0, 40), "with what is usual for that person"
    others = traffic(500, 0, 30, failure=KEY_ERROR, users=3)
    assert why("user_burst", [*mine, *others, *traffic(600, 0, 100)], burst).others == (3, 20)


@pytest.mark.parametrize("name", ["anonymous", "erased-0123456789abcdef"])
def test_who_is_nobody_is_counted_and_not_named(name):
    told = why("error_rate", [*traffic(4200, 0, 400), *traffic(600, 0, 60, failure=KEY_ERROR, user=name)])
    assert all(found.dimension != "person" for found in told.cause.found)


def test_of_an_error_that_is_new_only_that_one_counts():
    new = replace(INCIDENT, facts={"kind": "KeyError", "place": "chat.py:118 answer"})
    noise = traffic(600, 0, 90, route="/files", failure=Failure("Boom", "", "a.py:1 f"))
    told = why("new_error", [*BEFORE, *noise, *traffic(600, 0, 30, failure=KEY_ERROR)], new)
    assert named(told)[0] == ("route", "/chat")


def test_nothing_is_said_of_a_tracker_that_is_silent_or_where_nothing_came():
    assert why("tracker_silent", BEFORE) is UNEXPLAINED
    assert why("error_rate", []).cause.found == ()


def test_after_its_end_an_incident_is_explained_by_its_own_time():
    over = replace(
        INCIDENT, status="resolved", since_us=(NOW - 7200) * SECOND, onset_us=(NOW - 7200) * SECOND,
        recovery_us=(NOW - 6600) * SECOND,
    )  # fmt: skip
    broken = traffic(7200, 6600, 60, source=NEW, failure=KEY_ERROR)
    later = traffic(6000, 0, 300, source=NEW)
    told = why("error_rate", [*traffic(10800, 7200, 400), *broken, *traffic(7200, 6600, 60), *later], over)
    assert named(told) == [("release", "2.4.1")]


def test_an_error_that_many_met_is_not_the_one_of_the_person_who_met_it_once():
    """Ann's files are too large, nine times; once she met what everybody met."""
    too_large = Failure("HTTP 413", "")
    told = why(
        "user_burst",
        [
            *traffic(500, 0, 9, route="/files", user="ann@x.org", failure=too_large),
            *traffic(500, 400, 1, user="ann@x.org", failure=KEY_ERROR),
            *traffic(600, 0, 60, users=20, failure=KEY_ERROR),
        ],
        replace(INCIDENT, subject="ann@x.org"),
    )
    assert told.way.value == ("HTTP 413", "")
    assert told.others == (0, 20)


def test_an_incident_of_more_than_a_week_is_not_compared_with_itself():
    begun = 10 * 86400
    told = why(
        "error_rate",
        [
            *traffic(begun + WEEK, begun, 700),
            *traffic(begun, 0, 500, source=NEW, failure=KEY_ERROR),
            *traffic(begun, 0, 500, route="/files", source=NEW),
        ],
        replace(INCIDENT, onset_us=(NOW - begun) * SECOND),
    )
    assert (told.way.bad, told.way.before, told.way.before_requests) == (500, 0, 700)
    assert set(named(told)) == {("release", "2.4.1"), ("route", "/chat")}


def test_of_a_drop_of_more_than_a_week_the_first_week_is_compared():
    begun = 30 * 86400
    told = why(
        "traffic_drop",
        [
            *traffic(begun + WEEK, begun, 700),
            *traffic(begun, 0, 600),
            *traffic(begun + WEEK, 0, 3700, route="/files"),
        ],
        replace(INCIDENT, onset_us=(NOW - begun) * SECOND),
    )
    [found] = told.cause.found
    assert (found.value, found.bad, found.requests) == ("chat", 700, 840)


@pytest.mark.parametrize("feature", ["", "chat"])
def test_of_a_drop_of_more_than_a_day_without_a_week_before_the_first_day_is_compared_with_the_one_before(feature):
    begun = 3 * 86400
    told = why(
        "traffic_drop",
        [
            *traffic(begun + 86400, begun, 1000, user="ann@x.org"),
            *traffic(begun, 0, 30, user="ann@x.org"),
            *traffic(begun + 86400, 0, 4000, route="/chat" if feature else "/files"),
        ],
        replace(INCIDENT, onset_us=(NOW - begun) * SECOND, subject=feature),
    )
    [found] = told.cause.found
    assert (told.days, found.bad, found.requests) == (1, 1000, 1010)


@pytest.mark.parametrize("kind", ["traffic_drop", "traffic_spike", "error_rate", "latency"])
@given(st.integers(0, 40 * 86400), st.integers(0, 40 * 86400), st.sets(st.integers(0, 60)), st.integers(5, 1440))
def test_what_an_incident_is_compared_with_lies_wholly_before_it(kind, began, calm, there, window):
    """Of traffic it is as long; whichever days there are requests of."""
    read = []

    def sample(start_us, end_us):
        read.append((start_us, end_us))
        return Sample.of([(traffic(0, 0, 1)[0][0], OLD)] if (NOW - start_us // SECOND) // 86400 in there else (), 100)

    incident = replace(INCIDENT, onset_us=(NOW - began) * SECOND)
    if calm < began:
        incident = replace(incident, status="resolved", recovery_us=(NOW - calm) * SECOND)
    explain(parse_rule(kind, {"window": 60 * window}), incident, NOW * SECOND, sample)
    *before, now = read
    assert all(start <= end <= now[0] or kind in ("error_rate", "latency") for start, end in before)
    assert all(end <= incident.onset_us for _, end in before)
    if kind.startswith("traffic") and len(before) < 2:
        assert now[1] - now[0] == before[-1][1] - before[-1][0]


ZURICH = ZoneInfo("Europe/Zurich")
MIDNIGHT = int(datetime(2026, 3, 2, tzinfo=UTC).timestamp())


def a_day(start=MIDNIGHT, hours=24, bad=(), failure=KEY_ERROR, source=OLD, **bad_of):
    """60 requests an hour; in hours of `bad` half of them fail, by `bad_of` only those from that source."""
    found = []
    for n in range(hours * 60):
        fails = n // 60 in bad and n % 2 == 0
        at_us = (start + n * 60) * SECOND
        error, where = (failure, bad_of.get("bad_source", source)) if fails else (None, source)
        found.append(
            (
                made(
                    at_us, user=f"u{n % 17}@x.org", path=f"/r{n % 5}", status=500 if fails else 200, ms=5, failure=error
                ),
                where,
            )
        )
    return Sample.of(found, 20_000)


def change(now, before, **more):
    return explain_change(now, before, feature="chat", days=7, zone=ZURICH, **more)


def test_an_hour_in_which_all_failed_alike_is_named_in_the_zone_of_the_report():
    told = change(a_day(bad=(13,)), a_day(MIDNIGHT - WEEK))
    [found] = told.cause.found
    assert (found.dimension, found.value, found.bad, found.of, found.requests) == ("hour", "14:00", 30, 30, 60)


def test_an_hour_that_always_fails_is_not_why_more_failed():
    told = change(a_day(bad=(2, 13)), a_day(MIDNIGHT - WEEK, bad=(2,)))
    assert named(told) == [("hour", "14:00")]


def test_a_release_that_was_out_for_an_hour_is_named_and_not_the_hour():
    told = change(a_day(bad=(13,), bad_source=NEW), a_day(MIDNIGHT - WEEK))
    assert named(told)[0] == ("release", "2.4.1")


def test_of_few_hours_none_is_named_nor_where_every_hour_fails_alike():
    assert change(a_day(hours=2, bad=(1,)), a_day(MIDNIGHT - WEEK)).cause.found == ()
    assert change(a_day(bad=range(24)), a_day(MIDNIGHT - WEEK)).cause.found == ()
