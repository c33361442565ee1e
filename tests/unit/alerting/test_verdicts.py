"""Each kind of rule at its edges, as tables of events in and verdicts out."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.alerting.columns import MINUTE_US, Columns, MinuteCounts
from guardian.alerting.history import History, Snapshot
from guardian.alerting.kinds import judge
from guardian.alerting.statistics import quantile, wilson_lower
from tests.support.verdict_samples import DAY, HOUR, NOW_US, SECOND, WEEK, event, many, rule, snapshot, states
from tracker.event import Failure


@pytest.mark.parametrize(
    ("good", "bad", "state"),
    [
        (900, 100, "ok"),  # exactly 10 %
        (8999, 1001, "firing"),  # 10.01 %
        (1, 3, "no_data"),  # 3 of 4: too few to say
        (16, 3, "no_data"),  # 19 requests, one short of min_requests
        (17, 3, "firing"),  # 3 of 20
        (21, 3, "ok"),  # 12.5 %, but the lower bound is under half of the threshold
        (0, 20, "firing"),
        (20, 0, "ok"),
        (0, 0, "no_data"),
    ],
)
def test_error_rate_fires_above_its_threshold_and_only_with_enough_requests(good, bad, state):
    assert states(rule("error_rate"), many(good) + many(bad, 500)) == {"": state}


def test_error_rate_can_leave_the_clients_own_errors_out():
    events = many(50) + many(50, 404)
    assert states(rule("error_rate", count="all"), events) == {"": "firing"}
    assert states(rule("error_rate", count="server"), events) == {"": "ok"}


def test_error_rate_can_judge_each_feature_of_a_pattern():
    events = many(40, feature="chat_message") + many(40, 500, feature="chat_stream") + many(40, 500, feature="upload")
    assert states(rule("error_rate", feature="chat_*"), events) == {"chat_message": "ok", "chat_stream": "firing"}


def test_error_rate_needs_as_many_affected_users_as_it_is_told():
    events = many(30, 500, user="ann@example.com")
    assert states(rule("error_rate", min_users=2), events) == {"": "ok"}
    assert states(rule("error_rate", min_users=2), [*events, event(5, status=500, user="bob@example.com")]) == {
        "": "firing"
    }


def test_marked_as_fixed_judges_only_what_came_since():
    events = many(50, 500, start=1200, within=2000) + many(40, 200, start=1, within=500)
    assert states(rule("error_rate"), events) == {"": "firing"}
    assert states(rule("error_rate"), events, {"": NOW_US - 600 * SECOND}) == {"": "ok"}
    assert states(rule("error_rate"), events, {"": NOW_US - 30 * SECOND}) == {"": "no_data"}


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (many(5, 503, within=300) + many(1, 503, user="bob@example.com"), "firing"),
        (many(6, 503, within=300), "no_data"),  # one user alone
        (many(4, 503, within=300, user="a@x.org") + many(1, 503, user="b@x.org", start=400), "firing"),
        (
            many(3, 503, within=300, user="a@x.org") + many(1, 503, user="b@x.org", start=400),
            "no_data",
        ),  # four requests
        (many(9, 503, within=300) + many(1, 200, user="bob@example.com"), "ok"),  # one went well
        ([], "no_data"),
    ],
)
def test_feature_down_fires_when_every_request_of_enough_users_failed(events, state):
    assert states(rule("feature_down"), events) == {"chat": state}


@pytest.mark.parametrize(
    ("usual_per_week", "state"),
    [((40, 40, 40), "firing"), ((40, 40, 3), "no_data"), ((40,), "no_data"), ((2, 1, 3), "no_data")],
    ids=["busy every week", "not every week", "only one week known", "three in the morning"],
)
def test_silence_is_an_outage_only_where_the_same_hour_is_normally_busy(usual_per_week, state):
    oldest = [event(len(usual_per_week) * WEEK + 2 * HOUR, feature="other")]
    usual = [e for week, n in enumerate(usual_per_week, 1) for e in many(n, start=week * WEEK + 1)]
    assert states(rule("feature_down"), oldest + usual) == {"chat": state}


@pytest.mark.parametrize(
    ("answers", "state"),
    [
        ([False, False, False], "firing"),
        ([False, False], "no_data"),
        ([False, False, True], "ok"),
        ([False, True, False, False], "no_data"),
        ([], "no_data"),
    ],
)
def test_a_probe_fires_after_so_many_failures_in_a_row(answers, state):
    probed = rule("feature_down", probe={"url": "http://127.0.0.1:1/health"})
    probes = {"feature_down": [(NOW_US - (len(answers) - i) * 60 * SECOND, good) for i, good in enumerate(answers)]}
    assert states(probed, [], probes=probes)["probe"] == state


@pytest.mark.parametrize(
    ("seconds", "fires"), [((0, 150, 300, 450, 600), True), ((0, 150, 300, 450, 601), False), ((0, 1, 2, 3), False)]
)
def test_user_burst_slides_and_both_ends_count(seconds, fires):
    events = [event(650 - s, status=422) for s in seconds]
    moment = snapshot(events)
    expected = {"ann@example.com": "firing"} if fires else {}
    # Judged when the burst is complete, a minute later, and so on: once at least while it is in sight.
    seen = {}
    for minutes in range(-1, 5):
        shot = Snapshot(moment.history, moment.minute + minutes)
        seen |= {v.subject: v.state for v in judge(rule("user_burst"), shot)}
    assert seen == expected


def test_no_user_burst_is_about_somebody_who_was_erased():
    names = ("erased-0123456789abcdef", "erased-mike", "erased-0123456789abcdef~1")
    events = [event(50 + i, status=500, user=name) for name in names for i in range(5)]
    assert states(rule("user_burst"), events) == {"erased-mike": "firing"}


def test_user_burst_sees_what_was_complete_early_in_the_minute_whatever_its_window():
    events = [event(50 + i, status=422) for i in range(5)]
    assert states(rule("user_burst", window="10s"), events) == {"ann@example.com": "firing"}
    assert states(rule("user_burst", window="3s"), events) == {}


def test_user_burst_counts_each_user_alone_and_never_the_anonymous():
    events = [event(i, status=500, user=f"u{i}@example.com") for i in range(1, 9)]
    events += [event(i, status=500, user="anonymous") for i in range(1, 9)]
    assert states(rule("user_burst"), events) == {}


def test_latency_judges_the_quantile_of_good_requests():
    slow, fast = many(10, ms=5000, within=600), many(90, ms=10, within=600)
    assert states(rule("latency", feature="chat"), slow + fast) == {"chat": "firing"}
    assert states(rule("latency", feature="chat", quantile=0.8), slow + fast) == {"chat": "ok"}
    assert states(rule("latency", feature="chat"), many(5, ms=5000)) == {"chat": "no_data"}
    assert states(rule("latency", feature="chat"), fast + many(30, 500, ms=9000, within=600)) == {"chat": "ok"}
    assert states(rule("latency", feature="chat"), fast + many(30, 101, ms=900_000, within=600)) == {"chat": "ok"}


@pytest.mark.parametrize(
    ("kind", "now", "usual", "state"),
    [
        ("traffic_drop", 29, (100, 100, 100), "firing"),
        ("traffic_drop", 30, (100, 100, 100), "ok"),
        ("traffic_drop", 0, (10, 10, 10), "ok"),  # too little is usual
        ("traffic_drop", 0, (100,), "no_data"),
        ("traffic_spike", 301, (100, 100, 100), "firing"),
        ("traffic_spike", 300, (100, 100, 100), "ok"),
        ("traffic_spike", 19, (0, 0, 0), "ok"),
    ],
)
def test_traffic_is_compared_with_the_same_hour_of_earlier_weeks(kind, now, usual, state):
    oldest = [event(len(usual) * WEEK + 2 * HOUR)]
    events = oldest + many(now) + [e for week, n in enumerate(usual, 1) for e in many(n, start=week * WEEK + 1)]
    assert states(rule(kind), events) == {"": state}


OFFICE = range(9, 19)  # the hours of a Monday, by the clock on the wall, in which people work


@pytest.mark.parametrize(
    ("monday", "hour", "down"),
    [
        ("2026-03-30", 10, True),  # the clocks went forward the day before
        ("2026-03-30", 20, False),  # in UTC it is the hour in which everybody was busy last week
        ("2026-10-26", 19, True),  # the clocks went back the day before
        ("2026-10-26", 9, False),
        ("2026-11-02", 9, False),
    ],
)
def test_the_same_hour_of_earlier_weeks_is_that_of_the_clock_on_the_wall(monday, hour, down):
    zone = ZoneInfo("Europe/Zurich")
    now = datetime.fromisoformat(monday).replace(hour=hour, tzinfo=zone)
    starts = [now.replace(hour=at) - timedelta(weeks=week) for week in range(1, 6) for at in OFFICE]
    ages = [NOW_US / SECOND - start.timestamp() - i * 60 for start in starts for i in range(30)]
    minute = int(now.timestamp()) // 60
    shot = replace(History.of([event(age) for age in ages], (minute - 60 * 24 * 40) * MINUTE_US, minute * MINUTE_US),
                   zone=zone).at(minute)  # fmt: skip
    assert [v.state for v in judge(rule("feature_down"), shot)] == ["firing" if down else "no_data"]
    assert [v.state for v in judge(rule("traffic_drop"), shot)] == ["firing" if down else "ok"]


def new_error(*ages: float, **more) -> list:
    """A history of three days, and an error at a place of its own so many seconds ago."""
    return [event(3 * DAY), *(event(age, **{"status": 500, "location": "app.py:9 g", **more}) for age in ages)]


@pytest.mark.parametrize(
    ("ages", "said"),
    [
        ((60,), ["firing"]),
        ((3 * HOUR, 60), ["firing"]),  # it keeps coming
        ((23 * HOUR, 60), ["firing"]),  # it comes again the same day
        ((3 * HOUR,), []),  # it did not come in the window
        ((25 * HOUR, 60), ["no_data"]),  # no longer new: opens nothing, and ends nothing as long as it comes
        ((2 * DAY, 60), ["no_data"]),  # known since the warm-up
    ],
)
def test_an_error_is_new_for_a_day_after_its_first_sighting_and_fires_while_it_comes(ages, said):
    assert list(states(rule("new_error"), new_error(*ages)).values()) == said


def noted(each):
    """The same as an answer of 200 that the app noted as failed."""
    return each._replace(status=200, failure=Failure("Noted", "tool error"))


@pytest.mark.parametrize(
    ("kind", "events", "subject"),
    [
        ("error_rate", [noted(e) for e in many(20)] + many(20, start=2), ""),
        ("feature_down", [noted(event(i, user=f"u{i % 2}@example.com")) for i in range(1, 11)], "chat"),
        ("user_burst", [noted(event(50 + i)) for i in range(5)], "ann@example.com"),
        ("new_error", [event(8 * DAY), noted(event(60))], "Noted at chat"),
    ],
)
def test_an_answer_of_200_that_the_app_noted_as_failed_is_a_server_error_to_every_rule(kind, events, subject):
    assert states(rule(kind), events) == {subject: "firing"}
    if kind in ("error_rate", "feature_down"):
        assert states(rule(kind, count="server"), events) == {subject: "firing"}


def test_the_latency_of_what_lasts_by_design_is_the_time_to_its_first_byte():
    chats, lasting = many(180, ms=40, within=600), many(20, ms=900_000, within=600)
    streams = [each._replace(latency_us=30_000) for each in lasting]
    sockets = [each._replace(status=101) for each in lasting]
    for long in (streams, sockets):
        assert states(rule("latency", feature="chat"), chats + long) == {"chat": "ok"}
        [verdict] = judge(rule("latency", feature="chat", threshold_ms=39), snapshot(chats + long))
        assert (verdict.state, verdict.value) == ("firing", 40)
    assert states(rule("latency", feature="chat"), chats + lasting) == {"chat": "firing"}


def test_new_error_names_a_kind_and_place_and_needs_a_history_to_compare_with():
    assert states(rule("new_error"), new_error(60)) == {"Boom at app.py:9 g": "firing"}
    assert states(rule("new_error"), new_error(60, status=404)) == {}
    assert states(rule("new_error", count="all"), new_error(60, status=404)) == {"Boom at app.py:9 g": "firing"}
    assert states(rule("new_error"), [event(60, status=500)]) == {}, "the first day has nothing to compare with"
    first_day = [event(26 * HOUR), *new_error(3 * HOUR, 60)[1:]]
    assert states(rule("new_error", warmup="24h"), first_day) == {"Boom at app.py:9 g": "no_data"}, (
        "seen in the warm-up"
    )


def test_a_new_error_fires_again_when_it_comes_after_it_was_marked_as_fixed():
    fixed = {"Boom at app.py:9 g": NOW_US - 300 * SECOND}
    assert states(rule("new_error"), new_error(500, 400), fixed) == {}
    assert states(rule("new_error"), new_error(500, 200), fixed) == {"Boom at app.py:9 g": "firing"}


@pytest.mark.parametrize(
    ("events", "heartbeats", "state"),
    [
        ([event(HOUR), event(60)], [], "ok"),
        ([event(HOUR)], [30], "ok"),
        ([event(HOUR)], [601], "firing"),
        ([], [], "no_data"),
        ([event(HOUR)], None, "no_data"),
    ],
)
def test_tracker_silent_wants_an_event_or_a_heartbeat(events, heartbeats, state):
    alive = None if heartbeats is None else [NOW_US - ago * SECOND for ago in heartbeats]
    assert states(rule("tracker_silent"), events, alive_us=alive) == {"": state}


@pytest.mark.parametrize(
    ("bad_in_the_hour_before", "bad_in_5_minutes", "state"),
    [
        (14, 1, "ok"),  # 15 of 1,100 in the hour: a burn of 13.6
        (15, 1, "ok"),  # 14.5 in the hour, but 10 in the last 5 minutes: it is getting better
        (14, 2, "firing"),  # 14.5 and 20
        (60, 0, "ok"),  # over already
    ],
)
def test_burn_rate_wants_the_long_and_the_short_window_over_at_once(bad_in_the_hour_before, bad_in_5_minutes, state):
    # 99.9 % leaves a budget of 0.1 %. The three days before were large and good, so only the hour decides.
    counts = np.zeros((3 * 24 * 60, 3), dtype=np.int64)
    counts[:-60, 0] = 1000
    counts[-60, 0], counts[-60, 1:] = 1000, bad_in_the_hour_before
    counts[-5, 0], counts[-5, 1:] = 100, bad_in_5_minutes
    minute = NOW_US // MINUTE_US
    history = History(MinuteCounts.of_rows(minute - len(counts), counts[:, None], ["chat"]), Columns.of([]), {}, 0)
    assert [v.state for v in judge(rule("burn_rate"), history.at(minute))] == [state]


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_lower_bound_lies_between_nothing_and_the_measured_share(bad, good):
    total = bad + good
    assert 0 <= wilson_lower(bad, total) <= (bad / total if total else 0) + 1e-12


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_is_numpys(values, q):
    assert quantile(np.sort(values), q) == pytest.approx(float(np.quantile(values, q)))
