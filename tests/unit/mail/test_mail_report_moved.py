"""What moved between two periods, in sentences."""

import pytest

from guardian.core.language import language
from guardian.core.report.reading import from_json
from guardian.mail.report.moved import moved
from tests.support import report_samples as samples
from tests.support.plain import plain


@pytest.mark.parametrize(
    "before, now, expected",
    [
        (1, 4, []),
        (0, 5, ["500 Internal Server Error is new: 5 times."]),
        (3, 5, []),
        (1, 5, ["500 Internal Server Error came 5× as often as before: 5 % of the requests, not 1 %."]),
        (2, 8, ["500 Internal Server Error came 4× as often as before: 8 % of the requests, not 2 %."]),
    ],
)
def test_a_kind_of_error_moved_where_its_share_of_the_requests_at_least_doubled(before, now, expected):
    def events(failed, start):
        # Of 25 features, so that none of them is worth a sentence of its own.
        return [samples.event(start + n, status=500 if n < failed else 200, feature=f"f{n % 25}") for n in range(100)]

    said = moved(from_json(samples.report(events(now, 0), events(before, -120))), language())
    assert [plain(line) for line in said] == expected


@pytest.mark.parametrize(
    "before, now, expected",
    [
        ((5, 50), (12, 31), ["uploads fails 3.9× as often as before: 12 of 31 requests, 3 users, all 413."]),
        ((0, 50), (5, 40), ["uploads fails, and did not before: 5 of 40 requests, 3 users, all 413."]),
        ((0, 50), (4, 40), []),
        ((2, 50), (5, 63), []),
        ((20, 50), (22, 50), ["uploads still fails often: 22 of 50 requests, 3 users, all 413."]),
        ((0, 9), (3, 11), ["uploads fails often: 3 of 11 requests, 3 users, all 413."]),
        ((0, 9), (3, 9), []),
    ],
)
def test_a_feature_that_fails_more_is_told_with_whom_and_how(before, now, expected):
    def events(failed, count, start):
        return [
            samples.event(start + n, f"u{n % 3}@example.com", 413 if n < failed else 200, "uploads")
            for n in range(count)
        ]

    assert moved(from_json(samples.report(events(*now, 0), events(*before, -120))), language()) == expected


def test_a_status_that_is_not_always_the_same_is_told_where_it_nearly_is():
    for odd, words in ((1, ", 1 user, nearly all 500."), (3, ", 1 user.")):
        events = [samples.event(n, status=404 if n < odd else 500) for n in range(20)]
        assert moved(from_json(samples.report(events, [samples.event(-60)])), language())[0].endswith(words)


def test_how_many_users_met_it_is_left_out_where_the_report_does_not_know():
    events = [samples.event(n, status=500, feature="a") for n in range(5)]
    events += [samples.event(5 + n, status=404, feature="b") for n in range(25)]  # 20 are told, all of b
    report = samples.report(sorted(events, key=lambda e: e.at_us), [samples.event(-60)])
    assert {f["name"]: f["failed_users"] for f in report["features"]} == {"a": None, "b": 1}
    assert "b fails often: 25 of 25 requests, 1 user, all 404." in moved(from_json(report), language())
