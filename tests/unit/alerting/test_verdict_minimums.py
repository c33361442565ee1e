"""min_requests and min_users: what each kind of rule counts, and what it says below."""

import pytest

from guardian.application.judging.live import lookback
from tests.support.verdict_samples import DAY, HOUR, NOW_US, SECOND, WEEK, event, many, rule, states

BOB, NOBODY = "bob@example.com", "anonymous"
SILENT = {"alive_us": [NOW_US - DAY * SECOND]}


def usual(**more):
    return [e for week in (1, 2, 3) for e in many(100, start=week * WEEK + 1, **more)]


@pytest.mark.parametrize(
    ("kind", "keys", "events", "alone", "second"),
    [
        ("error_rate", {"count": "server"}, many(60, 500) + many(5, 404, user=BOB), "ok",
         event(5, status=500, user=BOB)),
        ("feature_down", {}, many(9, 503, within=300), "no_data", event(9, status=503, user=BOB)),
        ("latency", {}, many(30, ms=5000, within=600), "ok", event(9, ms=5000, user=BOB)),
        ("burn_rate", {}, many(30, 500, within=200) + many(5, 404, user=BOB), "ok",
         event(50 * 60, status=500, user=BOB)),
        ("traffic_drop", {}, [event(5 * WEEK), *usual(), event(2 * WEEK + 9, user=BOB), event(9, user=BOB)], "ok",
         event(WEEK + 9, user=BOB)),
        ("traffic_spike", {}, [event(5 * WEEK), *usual(), *many(400), event(WEEK + 9, user=BOB)], "ok",
         event(9, user=BOB)),
        ("new_error", {}, [event(3 * DAY), *many(3, 500, within=60), event(700, status=500, user=BOB)], "ok",
         event(9, status=500, user=BOB)),
        ("tracker_silent", {}, [event(5 * DAY, user=BOB), event(HOUR)], "no_data", event(23 * HOUR, user=BOB)),
    ],
)  # fmt: skip
def test_so_many_users_must_be_concerned_and_the_anonymous_are_none(kind, keys, events, alone, second):
    judged = rule(kind, **keys, min_users=2)
    silent = SILENT if kind == "tracker_silent" else {}
    more = [*events, second._replace(user=NOBODY)]
    assert set(states(judged, more, **silent).values()) == {alone}
    assert set(states(judged, [*events, second], **silent).values()) == {"firing"}
    assert set(states(rule(kind, **keys, min_users=1), events, **silent).values()) == {"firing"}


def test_so_many_users_must_meet_a_burst_at_the_same_time():
    burst = many(5, 500, within=300)
    assert states(rule("user_burst", min_users=2), burst) == {"ann@example.com": "ok"}
    both = {"ann@example.com": "firing", BOB: "firing"}
    assert states(rule("user_burst", min_users=2), burst + many(5, 500, within=300, user=BOB)) == both


@pytest.mark.parametrize(
    ("kind", "keys", "events", "number"),
    [
        ("error_rate", {}, many(9, 500) + many(21, user=BOB), 30),
        ("feature_down", {"min_users": 0}, many(9, 503, within=300), 9),
        ("user_burst", {}, many(5, 500, within=300) + many(3) + many(9, user=BOB), 5 + 1),
        ("latency", {}, many(30, ms=5000, within=600) + many(9, 500, within=600), 30),
        ("burn_rate", {}, many(30, 500, within=200), 30),
        ("traffic_drop", {}, [event(5 * WEEK), *usual()], 100),
        ("traffic_spike", {}, [event(5 * WEEK), *usual(), *many(400)], 400),
        ("new_error", {}, [event(3 * DAY), *many(4, 500, within=60)], 4),
        ("tracker_silent", {}, [event(25 * HOUR), event(24 * HOUR), event(601), event(700)], 3),
    ],
)
def test_so_many_requests_must_be_there_to_judge_by(kind, keys, events, number):
    silent = SILENT if kind == "tracker_silent" else {}
    assert "firing" in states(rule(kind, **keys, min_requests=number), events, **silent).values()
    fewer = "ok" if kind.startswith("traffic") else "no_data"
    assert set(states(rule(kind, **keys, min_requests=number + 1), events, **silent).values()) == {fewer}


@pytest.mark.parametrize(
    ("keys", "good", "bad", "state"),
    [
        ({}, 5, 0, "ok"),
        ({}, 4, 0, "no_data"),
        ({}, 5, 1, "no_data"),
        ({}, 0, 19, "no_data"),
        ({}, 0, 20, "firing"),
        ({"min_requests": 3}, 3, 0, "ok"),
        ({"min_requests": 3}, 2, 0, "no_data"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "failing"),
    [("error_rate", {"status": 500}), ("latency", {"ms": 5000}), ("burn_rate", {"status": 500})],
)
def test_after_a_fix_a_few_requests_that_all_went_well_are_enough(kind, failing, keys, good, bad, state):
    before = many(50, start=700, within=200, **failing)
    after = many(good, within=200, start=1) + many(bad, within=200, start=2, **failing)
    subject = "chat" if kind == "latency" else ""
    fixed = {subject: NOW_US - 600 * SECOND}
    assert states(rule(kind, **keys), before + after, fixed) == {subject: state}


@pytest.mark.parametrize("kind", ["error_rate", "latency", "burn_rate"])
def test_without_a_fix_in_the_window_a_few_good_requests_say_nothing(kind):
    subject = "chat" if kind == "latency" else ""
    assert states(rule(kind), many(5)) == {subject: "no_data"}
    assert states(rule(kind), many(5), {subject: NOW_US - 4 * DAY * SECOND}) == {subject: "no_data"}


@pytest.mark.parametrize(
    ("kind", "keys", "seconds"),
    [
        ("error_rate", {"min_users": 1}, 2 * HOUR),
        ("burn_rate", {}, 2 * HOUR),
        ("burn_rate", {"min_users": 1}, 3 * DAY),
        ("traffic_drop", {}, 2 * HOUR),
        ("traffic_drop", {"min_users": 1}, WEEK + 2 * HOUR),  # an hour for the clocks
        ("traffic_spike", {"min_users": 1}, 2 * HOUR),
        ("tracker_silent", {"min_users": 1}, DAY + 600),
    ],
)
def test_single_events_are_kept_as_far_back_as_users_are_counted(kind, keys, seconds):
    judged = rule(kind, **keys)
    minutes, single = lookback([judged])
    assert single == seconds
    assert minutes * 60 > single
