"""Notes: what Guardian noticed, with a number and a cure, in the report, the mail and the terminal."""

from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.activity import Activity
from guardian.core.language import LANGUAGES, language
from guardian.core.note_words import KINDS, note_words
from guardian.core.notes import Note, as_json, in_order, tracker_notes, traffic_notes
from guardian.core.report.judge import judge
from guardian.core.report.reading import from_json
from guardian.core.storage import RecorderHealth, RecorderNote, StorageStats
from guardian.core.summary import Summary
from guardian.mail.report.view import report_view
from tests.support import report_samples as samples
from tests.support.report_samples import event

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
START = NOW - timedelta(hours=2)
USED = StorageStats(500, 3, START, NOW, 4096, place="/srv/guardian.db")
UNKNOWN_USERS = StorageStats(500, 0, START, NOW, 4096, place="/srv/guardian.db")
NEVER = StorageStats(0, 0, None, None, 4096, place="/srv/guardian.db")
PURGED = StorageStats(0, 0, None, None, 4096, 12, place="/srv/guardian.db")


def nobody(number, status=200, feature="chat_message"):
    return [event(n % 100, "anonymous", status, feature) for n in range(number)]


def known(number, feature="chat_message"):
    return [event(n % 100, feature=feature) for n in range(number)]


@pytest.mark.parametrize(
    ("events", "stats", "features", "expected"),
    [
        ([], NEVER, set(), [Note("never", 0, "/srv/guardian.db")]),
        ([], PURGED, {"chat_message"}, []),
        ([], USED, {"chat_message"}, []),
        ([], None, None, []),
        (known(30), USED, {"chat_message"}, []),
        # Nobody was ever recognised: one request shows it.
        (nobody(1), UNKNOWN_USERS, {"chat_message"}, [Note("anonymous", 1)]),
        (nobody(1204), UNKNOWN_USERS, {"chat_message"}, [Note("anonymous", 1204)]),
        # Somebody was, before: a few anonymous requests of a night show nothing.
        (nobody(19), USED, {"chat_message"}, []),
        (nobody(20), USED, {"chat_message"}, [Note("anonymous", 20)]),
        (nobody(1000) + known(1), USED, {"chat_message"}, []),
        (known(3, "(unmatched)"), USED, {"(unmatched)"}, [Note("unmatched", 3)]),
        (known(3, "(unmatched) GET"), USED, {"(unmatched) GET"}, [Note("unmatched", 3)]),
        (known(19, "(unmatched)"), USED, {"chat_message", "(unmatched)"}, []),
        (known(20, "(unmatched)"), USED, {"chat_message", "(unmatched)"}, [Note("unmatched", 20)]),
        # A scanner asks for paths that nobody serves.
        (nobody(19, 404, "(unmatched)") + known(30), USED, {"chat_message"}, []),
        (nobody(300, 404, "(unmatched)") + known(30), USED, {"chat_message"}, []),
        (known(12, "(unmatched)") + known(12), USED, {"chat_message"}, [Note("often_unmatched", 12, "24")]),
        (known(11, "(unmatched)") + known(12), USED, {"chat_message"}, []),
    ],
)
def test_what_the_requests_of_a_window_show(events, stats, features, expected):
    summary = Summary.of(sorted(events, key=lambda each: each.at_us))
    assert traffic_notes(Activity.of(summary), stats=stats, known_features=features, critical_features=()) == expected


@pytest.mark.parametrize(
    ("patterns", "features", "expected"),
    [
        (("chat_*",), {"chat_message"}, []),
        (("chat_*",), {"search"}, ["chat_*"]),
        (("chat_*", "search", "pay"), {"search"}, ["chat_*", "pay"]),
        (("chat_*",), set(), []),  # nothing is known of any feature
        ((), {"search"}, []),
    ],
)
def test_critical_features_that_match_no_feature_that_was_ever_used(patterns, features, expected):
    found = traffic_notes(Activity(), stats=USED, known_features=features, critical_features=patterns)
    assert found == [Note("critical_features", 0, pattern) for pattern in expected]


def said(kind="token_refused", count=1, detail="x", process="p1", minutes=0):
    return RecorderNote(process, kind, detail, count, NOW - timedelta(minutes=minutes))


def process(name="p1", minutes=0, accepted=10, stored=10, dropped=0, started=600):
    started_at = NOW - timedelta(minutes=started)
    return RecorderHealth(name, started_at, NOW - timedelta(minutes=minutes), accepted, stored, dropped, "0.2.0")


@pytest.mark.parametrize(
    ("notes", "recorders", "expected"),
    [
        ([], [], []),
        (
            [said(count=200), said(count=12, process="p2")],
            [process(), process("p2")],
            [Note("token_refused", 212, "x")],
        ),
        ([said(detail="x"), said(detail="y")], [], [Note("token_refused", 1, "x"), Note("token_refused", 1, "y")]),
        ([said(minutes=121)], [process()], []),
        ([said(count=0)], [process()], []),
        ([said()], [process(started=0)], []),  # its process began after the window
        ([], [process(minutes=3, accepted=10, stored=6, dropped=1)], [Note("silent", 3)]),
        ([], [process(minutes=1, accepted=10, stored=6)], []),  # alive: they wait
        ([], [process(minutes=500, accepted=10, stored=6)], []),
    ],
)
def test_what_the_processes_said_is_added_up_by_reason(notes, recorders, expected):
    assert tracker_notes(notes, recorders, start=START, end=NOW, now=NOW) == expected


@pytest.mark.parametrize(
    ("note", "text", "cure"),
    [
        (
            Note("token_refused", 212, "the token is for the audience 'account'"),
            "212 bearer tokens were refused: they are for the audience `account`.",
            "Set jwt_audience, if it is your app's.",
        ),
        (
            Note("token_refused", 1, "the token is for the audience 'account'"),
            "1 bearer token was refused: it is for the audience `account`.",
            "Set jwt_audience, if it is your app's.",
        ),
        (
            Note("token_refused", 3, """the token is for the audience 'api://a' or "b's" or 'c'"""),
            "3 bearer tokens were refused: they are for the audience `api://a`, `b's`, `c`.",
            "Set jwt_audience, if it is your app's.",
        ),
        (
            Note("token_refused", 2, "the token is not signed with RS256 or ES256"),
            "2 bearer tokens were refused: the token is not signed with RS256 or ES256.",
            "Set jwt_algorithms to the algorithms that sign your app's tokens.",
        ),
        (
            Note("token_refused", 2, "the token is signed with a key that is not known"),
            "2 bearer tokens were refused: the token is signed with a key that is not known.",
            "Set jwt_key or jwks to the key that your app checks its tokens with.",
        ),
        (
            Note("file", 1, "the database file was removed or replaced while the app was running"),
            "The database file was removed or replaced while the app was running.",
            "Stop the app and Guardian before you move or restore the file.",
        ),
        (
            Note("token_refused", 2, "the token has expired"),
            "2 bearer tokens were refused: the token has expired.",
            "If users are signed in all the same, set the machines' clocks, preferably by NTP.",
        ),
        (
            Note("token_refused", 2, "100 % odd %(reason)s."),
            "2 bearer tokens were refused: 100 % odd %(reason)s.",
            "See docs/tracker.md for what the tracker takes.",
        ),
        (
            Note("anonymous", 1204),
            "All 1,204 requests are anonymous.",
            "Say who the user is: note_user(request, user) in the app, or jwt_key and the like; see docs/tracker.md.",
        ),
        (
            Note("dropped", 3, "the buffer was full"),
            "3 requests were lost: the buffer was full.",
            "Give the middleware a larger buffer_size, or the database a faster disk.",
        ),
        (
            Note("critical_features", 0, "chat_*"),
            "critical_features match nothing: 'chat_*' is no feature that was ever used.",
            "Set critical_features to names of your app's features, or to [].",
        ),
        (
            Note("never", 0, "/srv/guardian.db"),
            "No request has ever been recorded in /srv/guardian.db.",
            "Add UsageTrackingMiddleware to the app, with this database, and use the app once.",
        ),
        (Note("of_a_newer_tracker", 2, "the moon was full"), "2 times: the moon was full.", ""),
    ],
)
def test_a_note_in_words(note, text, cure):
    assert as_json(note) == {**note._asdict(), "text": text, "cure": cure}


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("kind", [*KINDS, "of_a_newer_tracker"])
@pytest.mark.parametrize("detail", ["", "12", "100 % of it", "audience 'a%sb'", "the buffer was full"])
def test_every_kind_has_words_in_every_language_whatever_the_reason(code, kind, detail):
    for count in (0, 1, 2, 1_000_000):
        text, cure = note_words(kind, count, detail, language(code))
        assert text and text[0] in text.strip() and (cure or kind not in KINDS)


def test_the_worst_kind_comes_first_and_an_unknown_one_last():
    found = [
        Note("of_a_newer_tracker", 9),
        Note("token_refused", 1, "a"),
        Note("token_refused", 5, "b"),
        Note("never", 0),
    ]
    assert [each.kind + each.detail for each in in_order(found)] == [
        "never", "token_refusedb", "token_refuseda", "of_a_newer_tracker",
    ]  # fmt: skip


def test_that_nothing_was_ever_recorded_is_a_warning_and_never_ok():
    expected = ("WARNING", "No request has ever been recorded in /srv/guardian.db.")
    assert judge(Activity(), (), stats=NEVER) == expected
    assert judge(Activity(), (), stats=PURGED) == ("OK", "Nobody used the app.")


def view(report, code="en"):
    return report_view(from_json(report), [], lang=language(code), zone=samples.ZONE)


def test_a_mail_says_on_top_that_all_are_anonymous_and_what_to_do():
    report = samples.report(nobody(1204))
    assert report["status"] == "OK"
    assert view(report)["headline"] == "All 1,204 requests are anonymous, and nothing failed."
    assert view(report)["notes"] == [
        "Say who the user is: note_user(request, user) in the app, or jwt_key and the like; see docs/tracker.md."
    ]
    assert view(report, "fr")["headline"].startswith("Les 1\u202f204 requêtes sont toutes anonymes")


def test_a_mail_of_an_app_that_was_never_recorded_warns():
    report = {**samples.report([]), "status": "WARNING", "notes": [as_json(Note("never", 0, "/srv/guardian.db"))]}
    assert view(report)["subject"] == "⚠ No request has ever been recorded in /srv/guardian.db – Guardian"
    assert view(report)["notes"] == [
        "Add UsageTrackingMiddleware to the app, with this database, and use the app once."
    ]


def test_a_mail_shows_a_few_notes_and_counts_the_rest_and_keeps_the_words_of_a_newer_kind():
    notes = [Note("token_refused", n, f"reason {n}") for n in range(7)]
    report = {**samples.ordinary(), "notes": [{**as_json(Note("newer", 1, "x")), "text": "T.", "cure": "C."}]}
    assert view(report)["notes"] == ["T. C."]
    shown = view(samples.report(known(3), notes=notes))
    assert (len(shown["notes"]), shown["more_notes"]) == (5, "and 2 more: see guardian check")


def test_why_requests_were_lost_is_said_once():
    report = samples.report(known(3), notes=[Note("dropped", 1, "the database could not be written to")])
    assert "lost this week" in view(samples.report(known(3)))["privacy"]
    assert "lost this week" not in view(report)["privacy"]
    assert view(report)["notes"][0].startswith("1 request was lost: the database could not be written to.")
