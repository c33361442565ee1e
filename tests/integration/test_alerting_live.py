"""The daemon's alerting on a real database: nothing twice, nothing lost, and the same as the backtest says."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.actions import edit_for
from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings
from guardian.alerting.history import History
from guardian.alerting.incidents import Incident, Memory
from guardian.application.judging.backtest import replay
from guardian.application.judging.live import LiveHistory, judge_passed_minutes
from guardian.core.outgoing import Outgoing
from guardian.core.time import micros
from guardian.settings.rules import parse_rule
from guardian.stores.alert_state import STATE_JSON
from guardian.stores.alerts import ChangedMeanwhile
from guardian.stores.sqlite.alerts import SqliteAlertStore
from guardian.stores.sqlite.history import SqliteHistory, read_history
from guardian.stores.sqlite.singles import Singles
from guardian.stores.sqlite.state import SqliteStateStore
from guardian.stores.state import LeaseLost
from tests.support.events import event
from tests.support.snapshots import took
from tracker.event import Event, Failure
from tracker.sqlite.writer import Writer

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
RULES = tuple(
    parse_rule(name, table, critical_features=("chat",))
    for name, table in {
        "error_rate": {"window": "30m"},
        "feature_down": {},
        "user_burst": {"resolve_after": "2m"},
        "slow": {"kind": "latency", "feature": "*", "threshold_ms": 900},
        "new_error": {"warmup": "1m"},
        "burn_rate": {"objective": "95%", "count": "all"},
    }.items()
)
AROUND = Surroundings(RULES, ZoneInfo("Europe/Zurich"))


def traffic(minutes: int, seed: int = 7, rate: int = 12) -> list[Event]:
    """A few requests a minute; from time to time a bad quarter of an hour, a slow one, an unlucky user."""
    chance = random.Random(seed)
    events = []
    for minute in range(minutes):
        bad = 0.7 if (minute // 15) % 4 == 2 else 0.02
        slow = 20 if (minute // 20) % 5 == 3 else 1
        for _ in range(chance.randrange(rate)):
            at_us = micros(START) + (minute * 60_000 + chance.randrange(60_000)) * 1000
            feature = chance.choice(("chat", "docs", "upload"))
            failed = chance.random() < (1 if feature == "chat" and bad > 0.5 else bad)
            failure = Failure("Boom", "Internal Server Error", f"app.py:{chance.randrange(3)} f") if failed else None
            user = f"u{chance.randrange(6)}@example.com"
            status = 500 if failed else 200
            took = chance.randrange(1000, 100_000) * slow
            events.append(
                event(
                    at_us,
                    user=user,
                    path=f"/api/{feature}",
                    method="POST",
                    feature=feature,
                    status=status,
                    duration_us=took,
                    failure=failure,
                )
            )
    return sorted(events)


def a_mail(notice, snapshot) -> tuple[list[Outgoing], dict[str, str]]:
    changes = "+".join(f"{t.incident.id}:{t.change}" for t in notice.transitions)
    return [Outgoing(f"incident/{notice.thread}/{changes}-{notice.at_us}/a@x.org", "a@x.org", b"", "alert")], {
        "": "subject"
    }


@pytest.fixture
async def state(tmp_path):
    store = await SqliteStateStore.open(tmp_path / "guardian.db")
    yield store
    await store.close()


async def run(state, path, events, minutes, *, restart=lambda minute: False, skip=lambda minute: False, token=None):
    """Live through the minutes with the clock at their ends; the ids and changes in order."""
    writer, store, live = Writer(str(path)), SqliteAlertStore(state), LiveHistory(SqliteHistory(path), RULES)
    changes, written = [], 0
    for minute in range(1, minutes + 1):
        now = START + timedelta(minutes=minute)
        until = next((i for i in range(written, len(events)) if events[i].at_us >= micros(now)), len(events))
        if until > written:
            writer.write(events[written:until])
        written = until
        if skip(minute):
            continue
        if restart(minute):
            live = LiveHistory(SqliteHistory(path), RULES)
        for _ in range(2):  # asked twice a minute, as the daemon does and more
            found = await judge_passed_minutes(store, live, AROUND, a_mail, now=now + timedelta(seconds=6), token=token)
            changes += [(t.at_us, t.incident.id, t.change) for t in found]
    writer.close()
    return changes


def final(incidents):
    """Incidents without what depends on when mails went out."""
    return sorted(
        (i.id, i.rule, i.subject, i.status, i.opened_us, i.resolved_us, i.peak, i.flapping) for i in incidents
    )


async def test_the_backtest_says_what_the_daemon_did(state, tmp_path):
    events = traffic(240)
    path = tmp_path / "guardian.db"
    changes = await run(state, path, events, 240, restart=lambda minute: minute % 17 == 0)
    first = micros(START) // MINUTE_US + 1
    writer = Writer(str(path))
    history = read_history(writer.db, first - 60, first + 239, single_events=400 * 60)
    writer.close()
    result = replay(history, AROUND, first, first + 239)
    stored = await SqliteAlertStore(state).incidents(limit=1000)
    assert final(result.incidents) == final(stored)
    assert {i.rule for i in stored} == {rule.name for rule in RULES}, "the traffic makes every rule fire"
    mails = await state.outbox(limit=1000)
    assert len(mails) == len(result.notices) > 10
    assert len(changes) == len(set(changes))


async def test_a_history_read_piece_by_piece_is_the_history_read_at_once(tmp_path):
    path, events = tmp_path / "guardian.db", traffic(180, seed=3)
    writer, live = Writer(str(path)), LiveHistory(SqliteHistory(path), RULES)
    start, written = micros(START) // MINUTE_US, 0
    for minute in range(1, 181, 7):
        until = next((i for i, e in enumerate(events) if e.at_us >= (start + minute) * MINUTE_US), len(events))
        writer.write(events[written:until])
        written = until
        piece = await live.until(start + minute, start + minute)
    whole = History.of(events[:written], start * MINUTE_US, (start + minute) * MINUTE_US)
    for window in (60, 600, 3600):
        for feature in (None, "chat", "docs", "upload"):
            mine, theirs = piece.at(start + minute), whole.at(start + minute)
            assert mine.counts(window, feature) == theirs.counts(window, feature)
            assert mine.users(window, feature, failed=True) == theirs.users(window, feature, failed=True)
            assert took(mine, window, feature) == took(theirs, window, feature)
    assert piece.first_seen == whole.first_seen
    assert piece.first_event_us == whole.first_event_us
    writer.close()


class Host:
    """A host app's way into the database, with its heartbeats."""

    def __init__(self, path, name="one"):
        self.writer, self.name, self.stored = Writer(str(path)), name, 0

    def write(self, *events):
        def row(stored, poison):
            self.stored += stored
            return self.name, 0, events[-1].at_us, self.stored, self.stored, 0, "1"

        self.writer.write(events, heartbeat=row)


def boom(minute):
    return event(minute * MINUTE_US, user="ann@x.org", status=500, failure=Failure("Boom", "m", "app.py:7 f"))


def good(minute, seconds=0):
    return event(minute * MINUTE_US + seconds * 1_000_000, user="ann@x.org")


@pytest.mark.parametrize("minutes_late", [20, 180, 3 * 1440])
async def test_events_that_come_late_are_counted_without_a_restart(tmp_path, minutes_late):
    path, now = tmp_path / "guardian.db", micros(START) // MINUTE_US
    host, other, live = Host(path), Host(path, "two"), LiveHistory(SqliteHistory(path), RULES)
    host.write(good(now - 10 * 1440), good(now - 1), good(now, 3))
    await live.until(now, now)
    other.write(good(now, 30), good(now + 1, 2))
    host.write(*(boom(now - minutes_late) for _ in range(7)), good(now, 40))
    running, restarted = (
        await live.until(now + 1, now + 1),
        await LiveHistory(SqliteHistory(path), RULES).until(now + 1, now + 1),
    )
    week = 7 * 86400
    assert running.at(now + 1).counts(week) == restarted.at(now + 1).counts(week) == (11, 7, 7)
    assert running.first_seen == restarted.first_seen == {("Boom", "app.py:7 f"): (now - minutes_late) * MINUTE_US}


async def test_while_nothing_comes_late_only_what_is_new_is_read(tmp_path, monkeypatch):
    path, now = tmp_path / "guardian.db", micros(START) // MINUTE_US
    host, live, reads = Host(path), LiveHistory(SqliteHistory(path), RULES), []
    host.write(good(now - 10 * 1440), good(now - 1), good(now, 3))
    await live.until(now, now)
    read = Singles.read

    def noting(self, db, start_us, end_us):
        reads.append(((start_us // MINUTE_US) - now, (end_us - start_us) // MINUTE_US))
        return read(self, db, start_us, end_us)

    monkeypatch.setattr(Singles, "read", noting)
    for minute in range(now + 1, now + 4):
        host.write(good(minute - 1, 5), good(minute, 1))
        await live.until(minute, minute)
    assert reads == [(0, 1), (1, 1), (2, 1)]
    host.write(good(now + 3, 5), good(now - 12))
    history = await live.until(now + 4, now + 4)
    assert reads[3:] == [(3, 1), (-12, 1)], "a late event costs its minute"
    anew = await LiveHistory(SqliteHistory(path), RULES).until(now + 4, now + 4)
    assert list(history.columns.at_us) == list(anew.columns.at_us)


async def test_an_error_whose_events_are_deleted_is_forgotten_with_and_without_a_restart(tmp_path):
    path, day = tmp_path / "guardian.db", 1440
    start, boom = micros(START) // MINUTE_US, Failure("Boom", "m", "app.py:7 f")
    writer, live = Writer(str(path)), LiveHistory(SqliteHistory(path), RULES)
    writer.write(
        event((start + minute) * MINUTE_US, user="ann@x.org", path="/c", status=500, duration_us=9, failure=boom)
        for minute in (0, 90 * day)
    )
    await live.until(start + 1, start + 1)
    await live.until(start + 90 * day + 1, start + 90 * day + 1)
    writer.db.execute("DELETE FROM guardian_request WHERE id >> 10 < ?", ((start + day) * MINUTE_US,))
    end = start + 90 * day + 2
    running, restarted = await live.until(end, end), await LiveHistory(SqliteHistory(path), RULES).until(end, end)
    writer.close()
    assert running.first_seen == restarted.first_seen == {("Boom", "app.py:7 f"): (start + 90 * day) * MINUTE_US}
    assert running.first_event_us == restarted.first_event_us == (start + 90 * day) * MINUTE_US


async def test_after_a_downtime_every_missed_minute_is_judged_and_each_incident_told_once(state, tmp_path):
    path, events = tmp_path / "guardian.db", traffic(120)
    await run(state, path, events, 120, skip=lambda minute: 20 < minute < 110)
    missed = [i for i in await SqliteAlertStore(state).incidents(limit=1000) if i.rule == "user_burst"]
    assert [i for i in missed if i.opened_us < micros(START + timedelta(minutes=100))], "a burst nobody watched"
    late = [m for m in await state.outbox(limit=1000) if m.created_at == START + timedelta(minutes=110, seconds=6)]
    told = [part.split(":")[0] for m in late for part in m.message.key.split("/")[2].rsplit("-", 1)[0].split("+")]
    assert len(told) == len(set(told))


@pytest.mark.parametrize(("hour", "down"), [(9, False), (19, True)])
async def test_silence_is_judged_by_the_clock_on_the_wall(state, tmp_path, hour, down):
    zone, path = AROUND.zone, tmp_path / "guardian.db"
    now = datetime(2026, 10, 26, hour, tzinfo=zone)  # a Monday; the clocks were put back the day before
    office = [now.replace(hour=h) - timedelta(weeks=week) for week in range(1, 6) for h in range(9, 19)]
    writer = Writer(str(path))
    writer.write(
        event(micros(start.astimezone(UTC)) + i * MINUTE_US, user="ann@x.org", path="/c")
        for start in office for i in range(30)
    )  # fmt: skip
    around = replace(AROUND, rules=(parse_rule("feature_down", {}, critical_features=("chat",)),))
    live = LiveHistory(SqliteHistory(path), around.rules)
    moment = now.astimezone(UTC) + timedelta(seconds=6)
    found = await judge_passed_minutes(SqliteAlertStore(state), live, around, a_mail, now=moment, token=None)
    assert [(t.incident.subject, t.change) for t in found] == ([("chat", "opened")] if down else [])
    minute = micros(now.astimezone(UTC)) // MINUTE_US
    history = read_history(writer.db, minute - 60 * 24 * 40, minute, single_events=3600)
    writer.close()
    assert len(replay(history, around, minute, minute).incidents) == down


class Interrupted(SqliteAlertStore):
    """Somebody acts just before a minute is committed, as often as there are `acts`."""

    def __init__(self, state, *acts):
        super().__init__(state)
        self.acts = list(acts)

    async def commit(self, *args, **kwargs):
        if self.acts:
            await self.acts.pop(0)(self)
        return await super().commit(*args, **kwargs)


def failing_chat(minute, number=58):
    return [
        Event(
            micros(START + timedelta(minutes=minute)) + i * 1_000_000,
            *(f"u{i}@x.org", "/c", "GET", "chat", 500, 1000, Failure("B", "m", "a:1 f")),
        )
        for i in range(number)
    ]


async def test_what_somebody_does_while_a_minute_is_judged_is_kept(state, tmp_path):
    path = tmp_path / "guardian.db"
    await run(state, path, failing_chat(0), 1)
    store = SqliteAlertStore(state)
    down = next(i for i in (await store.load()).incidents() if i.rule == "feature_down")
    now = START + timedelta(minutes=2)

    async def press(store):
        await store.change(down.id, edit_for("acknowledge", by="ann@example.com", now=now, zone=AROUND.zone))
        await store.change(down.id, edit_for("fixed", by="ann@example.com", now=now, zone=AROUND.zone))

    live = LiveHistory(SqliteHistory(path), RULES)
    await judge_passed_minutes(
        Interrupted(state, press), live, AROUND, a_mail, now=now + timedelta(seconds=6), token=None
    )
    after = await store.load()
    kept = next(i for i in after.incidents() if i.id == down.id)
    assert after.minute == micros(now) // MINUTE_US
    assert (kept.status, kept.acknowledged_by, kept.fixed_us) == ("acknowledged", "ann@example.com", micros(now))
    assert after.memories["feature_down"].fixed_us == {"chat": micros(now)}


@pytest.mark.parametrize("action", ["acknowledge", "silence-1h", "fixed", "resolve"])
async def test_whoever_acts_while_minutes_are_judged_makes_no_incident_be_told_twice(state, tmp_path, action):
    path = tmp_path / "guardian.db"
    await run(state, path, failing_chat(0), 1)
    writer = Writer(str(path))
    writer.write([e._replace(failure=Failure("New", "m", "b:1 g")) for e in failing_chat(1)])
    writer.close()
    live = LiveHistory(SqliteHistory(path), RULES)

    async def press(store):
        edit = edit_for(action, by="ann@example.com", now=START + timedelta(minutes=2), zone=AROUND.zone)
        await store.change_all(edit)

    found = []
    for minute, acts in ((2, [press, press]), (3, []), (4, [press])):
        now = START + timedelta(minutes=minute, seconds=6)
        found += await judge_passed_minutes(Interrupted(state, *acts), live, AROUND, a_mail, now=now, token=None)
    assert "New" in " ".join(t.incident.subject for t in found if t.change == "opened"), (
        "new in the minute of the press"
    )
    mails = [item.message.key for item in await state.outbox(limit=1000)]
    told = [part for key in mails for part in key.split("/")[2].rpartition("-")[0].split("+")]
    assert len(told) == len(set(told)) > 3
    assert {i.acknowledged_by for i in await SqliteAlertStore(state).incidents() if i.acted} == {"ann@example.com"}


async def test_minutes_during_which_somebody_acts_again_and_again_wait_for_the_next_step(state, tmp_path):
    path = tmp_path / "guardian.db"
    await run(state, path, failing_chat(0), 1)
    before, now = await state.outbox(limit=1000), START + timedelta(minutes=2, seconds=6)
    live, edit = LiveHistory(SqliteHistory(path), RULES), edit_for("acknowledge", by="a", now=now, zone=AROUND.zone)
    always = Interrupted(state, *[lambda store: store.change_all(edit)] * 100)
    with pytest.raises(ChangedMeanwhile):
        await judge_passed_minutes(always, live, AROUND, a_mail, now=now, token=None)
    assert await state.outbox(limit=1000) == before
    always.acts.clear()
    await judge_passed_minutes(always, live, AROUND, a_mail, now=now, token=None)
    assert (await always.load()).minute == micros(START) // MINUTE_US + 2


async def test_a_daemon_that_lost_its_lease_changes_nothing(state, tmp_path):
    token = await state.acquire_lease("daemon", "a", START, timedelta(seconds=30))
    path, events = tmp_path / "guardian.db", traffic(60)
    await run(state, path, events, 50, token=token)
    before = await SqliteAlertStore(state).load()
    await state.acquire_lease("daemon", "b", START + timedelta(minutes=5), timedelta(seconds=30))
    with pytest.raises(LeaseLost):
        await run(state, path, events, 55, token=token)
    assert await SqliteAlertStore(state).load() == before


async def test_a_clock_that_was_days_ahead_once_stops_no_alert(state, tmp_path):
    path = tmp_path / "guardian.db"
    failing = [
        event(
            micros(START) + i * 1_000_000,
            user=f"u{i % 9}@x.org",
            path="/c",
            status=500,
            failure=Failure("B", "m", "a:1 f"),
        )
        for i in range(120)
    ]
    live, store = LiveHistory(SqliteHistory(path), RULES), SqliteAlertStore(state)
    writer = Writer(str(path))
    writer.write(failing)

    async def judge(now):
        found = await judge_passed_minutes(store, live, AROUND, a_mail, now=now, token=None)
        return {(t.incident.rule, t.change) for t in found}

    assert ("feature_down", "opened") in await judge(START + timedelta(minutes=2, seconds=6))
    await judge(START + timedelta(days=3))
    ahead = next(i for i in (await store.load()).incidents() if i.rule == "feature_down")
    assert ahead.status == "open", "no data never resolves"
    assert await judge(START + timedelta(minutes=3, seconds=6)) == set()
    at_us = micros(START + timedelta(minutes=3))
    writer.write([event(at_us + i * 900_000, user=f"u{i % 9}@x.org", path="/c") for i in range(600)])
    ended = set()
    for minute in range(4, 12):
        ended |= await judge(START + timedelta(minutes=minute, seconds=6))
    assert ("feature_down", "resolved") in ended
    writer.close()
    down = await store.incident(ahead.id)
    now_us = micros(START + timedelta(minutes=11))
    assert down is not None and max(down.told_us, down.fired_us, down.resolved_us) <= now_us


async def test_failed_answers_of_a_probe_are_counted_across_a_restart(state, tmp_path):
    probed = parse_rule("feature_down", {"probe": {"url": "http://localhost/health", "failures": 3}})
    around, path = replace(AROUND, rules=(probed,)), tmp_path / "guardian.db"
    Writer(str(path)).close()
    opened = []
    for minute in range(1, 4):
        now = START + timedelta(minutes=minute)
        live = LiveHistory(SqliteHistory(path), around.rules)  # a new process each minute
        live.answered("feature_down", micros(now) - 1, False)
        found = await judge_passed_minutes(
            SqliteAlertStore(state), live, around, a_mail, now=now + timedelta(seconds=6), token=None
        )
        opened += [(minute, t.incident.subject, t.change) for t in found]
    assert opened == [(3, "probe", "opened")]


async def test_fixed_takes_back_what_has_not_held_long_enough_to_be_told(state, tmp_path):
    slow_to_tell = parse_rule("error_rate", {"for": "3m", "window": "30m"})
    around, path, store = replace(AROUND, rules=(slow_to_tell,)), tmp_path / "guardian.db", SqliteAlertStore(state)
    writer, failure = Writer(str(path)), Failure("B", "m", "a:1 f")
    bad = [event(micros(START) + i, user=f"u{i}@x.org", path="/c", status=500, failure=failure) for i in range(50)]
    good = [event(micros(START) + 120_000_000 + i, user="v@x.org", path="/c") for i in range(50)]
    writer.write(bad + good)
    writer.close()
    for minute in range(1, 9):
        now = START + timedelta(minutes=minute, seconds=6)
        if minute == 2:
            assert [i.status for i in (await store.load()).incidents()] == ["pending"]
            fixed = edit_for("fixed", by="ann", now=START + timedelta(minutes=2), zone=AROUND.zone)
            assert await store.change_all(fixed) == []
        assert (
            await judge_passed_minutes(
                store, LiveHistory(SqliteHistory(path), around.rules), around, a_mail, now=now, token=None
            )
            == []
        )


async def test_nothing_of_an_erased_person_is_left_in_incidents(state, tmp_path):
    path, store = tmp_path / "guardian.db", SqliteAlertStore(state)
    rules = (parse_rule("user_burst", {}), parse_rule("error_rate", {"quiet_hours": "00:00-23:59"}))
    around, failure = replace(AROUND, rules=rules), Failure("B", "m", "a:1 f")
    events = [
        event(micros(START) + i * 1000, user=user, path="/c", status=500, failure=failure)
        for i in range(12)
        for user in ("bob@example.com", "eve@example.com")
    ]
    writer = Writer(str(path))
    writer.write(sorted(events))
    writer.close()
    now = START + timedelta(minutes=1, seconds=6)
    await judge_passed_minutes(store, LiveHistory(SqliteHistory(path), rules), around, a_mail, now=now, token=None)
    before = await store.load()
    assert "bob@" in STATE_JSON.dump_json(before).decode()
    assert len(before.held) == 1
    assert (await state.forget("Bob@example.com")).rows == 2, "the incident about them, and the name in the other"
    assert {(i.subject, i.names) for i in await store.incidents()} == {
        ("eve@example.com", ("eve@example.com",)),
        ("", ("eve@example.com",)),
    }
    assert "bob@" not in STATE_JSON.dump_json(await store.load()).decode()
    later = replace(before, minute=(before.minute or 0) + 1)
    with pytest.raises(ChangedMeanwhile):
        await store.commit(later, [], now=now)  # a minute that was judged while they were erased
    assert "bob@" not in STATE_JSON.dump_json(await store.load()).decode()
    assert "bob@" not in repr(await store.incidents())


async def test_incidents_that_ended_before_the_retention_are_forgotten(state, tmp_path):
    old = Incident("old", "error_rate", "", "warning", "resolved", since_us=1, opened_us=1, resolved_us=micros(START))
    still = Incident("still", "error_rate", "chat", "warning", "open", since_us=1, opened_us=1)
    store = SqliteAlertStore(state)
    after = AlertState(1, {"error_rate": Memory({"": old, "chat": still})})
    await store.commit(after, [], now=START)
    assert await state.purge_state(START, incidents_before=START) == 0
    assert await state.purge_state(START, incidents_before=START + timedelta(seconds=1)) == 1
    assert [i.id for i in await store.incidents()] == ["still"]
