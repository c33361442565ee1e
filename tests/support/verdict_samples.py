"""Events before a Monday's noon, and what a rule says of them."""

from datetime import UTC, datetime

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.history import History, Snapshot
from guardian.alerting.kinds import judge
from guardian.settings.rules import parse_rule
from tests.support.events import event as made
from tracker.event import Failure

SECOND = 1_000_000
HOUR, DAY, WEEK = 3600, 86400, 7 * 86400
NOW_US = int(datetime(2026, 3, 16, 12, 0, tzinfo=UTC).timestamp()) * SECOND  # a Monday


def event(ago: float, *, user="ann@example.com", feature="chat", status=200, ms=20, kind="Boom", location="app.py:7 f"):
    """One event that ended `ago` seconds before noon."""
    failure = Failure(kind, "Internal Server Error", location) if status >= 400 else None
    at_us = NOW_US - round(ago * SECOND)
    return made(
        at_us, path=f"/api/{feature}", method="POST", user=user, feature=feature, status=status, ms=ms, failure=failure
    )


def many(number: int, status: int = 200, *, within: float = 3000, start: float = 1, **more):
    return [event(start + i * within / max(number, 1), status=status, **more) for i in range(number)]


def snapshot(events, *, days: float = 40, **more) -> Snapshot:
    history = History.of(events, NOW_US - round(days * DAY) * SECOND, NOW_US)
    return History(**{**vars(history), **more}).at(NOW_US // MINUTE_US) if more else history.at(NOW_US // MINUTE_US)


def states(rule, events, since=None, **more) -> dict[str, str]:
    return {v.subject: v.state for v in judge(rule, snapshot(events, **more), since)}


def rule(kind: str, **keys):
    return parse_rule(kind, keys, critical_features=("chat",))
