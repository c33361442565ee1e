"""The daemon's minutes on every store: what it tells is what the backtest says, and nothing is told twice."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import Surroundings
from guardian.application.judging.backtest import replay
from guardian.application.judging.live import LiveHistory, judge_passed_minutes
from guardian.core.outgoing import Outgoing
from guardian.core.time import micros
from guardian.settings.rules import parse_rule
from tests.support.events import event as made
from tracker.event import Failure

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
FIRST = micros(START) // MINUTE_US
RULES = (
    parse_rule("error_rate", {"window": "10m"}),
    parse_rule("feature_down", {"features": ["chat"]}),
    parse_rule("user_burst", {"resolve_after": "2m"}),
)
AROUND = Surroundings(RULES, ZoneInfo("UTC"))


def minute_of(number):
    """Eight requests a minute; for ten minutes all that go to chat fail."""
    boom = Failure("Boom", "no", "app.py:7 f")
    for n in range(8):
        failed = n % 2 == 0 and 10 <= number < 20
        at_us = (FIRST + number) * MINUTE_US + n * 7_000_000
        feature = "chat" if n % 2 == 0 else "docs"
        status, why = (500, boom) if failed else (200, None)
        yield made(at_us, user=f"u{n % 3}@example.com", feature=feature, status=status, ms=9, failure=why)


def compose(notice, snapshot):
    key = "+".join(f"{t.incident.id}:{t.change}" for t in notice.transitions)
    return [Outgoing(f"incident/{key}/a@example.com", "a@example.com", b"", "alert")], {"": "subject"}


async def test_the_daemon_does_what_the_backtest_says(open_stores):
    stores = await open_stores()
    live, told = LiveHistory(stores.history, RULES), []
    for minute in range(1, 61):
        await stores.events.write(list(minute_of(minute - 1)))
        if minute % 20 == 0:  # a restart
            stores = await open_stores()
            live = LiveHistory(stores.history, RULES)
        now = START + timedelta(minutes=minute, seconds=6)
        for _ in range(2):
            told += await judge_passed_minutes(stores.alerts, live, AROUND, compose, now=now, token=None)
    history = stores.history.read(FIRST - 60, FIRST + 60, single_events=7200)
    result = replay(history, AROUND, FIRST + 1, FIRST + 60)
    assert {(i.id, i.status, i.opened_us, i.resolved_us) for i in await stores.alerts.incidents()} == {
        (i.id, i.status, i.opened_us, i.resolved_us) for i in result.incidents
    }
    assert {i.rule for i in result.incidents} == {rule.name for rule in RULES}
    assert len(told) == len({(t.incident.id, t.change, t.at_us) for t in told})
    assert len(await stores.state.outbox()) == len(result.notices) > 3


async def test_minutes_in_which_nothing_happens_are_stored_now_and_then(open_stores):
    stores = await open_stores()
    live, versions = LiveHistory(stores.history, RULES), []
    for minute in range(1, 36):
        if minute < 9:
            await stores.events.write(list(minute_of(minute - 1)))
        elif minute >= 30:  # all that go to chat fail
            later_us = (minute - 11) * MINUTE_US
            await stores.events.write([event._replace(at_us=event.at_us + later_us) for event in minute_of(10)])
        now = START + timedelta(minutes=minute, seconds=6)
        await judge_passed_minutes(stores.alerts, live, AROUND, compose, now=now, token=None)
        versions.append((await stores.alerts.load()).version)
    quiet, busy = versions[9:29], versions[29:]
    assert len(set(quiet)) == 3
    assert busy == sorted(set(busy))  # what happens is stored at once
    assert (await stores.alerts.load()).minute == FIRST + 35


async def test_a_restart_amid_quiet_minutes_judges_them_again_to_the_same_end(open_stores):
    stores, ends = await open_stores(), []
    for restarting in (False, True):
        live = LiveHistory(stores.history, RULES)
        await stores.events.write(list(minute_of(0)))
        told = []
        for minute in range(1, 9):
            if restarting and minute == 6:
                live = LiveHistory(stores.history, RULES)
            now = START + timedelta(minutes=minute + (100 if restarting else 0), seconds=6)
            told += await judge_passed_minutes(stores.alerts, live, AROUND, compose, now=now, token=None)
        ends.append((told, live.judged.minute - (100 if restarting else 0)))
    assert ends == [([], FIRST + 8)] * 2
