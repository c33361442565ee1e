"""`guardian report` for people: the fixed keys are enough, and nothing in them can steer the terminal."""

from dataclasses import replace

from rich.console import Console

from guardian.cli.report_view import report_view
from guardian.core.cause import PERIOD_BEFORE, Cause, Found, MovedCause, Way
from guardian.core.releases import Release, Since
from guardian.core.report.reading import from_json
from guardian.core.turnover import Cohort, Group, Turnover
from tests.support import report_samples as samples

FIXED = {
    "period_start": "2026-03-02T06:30:00+00:00",
    "period_end": "2026-03-02T08:30:00+00:00",
    "active_users": 2,
    "total_requests": 1204,
    "total_errors": 89,
    "users": [
        {
            "email": "ann@example.com",
            "total_time_minutes": 61,
            "features_used": ["chat_message", "document_upload"],
            "requests_count": 1204,
            "errors_count": 89,
            "errors": [
                {"endpoint": "/a", "error": "Bad", "timestamp": "2026-03-02T08:00:00+00:00", "code": 400},
                {"endpoint": "/b", "error": "File too large", "timestamp": "2026-03-02T08:12:00+00:00", "code": 413},
            ],
        }
    ],
    "top_features": [{"name": "chat_message", "count": 512}, {"name": "document_upload", "count": 128}],
    "error_breakdown": {"413": 31, "500": 58},
}


def shown(report, width=110, zone="Europe/Zurich"):
    return printed(from_json(report), width, zone)


def printed(report, width=110, zone="Europe/Zurich"):
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(report_view(report, zone))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_what_the_app_noted_as_failed_and_what_the_tracker_could_not_make_out_are_said():
    error = {"endpoint": "/a", "error": "tool error", "timestamp": "2026-03-02T08:00:00+00:00", "code": 200}
    user = {**FIXED["users"][0], "errors": [{**error, "failed": True}]}
    note = {"kind": "token_refused", "count": 2, "text": "2 bearer tokens were refused.", "cure": "Set jwt_audience."}
    never = {"kind": "never", "count": 0, "text": "Nothing came.", "cure": "Add it."}
    report = {**FIXED, "users": [user], "error_breakdown": {"200": 3}, "notes": [note, never]}
    lines = shown({**report, "status_reason": "Nothing came."})
    assert "09:00 200 (failed) tool error" in "\n".join(lines)
    assert "  200 noted as failed  3" in lines
    assert lines[8:10] == ["  ! 2 bearer tokens were refused. Set jwt_audience.", "  ! Add it."]


def test_a_report_of_only_the_fixed_keys_is_shown_whole():
    assert shown(FIXED) == [
        "",
        "   OK   2026-03-02 07:30 – 09:30 Europe/Zurich",
        "",
        "  active users    requests    errors    failed",
        "  2               1,204       89        7.4 %",
        "",
        "",
        "  Users",
        "  user             requests  errors  minutes  newest error              features",
        "  ann@example.com     1,204      89       61  09:12 413 File too large  chat_message, document_upload",
        "",
        "  Features",
        "  chat_message     ████████████████████████  512",
        "  document_upload  ██████                    128",
        "",
        "  Errors",
        "  500 Internal Server Error  58",
        "  413 Content Too Large      31",
        "",
    ]


def test_more_keys_are_shown_where_they_are():
    more = {
        "status": "WARNING",
        "status_reason": "7.4 % of the requests failed.",
        "previous": {"active_users": 2, "total_requests": 1400, "total_errors": 0},
        "latency_ms": {"p50": 12.0, "p95": 1312.4, "p99": 2000.0},
    }
    report = from_json({**FIXED, **more})
    slower = replace(report, previous=replace(report.previous, p95_ms=1250.0))
    assert printed(slower)[6] == "  as before       −14 %       0 before              +5 %"
    lines = printed(report)
    assert lines[1:7] == [
        "   WARNING   2026-03-02 07:30 – 09:30 Europe/Zurich",
        "  7.4 % of the requests failed.",
        "",
        "  active users    requests    errors      failed    95 % within",
        "  2               1,204       89          7.4 %     1,312 ms",
        "  as before       −14 %       0 before",
    ]


def test_a_window_without_a_request_is_short():
    empty = {"active_users": 0, "total_requests": 0, "total_errors": 0, "users": [], "top_features": []}
    assert shown({**FIXED, **empty, "error_breakdown": {}}) == [
        "",
        "   OK   2026-03-02 07:30 – 09:30 Europe/Zurich",
        "",
        "  active users    requests    errors    failed",
        "  0               0           0         –",
        "",
        "",
    ]


def test_a_narrow_terminal_keeps_the_numbers():
    lines = shown(FIXED, width=60)
    assert max(map(len, lines)) <= 60
    assert any("1,204" in line and "89" in line and "61" in line for line in lines if "ann" in line)


def test_only_ten_users_are_shown():
    lines = shown({**FIXED, "users": FIXED["users"] * 12})
    assert sum("ann@example.com" in line for line in lines) == 10
    assert "  and 2 more: see --json" in lines


def test_hostile_text_neither_steers_the_terminal_nor_is_markup():
    hostile = "[red]\x1b[2J\x1b]0;owned\x07\nx@example.com"
    user = {**FIXED["users"][0], "email": hostile}
    lines = shown({**FIXED, "users": [user], "top_features": [{"name": hostile, "count": 1}]})
    assert not any("\x1b" in line or "\x07" in line for line in lines)
    assert any("[red]�[2J�]0;owned�" in line for line in lines)


def test_what_the_figures_are_compared_with_is_said_where_it_is_not_the_period_before():
    before = {"active_users": 2, "total_requests": 1400, "total_errors": 0}
    week_ago = {"active_users": 2, "total_requests": 1204, "total_errors": 89}
    lines = shown({**FIXED, "previous": before, "comparison": {"with": "weekday", "period": week_ago}})
    assert lines[5] == "  as before       as before    as before"
    assert lines[6] == "  compared with the same weekday a week before"
    lines = shown({**FIXED, "previous": before, "comparison": {"with": "nothing"}})
    assert "−14 %" not in "".join(lines)
    assert "  nothing to compare with: no period before this one was recorded in full" in lines


def test_what_moved_and_why_what_was_released_and_who_came_and_went_are_said():
    events = [samples.event(n, f"u{n % 9}@x.org", 500 if n < 60 else 200, "chat") for n in range(100)]
    before = [samples.event(n - 110, f"u{n % 9}@x.org", feature="chat") for n in range(100)]
    report = from_json(samples.report(events, before))
    way = Way(("KeyError", "chat.py:118 answer"), 60, 60, 0, 100)
    who = Found("person", "ann@x.org\x1b", 58, 60, 58, 42, 0.9)
    quiet = (Group(1, ("bob@x.org",), feature="chat"),)
    told = Turnover(9, 9, Group(12, ("\x1b[2Jnew@x.org",)), Group(0), quiet, None, None,
                    cohorts=(Cohort(report.period_start, 40, (20,)),))  # fmt: skip
    release = Release("2.4.1", Since(report.period_start, report.period_end, 900, 30, None))
    report = replace(
        report,
        causes=(MovedCause("chat", "", "failed", PERIOD_BEFORE, Cause((who,)), way),),
        releases=(release,),
        turnover=told,
    )
    lines = printed(report, width=300)
    at = lines.index("  What moved")
    assert lines[at : lines.index("  Users")] == [
        "  What moved",
        "  chat fails, and did not before: 60 of 100 requests, 9 users, all 500. 60 of 60 failures are KeyError "
        "at chat.py:118 (0 of 100 requests in the period before). ann@x.org� has 58 of 60 failures "
        "(100 % of its requests, 4.8 % of the others).",
        "",
        "  Releases",
        "  2.4.1, released Mon 2 Mar, 09:00.",
        "",
        "  The week in people",
        "  12 people are new: [2Jnew@x.org and 11 more",
        "  1 person who came in both periods before stayed away, after an error in chat: bob@x.org",
        "  How many of the new people came in each period after that",
        "  New in  People    +1",
        "  2 Mar       40  50 %",
        "",
    ]
