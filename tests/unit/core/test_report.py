import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from guardian.application.window import window
from guardian.core.activity import Activity
from guardian.core.language import language
from guardian.core.report.build import build_report
from guardian.core.report.json import to_json
from guardian.core.report.judge import judge
from guardian.core.report.model import Fired
from guardian.core.report.reading import from_json
from guardian.core.report.timeline import bar_edges, moved
from guardian.core.storage import RecorderHealth, StorageStats
from guardian.core.summary import Summary, TimelineBar
from guardian.core.time import micros
from guardian.mail.report.headline import headline
from tests.support.events import event as made
from tracker.event import Failure

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
END = START + timedelta(hours=2)


def at(minutes, user="ada@example.com", status=200, feature="chat_message", failure=None, duration_ms=100):
    return made(
        START + timedelta(minutes=minutes), user=user, path=f"/api/{feature}", feature=feature, method="POST",
        status=status, ms=duration_ms, failure=failure,
    )  # fmt: skip


def report(events, previous=(), **more):
    failed = {}
    for event in events:
        if event.failure and event.user != "anonymous":
            failed.setdefault(event.user, []).append(event)
    made = build_report(
        Activity.of(Summary.of(events), failed, micros(START)),
        None if previous is None else Summary.of(previous).counts(),
        previous_start=START - (END - START), start=START, end=END, now=END, **more,
    )  # fmt: skip
    return to_json(made)


def test_who_needs_help_met_three_errors_or_failed_half_of_the_time():
    bad = Failure("HTTP 413", "File too large")
    events = [at(n, "three@example.com", 413 if n < 3 else 200, failure=bad if n < 3 else None) for n in range(9)]
    events += [at(n, "half@example.com", 413 if n else 200, failure=bad if n else None) for n in range(2)]
    events += [at(n, "few@example.com", 413 if n < 2 else 200, failure=bad if n < 2 else None) for n in range(9)]
    events += [at(n, "anonymous", 413, failure=bad) for n in range(5)]
    assert Activity.of(Summary.of(events)).needy == ["three@example.com", "half@example.com"]
    many = [at(n, f"u{u}@example.com", 413, failure=bad) for u in range(9) for n in range(u + 1)]
    assert Activity.of(Summary.of(many)).needy == [f"u{u}@example.com" for u in (8, 7, 6, 5, 4)]


def test_the_whole_report_in_the_published_format():
    found = report(
        [
            at(1),
            at(11),
            at(20, "bob@example.com", 413, "documents", Failure("HTTP 413", "File too large")),
            at(21, "anonymous", 404, "(unmatched)", Failure("HTTP 404", "Not Found")),
            at(31, status=500, failure=Failure("KeyError", "Internal Server Error", "app.py:7 chat")),
        ],
        [at(-60)],
        timeline=[TimelineBar(START, 5, 3, 2)],
        stats=StorageStats(6, 2, START, END, 4096),
        recorders=[RecorderHealth("r1", START, END, 10, 9, 1, "0.1.0")],
    )
    assert json.loads(json.dumps(found)) == {
        "period_start": "2026-03-02T08:00:00+00:00",
        "period_end": "2026-03-02T10:00:00+00:00",
        "active_users": 2,
        "total_requests": 5,
        "total_errors": 3,
        "users": [
            {
                "email": "ada@example.com",
                "total_time_minutes": 30,
                "features_used": ["chat_message"],
                "requests_count": 3,
                "errors_count": 1,
                "errors": [
                    {
                        "endpoint": "/api/chat_message",
                        "error": "KeyError: Internal Server Error",
                        "timestamp": "2026-03-02T08:31:00+00:00",
                        "code": 500,
                    }
                ],
            },
            {
                "email": "bob@example.com",
                "total_time_minutes": 0,
                "features_used": ["documents"],
                "requests_count": 1,
                "errors_count": 1,
                "errors": [
                    {
                        "endpoint": "/api/documents",
                        "error": "File too large",
                        "timestamp": "2026-03-02T08:20:00+00:00",
                        "code": 413,
                    }
                ],
            },
        ],
        "top_features": [
            {"name": "chat_message", "count": 3},
            {"name": "(unmatched)", "count": 1},
            {"name": "documents", "count": 1},
        ],
        "error_breakdown": {"404": 1, "413": 1, "500": 1},
        "status": "WARNING",
        "status_reason": "20.0% of the requests failed with a server error (1 of 5).",
        "notes": [],
        "previous": {
            "period_start": "2026-03-02T06:00:00+00:00",
            "period_end": "2026-03-02T08:00:00+00:00",
            "active_users": 1,
            "total_requests": 1,
            "total_errors": 0,
            "error_breakdown": {},
            "top_features": [{"name": "chat_message", "count": 1}],
            "features": [{"name": "chat_message", "requests": 1, "errors": 0}],
        },
        "anonymous": {"requests_count": 1, "errors_count": 1},
        "latency_ms": {"p50": 100.23, "p95": 100.23, "p99": 100.23},
        "features": [
            {
                "name": name,
                "requests": requests,
                "errors": 1,
                "server_errors": server,
                "error_rate": rate,
                "statuses": {status: 1},
                "failed_users": users,
                "latency_ms": {"p50": 100.23, "p95": 100.23, "p99": 100.23},
            }
            for name, requests, server, rate, status, users in [
                ("chat_message", 3, 1, 0.3333, "500", 1),
                ("(unmatched)", 1, 0, 1.0, "404", 0),
                ("documents", 1, 0, 1.0, "413", 1),
            ]
        ],
        "help": [],
        "gone_quiet": [],
        "timeline": [{"start": "2026-03-02T08:00:00+00:00", "requests": 5, "errors": 3, "active_users": 2}],
        "privacy": {
            "stored": [
                "route template", "method", "status", "duration", "time", "verified user", "error type and place",
            ],
            "events": 6,
            "users": 2,
            "oldest": "2026-03-02T08:00:00+00:00",
            "size_bytes": 4096,
            "purged_events": 0,
            "totals_since": None,
            "dropped_events": 1,
            "last_heartbeat": "2026-03-02T10:00:00+00:00",
        },
        "recorders": [
            {"id": "r1", "seen_at": "2026-03-02T10:00:00+00:00", "accepted": 10, "stored": 9, "dropped": 1,
             "queued": 0}
        ],
        "generated_at": "2026-03-02T10:00:00+00:00",
    }  # fmt: skip


def test_a_window_before_that_is_no_longer_stored_is_none_and_not_zeros():
    assert report([], previous=None)["previous"] is None


def test_a_window_without_anything_has_every_key():
    found = report([])
    assert (found["active_users"], found["users"], found["top_features"], found["error_breakdown"]) == (0, [], [], {})
    assert found["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert found["status_reason"] == "Nobody used the app."


def noted(minutes, user="ada@example.com"):
    return at(minutes, user, failure=Failure("Noted", "tool error"))


def test_an_answer_of_200_that_the_app_noted_as_failed_is_shown_as_failed():
    found = report([at(1), noted(2), noted(3), noted(4)], steps={"ada@example.com": [at(1), noted(2)]})
    assert (found["total_errors"], found["error_breakdown"]) == (3, {"200": 3})
    assert (found["status"], found["status_reason"]) == (
        "WARNING",
        "75.0% of the requests failed with a server error (3 of 4).",
    )
    [user] = found["users"]
    assert [(e["code"], e["failed"], e["error"]) for e in user["errors"]] == [(200, True, "tool error")] * 3
    steps = found["help"][0]["steps"]
    assert [(step["code"], step.get("failed")) for step in steps] == [(200, None), (200, True)]
    assert [row["server_errors"] for row in found["features"]] == [3]


def test_top_features_are_the_ten_with_the_most_requests():
    found = report([at(n, feature=f"f{n:02}") for n in range(12)] + [at(20, feature="f11")])
    assert found["top_features"][0] == {"name": "f11", "count": 2}
    assert [row["name"] for row in found["top_features"][1:]] == [f"f{n:02}" for n in range(9)]


def many(good, *, server=0, client=0):
    return [at(1)] * good + [at(2, status=500)] * server + [at(2, status=404)] * client


@pytest.mark.parametrize(
    ("events", "critical", "status", "reason"),
    [
        ([], (), "OK", "Nobody used the app."),
        (many(20), (), "OK", "All 20 requests went well."),
        (many(18, server=2), (), "WARNING", "10.0% of the requests failed with a server error (2 of 20)."),
        (many(98, server=2), (), "WARNING", "2.0% of the requests failed with a server error (2 of 100)."),
        (many(99, server=1), (), "OK", "1 of 100 requests failed with a server error."),
        (many(99, client=1), (), "OK", "1 of 100 requests failed, none by a fault of the server."),
        (many(95, client=5), (), "OK", "5 of 100 requests failed, none by a fault of the server."),
        (many(94, client=6), (), "OK", "6 of 100 requests failed, none by a fault of the server."),
        (many(19_999, server=1), (), "OK", "1 of 20000 requests failed with a server error."),
        (
            [at(n, f"u{n % 2}", 500) for n in range(5)],
            ("chat_*",),
            "CRITICAL",
            "All 5 requests of chat_message failed.",
        ),
        (
            [at(n, "u0", 500) for n in range(5)],
            ("chat_*",),
            "WARNING",
            "100.0% of the requests failed with a server error (5 of 5).",
        ),
        (
            [at(n, f"u{n % 2}", 500) for n in range(5)],
            ("pay",),
            "WARNING",
            "100.0% of the requests failed with a server error (5 of 5).",
        ),
    ],
)
def test_the_status_and_why(events, critical, status, reason):
    assert judge(Activity.of(Summary.of(events)), critical) == (status, reason)


@pytest.mark.parametrize(
    ("now", "before", "status", "reason"),
    [
        ([], many(20), "WARNING", "Nobody used the app, after 20 requests in the period before."),
        ([], many(19), "OK", "Nobody used the app."),
        (many(1), many(20), "OK", "All 1 requests went well."),
    ],
)
def test_a_period_without_anybody_after_a_busy_one_is_a_warning(now, before, status, reason):
    assert judge(Activity.of(Summary.of(now)), (), len(before)) == (status, reason)


def test_a_weekday_without_anybody_is_a_warning_where_the_same_one_was_busy():
    found = judge(Activity(), (), 1_180, weekday=True)
    assert found == ("WARNING", "Nobody used the app, after 1180 requests on the same weekday a week before.")


@pytest.mark.parametrize(
    ("server", "usual", "status", "reason"),
    [
        (2, 0.01, "OK", "2 of 100 requests failed with a server error, usually 1.0%."),
        (3, 0.01, "OK", "3 of 100 requests failed with a server error, usually 1.0%."),
        (4, 0.01, "WARNING", "4.0% of the requests failed with a server error (4 of 100), usually 1.0%."),
        (2, 0.0, "WARNING", "2.0% of the requests failed with a server error (2 of 100), usually 0.0%."),
        (1, 0.0, "OK", "1 of 100 requests failed with a server error, usually 0.0%."),
    ],
)
def test_server_errors_are_a_warning_above_one_percent_and_three_times_the_usual(server, usual, status, reason):
    assert judge(Activity.of(Summary.of(many(100 - server, server=server))), (), usual=usual) == (status, reason)


@pytest.mark.parametrize(
    ("fired", "status", "reason"),
    [
        ([Fired("error_rate", "warning")], "WARNING", "Rule error_rate fired."),
        ([Fired("error_rate", "warning"), Fired("down", "critical")], "CRITICAL", "Rules down, error_rate fired."),
        ([Fired("new_error", "info")], "OK", "All 20 requests went well."),
    ],
)
def test_a_rule_that_fired_is_the_status_of_its_period(fired, status, reason):
    assert judge(Activity.of(Summary.of(many(20))), (), fired=fired) == (status, reason)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"hours": 0}, "hours = 0 must be a whole number from 1 to 720"),
        ({"hours": 721}, "hours = 721 must be a whole number from 1 to 720"),
        ({"hours": True}, "hours = True must be a whole number from 1 to 720"),
        ({"hours": 1.5}, "hours = 1.5 must be a whole number from 1 to 720"),
        ({"hours": 2, "start": START}, "give hours, or start_time and end_time, not both"),
        ({}, "give hours, or both start_time and end_time"),
        ({"start": START}, "give hours, or both start_time and end_time"),
        (
            {"start": datetime(2026, 1, 1), "end": END},
            "start_time = 2026-01-01T00:00:00 has no time zone: add one, such as +00:00",
        ),
        (
            {"start": END, "end": END},
            "start_time = 2026-03-02T10:00:00+00:00 must lie before end_time = 2026-03-02T10:00:00+00:00",
        ),
        (
            {"start": START, "end": datetime.max.replace(tzinfo=UTC)},
            "end_time = 9999-12-31T23:59:59.999999+00:00 must lie in the years 1990 to 2199",
        ),
    ],
)
def test_a_window_that_makes_no_sense_is_refused_in_one_sentence(asked, sentence):
    with pytest.raises(ValueError) as refused:
        window(END, asked.get("hours"), asked.get("start"), asked.get("end"))
    assert str(refused.value) == sentence


def test_the_last_hours_end_now():
    assert window(END, 2, None, None) == (START, END)


MARCH = datetime(2026, 2, 28, 23, tzinfo=UTC)
SUMMER_TIME = datetime(2026, 3, 28, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "start", "length", "number", "second"),
    [
        ("UTC", START, timedelta(hours=2), 24, START + timedelta(minutes=5)),
        ("UTC", START + timedelta(minutes=7), timedelta(hours=2), 25, START + timedelta(minutes=10)),
        ("UTC", START, timedelta(days=1), 48, START + timedelta(minutes=30)),
        ("UTC", START, timedelta(days=7), 29, datetime(2026, 3, 2, 12, tzinfo=UTC)),
        # 30 times 24 hours end at 01:00 of summer time, in a 31st day.
        ("Europe/Zurich", MARCH, timedelta(days=30), 31, datetime(2026, 3, 1, 23, tzinfo=UTC)),
        ("Europe/Zurich", SUMMER_TIME, timedelta(days=49), 25, datetime(2026, 3, 30, 22, tzinfo=UTC)),
        ("UTC", datetime(1990, 1, 1, tzinfo=UTC), timedelta(days=76_000), 48, datetime(1994, 5, 4, tzinfo=UTC)),
    ],
)
def test_the_bars_of_the_timeline(zone, start, length, number, second):
    edges = bar_edges(start, start + length, ZoneInfo(zone))
    assert (len(edges) - 1, edges[0], edges[1], edges[-1]) == (number, start, second, start + length)
    assert edges == sorted(set(edges))


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([at(n, f"u{n % 2}", 500) for n in range(5)], "chat_message failed for everyone."),
        # Somebody who tries addresses is not an outage, though there may be one beside.
        (
            [at(n, "anonymous", 404, "(unmatched)") for n in range(8)] + many(20, server=12),
            "30 % of the requests failed with a server error.",
        ),
        (
            [at(n, "u0", 422, "thread_create") for n in range(8)] + many(20, server=12),
            "30 % of the requests failed with a server error.",
        ),
    ],
)
def test_the_headline_of_the_mail_gives_the_cause_that_the_status_has(events, said):
    found = report(events, critical_features=("chat_*",))
    assert found["status"] == ("CRITICAL" if "everyone" in said else "WARNING")
    assert (
        headline(from_json(found), found["status"], language(), ZoneInfo("UTC"))
        .replace("\xa0", " ")
        .replace("\u202f", " ")
        == said
    )


def test_edges_are_moved_to_another_period_that_is_as_long():
    edges = [datetime(2026, 3, 28, at, tzinfo=UTC) for at in (0, 5, 23)]
    begin = datetime(2026, 3, 21, tzinfo=UTC)
    assert moved(edges, begin, begin + timedelta(hours=23)) == [begin + timedelta(hours=at) for at in (0, 5, 23)]
    assert moved(edges, begin, begin + timedelta(hours=24)) == [] == moved([], begin, begin)
