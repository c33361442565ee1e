"""What every store must do for alerting: the state and its version, incidents, the links of mails, erasing."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.actions import edit_for
from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident, Memory, Transition
from guardian.alerting.links import LinkUsed
from guardian.alerting.notices import Audience, Held
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError
from guardian.core.time import micros
from guardian.settings.rules import parse_rule
from guardian.stores.alerts import ChangedMeanwhile
from guardian.stores.state import LeaseLost

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
NOW_US, HOUR = micros(NOW), timedelta(hours=1)
MAIL = Outgoing("incident/a/opened/a@example.com", "a@example.com", b"Subject: x\r\n\r\nchat\r\n", "alert")


def incident(name, subject="chat", status="open", rule="error_rate", **more):
    return Incident(name, rule, subject, "warning", status, **{"since_us": NOW_US, "opened_us": NOW_US, **more})


def remembering(*incidents, **more):
    """A state with these incidents."""
    memories = {}
    for each in incidents:
        known = memories.get(each.rule, Memory())
        memories[each.rule] = replace(known, latest={**known.latest, each.subject: each})
    return AlertState(NOW_US // 60_000_000, memories, **more)


def waiting(about):
    """An opening that is told when quiet hours end."""
    return Held(Transition(about, "opened", NOW_US), Audience(("mail",), ()), NOW_US + 9, "quiet")


def acknowledge(by="ann@example.com"):
    return edit_for("acknowledge", by=by, now=NOW, zone=ZoneInfo("UTC"))


@pytest.fixture
def alerts(stores):
    return stores.alerts


async def test_before_the_first_minute_there_is_an_empty_state(alerts):
    assert await alerts.load() == AlertState()
    assert await alerts.incidents() == []
    assert await alerts.incident("a") is None
    assert await alerts.change("a", acknowledge()) is None
    assert await alerts.change_all(acknowledge()) == []


async def test_the_state_comes_back_as_it_was_with_its_incidents_and_mails(open_stores):
    a, pending = incident("a", peak=0.25, names=("ada@example.com",)), incident("p", "docs", "pending", opened_us=None)
    rule = parse_rule("error_rate", {"threshold": "7%"})
    state = remembering(
        a, pending,
        held=(waiting(a),), spent=((NOW_US, 2),), last_told={"error_rate": 7},
        maintained_us=5, rules={"error_rate": rule}, probes={"down": ((NOW_US, True),)},
    )  # fmt: skip
    stores = await open_stores()
    written = await stores.alerts.commit(state, [MAIL], now=NOW)
    again = await open_stores()
    assert await again.alerts.load() == written == state
    assert await again.alerts.incidents() == [a], "what is pending has not opened yet"
    assert await again.alerts.incident("a") == a
    assert [item.message for item in await again.state.outbox()] == [MAIL]


async def test_a_commit_goes_on_from_the_version_that_was_loaded(alerts):
    for minute in (1, 2, 3):
        await alerts.commit(replace(await alerts.load(), minute=minute), [], now=NOW)
    assert (await alerts.load()).minute == 3


@pytest.mark.parametrize("how", ["press", "press on all", "link", "minute", "erase"])
async def test_what_was_changed_since_it_was_loaded_is_not_written_over(open_stores, how):
    one, two = await open_stores(), await open_stores()
    await one.alerts.commit(remembering(incident("a")), [], now=NOW)
    loaded = await one.alerts.load()
    changes = {
        "press": lambda: two.alerts.change("a", acknowledge()),
        "press on all": lambda: two.alerts.change_all(acknowledge()),
        "link": lambda: two.alerts.change_by_link("n", "a", acknowledge(), NOW),
        "minute": lambda: two.alerts.commit(loaded, [], now=NOW),
        "erase": lambda: two.state.forget("nobody@example.com"),
    }
    await changes[how]()
    stored = await two.alerts.load()
    with pytest.raises(ChangedMeanwhile):
        await one.alerts.commit(replace(loaded, minute=9), [MAIL], now=NOW)
    assert await one.alerts.load() == stored
    assert await one.state.outbox() == []
    await one.alerts.commit(replace(await one.alerts.load(), minute=9), [MAIL], now=NOW)
    assert len(await one.state.outbox()) == 1


async def test_what_changes_nothing_leaves_the_version(alerts):
    await alerts.commit(remembering(incident("a", status="resolved", resolved_us=NOW_US)), [], now=NOW)
    loaded = await alerts.load()
    assert await alerts.change("a", acknowledge()) is None
    assert await alerts.change_all(acknowledge()) == []
    await alerts.commit(loaded, [], now=NOW)


async def test_whoever_lost_the_lease_commits_nothing(stores):
    old = await stores.state.acquire_lease("daemon", "one", NOW, HOUR)
    await stores.state.acquire_lease("daemon", "two", NOW + HOUR, HOUR)
    with pytest.raises(LeaseLost):
        await stores.alerts.commit(remembering(incident("a")), [MAIL], now=NOW, token=old)
    assert await stores.alerts.load() == AlertState()
    assert await stores.alerts.incidents() == await stores.state.outbox() == []


async def test_an_incident_is_changed_alone_or_with_all_that_are_not_over(alerts):
    over = incident("over", "search", "resolved", resolved_us=NOW_US)
    pending = incident("p", "login", "pending", opened_us=None)
    await alerts.commit(remembering(incident("a"), incident("b", "docs"), over, pending), [], now=NOW)
    changed = await alerts.change("a", acknowledge())
    assert (changed.id, changed.status, changed.acknowledged_by) == ("a", "acknowledged", "ann@example.com")
    assert await alerts.incident("a") == changed
    assert (await alerts.incident("b")).status == "open"
    assert {i.id for i in await alerts.change_all(acknowledge("bob@example.com"))} == {"a", "b", "p"}
    assert (await alerts.incident("b")).acknowledged_by == "bob@example.com"
    assert await alerts.incident("over") == over


async def test_of_the_incidents_only_those_are_written_that_changed(stores, sqlite_file):
    """Hundreds that ended within the last hour are not written again each minute."""
    a, b = incident("a"), incident("b", "docs")
    state = await stores.alerts.commit(remembering(a, b), [], now=NOW)
    if sqlite_file.exists():
        with closing(sqlite3.connect(sqlite_file)) as db, db:
            db.execute("UPDATE guardian_incident SET rule = 'untouched'")
        await stores.alerts.commit(state.changed(replace(b, value=0.5)), [], now=NOW)
        with closing(sqlite3.connect(sqlite_file)) as db:
            rows = db.execute("SELECT id, rule FROM guardian_incident ORDER BY id").fetchall()
        assert rows == [("a", "untouched"), ("b", "error_rate")]
    assert (await stores.alerts.incident("a")) == a


async def test_an_incident_that_was_changed_elsewhere_is_written_as_the_next_commit_has_it(open_stores):
    one, other = (await open_stores()).alerts, (await open_stores()).alerts
    await one.commit(remembering(incident("a"), incident("b", "docs")), [], now=NOW)
    await other.change("a", acknowledge())
    state = await one.load()
    state = state.changed(replace(state.by_id()["a"], status="open", acknowledged_by=None))
    await one.commit(state, [], now=NOW)
    assert (await other.incident("a")).status == "open"


async def test_a_link_acts_once(open_stores):
    one, two = await open_stores(), await open_stores()
    await one.alerts.commit(remembering(incident("a")), [], now=NOW)
    assert (await one.alerts.change_by_link("n1", "a", acknowledge(), NOW)).acknowledged_by == "ann@example.com"
    with pytest.raises(LinkUsed):
        await two.alerts.change_by_link("n1", "a", acknowledge("eve@example.com"), NOW)
    assert (await two.alerts.incident("a")).acknowledged_by == "ann@example.com"
    assert await two.alerts.change_by_link("n2", "unknown", acknowledge(), NOW) is None


async def test_the_key_of_links_is_made_once(open_stores):
    one, two = await open_stores(), await open_stores()
    key = await one.alerts.link_key()
    assert len(key) >= 32
    assert await two.alerts.link_key() == key
    await two.alerts.renew_link_key()
    renewed = await one.alerts.link_key()
    assert renewed != key
    assert await two.alerts.link_key() == renewed


async def test_incidents_are_listed_the_newest_first(alerts):
    at = [micros(NOW + n * HOUR) for n in range(5)]
    found = [
        incident("old", "1", "resolved", opened_us=at[0], resolved_us=at[1]),
        incident("b", "2", opened_us=at[2]), incident("a", "3", opened_us=at[2]),
        incident("ended", "4", "resolved", opened_us=at[1], resolved_us=at[3]),
    ]  # fmt: skip
    await alerts.commit(remembering(*found), [], now=NOW)

    async def listed(**asked):
        return [i.id for i in await alerts.incidents(**asked)]

    assert await listed() == ["a", "b", "ended", "old"]
    assert await listed(open_only=True) == ["a", "b"]
    assert await listed(since=NOW + 2 * HOUR) == ["a", "b", "ended"]
    assert await listed(limit=3) == ["a", "b", "ended"]
    assert await listed(open_only=True, since=NOW + 9 * HOUR, limit=1) == ["a"]


async def test_incidents_stay_listed_when_the_state_forgets_them_and_end_with_their_rule(alerts):
    over = incident("over", "docs", "resolved", resolved_us=NOW_US)
    await alerts.commit(remembering(incident("a"), over), [], now=NOW)
    await alerts.commit(replace(await alerts.load(), memories={}), [], now=NOW + HOUR)
    assert {(i.id, i.status, i.resolved_us) for i in await alerts.incidents()} == {
        ("a", "resolved", micros(NOW + HOUR)),
        ("over", "resolved", NOW_US),
    }


async def test_incidents_that_ended_before_the_retention_are_purged_and_open_ones_stay(stores):
    over = incident("over", "docs", "resolved", resolved_us=NOW_US)
    await stores.alerts.commit(remembering(incident("a"), over), [], now=NOW)
    assert await stores.state.purge_state(NOW, incidents_before=NOW) == 0
    assert await stores.state.purge_state(NOW, incidents_before=NOW + HOUR) == 1
    assert [i.id for i in await stores.alerts.incidents()] == ["a"]


async def test_nothing_of_an_erased_person_is_left_in_alerts(stores):
    burst = incident("b", "bob@example.com", rule="user_burst", names=("bob@example.com",))
    other = incident("a", names=("bob@example.com", "eve@example.com"))
    held = tuple(waiting(each) for each in (burst, other))
    state = remembering(burst, other, held=held)
    memory = state.memories["user_burst"]
    state = replace(
        state,
        memories={
            **state.memories,
            "user_burst": replace(memory, fixed_us={"bob@example.com": 1, "eve@example.com": 2}),
        },
    )
    await stores.alerts.commit(state, [], now=NOW)
    forgotten = await stores.state.forget("Bob@example.com", rules={"user_burst"})
    assert (forgotten.incidents, forgotten.rows) == (2, 2)
    assert (await stores.state.forget("bob@example.com", rules={"user_burst"})).rows == 0
    left = await stores.alerts.load()
    assert "bob@" not in repr(left)
    assert left.memories["user_burst"].fixed_us == {"eve@example.com": 2}
    assert [each.transition.incident.id for each in left.held] == ["a"]
    assert [(i.id, i.names) for i in await stores.alerts.incidents()] == [("a", ("eve@example.com",))]


async def test_who_got_alerts_and_is_no_recipient_any_more_goes_from_what_is_remembered_of_them(stores):
    heard = Audience(("mail", "ops"), ("Bob@example.com", "eve@example.com"))
    told = incident("a", heard=heard, readers=("Bob@example.com", "eve@example.com", "ops"), told_us=NOW_US)
    alone = incident("b", "docs", heard=Audience(("mail",), ("bob@example.com",)), readers=("bob@example.com",))
    rule = parse_rule("error_rate", {"recipients": ["Bob@example.com", "eve@example.com"]})
    held = (replace(waiting(told), audience=heard),)
    state = remembering(told, alone, held=held, rules={"error_rate": rule}, former={"x": rule})
    await stores.alerts.commit(state, [], now=NOW)
    await stores.state.forget("bob@example.com", recipients={"BOB@example.com"})
    assert await stores.alerts.incident("a") == told, "an admin of today is still told"
    await stores.state.forget("bob@example.com", "ops", recipients={"eve@example.com"})
    left = await stores.alerts.load()
    assert "bob@" not in repr(left).lower()
    everybody = Audience(("mail", "ops"), ("eve@example.com",))
    for found in (left.by_id()["a"], await stores.alerts.incident("a")):
        assert (found.heard, found.readers) == (everybody, ("eve@example.com", "ops")), "the channel keeps its name"
    assert left.by_id()["b"].heard is None, "nobody is left to hear of the end"
    assert left.held[0].audience == everybody
    assert left.rules["error_rate"].recipients == left.former["x"].recipients == ("eve@example.com",)


async def test_a_burst_that_was_told_ahead_of_its_time_is_remembered_when_somebody_else_is_erased(stores):
    burst = incident("b", "eve@example.com", rule="user_burst", names=("eve@example.com",))
    state = remembering(burst)
    ahead = {"eve@example.com": (1, 2), "bob@example.com": (3, 4)}
    memory = replace(state.memories["user_burst"], ahead_us=ahead)
    await stores.alerts.commit(replace(state, memories={"user_burst": memory}), [], now=NOW)
    await stores.state.forget("bob@example.com", rules={"user_burst"})
    assert (await stores.alerts.load()).memories["user_burst"].ahead_us == {"eve@example.com": (1, 2)}


async def test_an_incident_of_an_older_version_keeps_its_beginning_when_somebody_is_erased(stores, sqlite_file):
    await stores.alerts.commit(remembering(incident("a", onset_us=5, names=("bob@example.com",))), [], now=NOW)
    with closing(sqlite3.connect(sqlite_file)) as db, db:
        for table in ("guardian_incident", "guardian_alert_state"):
            db.execute(f"UPDATE {table} SET body = replace(body, '\"onset_us\"', '\"began_us\"')")
    await stores.state.forget("bob@example.com")
    assert (await stores.alerts.incident("a")).onset_us == (await stores.alerts.load()).by_id()["a"].onset_us == 5


async def test_a_damaged_incident_is_a_sentence_with_the_cure(stores, sqlite_file):
    await stores.alerts.commit(remembering(incident("a")), [], now=NOW)
    with closing(sqlite3.connect(sqlite_file)) as db, db:
        db.execute("UPDATE guardian_incident SET body = '{\"id\": 7}'")
    for asked in (stores.alerts.incidents(), stores.alerts.incident("a")):
        with pytest.raises(StorageError, match=r"a row is damaged .*restore a backup"):
            await asked
