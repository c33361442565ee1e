"""Reports and companions for the tests of the mail, made by the very functions that make the real ones."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from guardian.core.activity import Activity
from guardian.core.quiet import Quiet
from guardian.core.report.build import build_report
from guardian.core.report.json import to_json
from guardian.core.storage import RecorderHealth, StorageStats
from guardian.core.summary import Summary, TimelineBar
from guardian.mail.companions import read_companion
from tests.support.events import event as made
from tracker.event import Failure

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
END = START + timedelta(hours=2)
START_US = int(START.timestamp()) * 1_000_000
ZONE = ZoneInfo("Europe/Zurich")
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>{{ 7*7 }}'
LONG = "w" * 200
COMPANION = {
    "status": "degraded",
    "timestamp": "2026-03-02T06:00:00Z",
    "summary": {"checks_passed": 41, "checks_failed": 2},
    "recommendations": [{"priority": "HIGH", "action": "Add an index on threads.owner", "details": "It takes 1.2 s."}],
    "errors_detailed": [{"check": "search", "error": "timeout"}],
    "error_patterns": {"timeout": 2},
    "log_samples": ["06:00 WARN pool exhausted"],
}


def event(minutes, user="ada@example.com", status=200, feature="chat_message", text=None, kind=None, duration_ms=100):
    """One request, so many minutes into the period; `kind` makes its failure an exception's."""
    failure = None
    if status >= 400:
        failure = Failure(kind or f"HTTP {status}", text or "Bad Request", "app.py:7 chat" if kind else None)
    at_us = round((START + timedelta(minutes=minutes)).timestamp() * 1_000_000)
    return made(
        at_us,
        path=f"/api/{feature}",
        method="POST",
        user=user,
        feature=feature,
        status=status,
        ms=duration_ms,
        failure=failure,
    )


def bars(events):
    """The report's timeline in bars of 5 minutes."""
    found = []
    for n in range(24):
        start = START + timedelta(minutes=5 * n)
        first, last = (int(at.timestamp() * 1e6) for at in (start, start + timedelta(minutes=5)))
        own = [e for e in events if first <= e.at_us < last]
        users = {e.user for e in own} - {"anonymous"}
        found.append(TimelineBar(start, len(own), sum(e.status >= 400 for e in own), len(users)))
    return found


def last_steps(events, user):
    """What the user did up to the newest error."""
    own = [e for e in events if e.user == user]
    last = max(n for n, e in enumerate(own) if e.failure)
    return own[max(0, last - 3) : last + 1]


def report(events, previous=(), **more):
    """The JSON of the real report on two hours from 2 March 2026, 08:00 UTC, on."""
    failed = {}
    for each in events:
        if each.failure and each.user != "anonymous":
            failed.setdefault(each.user, []).append(each)
    newest = {user: sorted(found, key=lambda e: e.at_us)[-20:] for user, found in failed.items()}
    current = Activity.of(Summary.of(events), newest, START_US)
    made = build_report(
        current, Summary.of(previous).counts(), previous_start=START - (END - START), start=START, end=END, now=END,
        steps={user: last_steps(events, user) for user in current.needy},
        timeline=bars(events),
        stats=StorageStats(12_345, 40, START - timedelta(days=30), END, 4096, 678, START - timedelta(days=90)),
        recorders=[RecorderHealth("r1", START, END, 12_346, 12_345, 1, "0.1.0")], **more,
    )  # fmt: skip
    return to_json(made)


def ordinary():
    """Some users, some failures of several kinds, more than in the period before."""
    names = ["ada", "ben", "cleo", "dan", "eva", "finn", "gina", "hugo", "ines", "jan", "kim", "lea"]
    users = [f"{name}@example.com" for name in names]
    features = ["chat_message", "threads", "documents", "search"]
    events = [
        event(n % 119, users[n * n % 12], feature=features[n % 7 % 4], duration_ms=40 + n % 60) for n in range(400)
    ]
    events += [event(30 + n, users[n % 5], 413, "document_upload", "File too large") for n in range(14)]
    events += [event(60 + n, "ada@example.com", 500, text="Internal Server Error", kind="KeyError") for n in range(6)]
    events += [event(70 + n, "anonymous", 404, "(unmatched)", "Not Found") for n in range(3)]
    before = [event(n % 119 - 120, users[n % 9], feature=features[n % 4]) for n in range(300)]
    error = event(-4401, "olga@example.com", 500, "search", "Internal Server Error", "KeyError")
    quiet = Quiet("olga@example.com", event(-4400).at_us, 31, error)
    return report(sorted(events, key=lambda e: e.at_us), before, quiet=[quiet])


def empty():
    """Nobody was there, and it is the first period."""
    return report([])


def crowded():
    """5,000 users, each with failures and many features."""
    events = []
    for n in range(5_000):
        user = f"someone.with.a.long.name.{n:04}@department.example.com"
        events += [event(n % 119 + k / 10, user, feature=f"feature_{(n + k) % 90}") for k in range(4)]
        events += [event(n % 119 + k / 7, user, 500, "chat_message", "x" * 90, "RuntimeError") for k in range(3)]
    return report(sorted(events, key=lambda e: e.at_us))


def hostile(text=HOSTILE):
    """Every name and text that somebody else may choose says `text`."""
    events = [event(n, text, feature=text) for n in range(20)]
    events += [event(30 + n, text, 500, text, text, text) for n in range(12)]
    quiet = Quiet(text, START_US, 31, events[-1])
    return report(events, [event(n - 100, text, feature=text) for n in range(60)], quiet=[quiet])


def hostile_companion(text=HOSTILE):
    """A companion in which every text says `text`."""
    return {
        "status": "CRITICAL", "timestamp": text, "summary": {text: text},
        "recommendations": [{"priority": text, "action": text, "details": text}],
        "errors_detailed": [text, {text: text}], "error_patterns": [text], "log_samples": [text],
    }  # fmt: skip


def companion(name="prod_report.json", **more):
    """A companion report as the mail takes it."""
    return read_companion(name, {**COMPANION, **more})
