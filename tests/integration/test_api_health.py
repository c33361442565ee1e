"""The health for machines: 200 while the process serves, and with ?ready 503 while the promise does not hold."""

import asyncio
import gc
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest

from guardian.application.lead import LEASE_TTL, renew_lead
from guardian.application.root import LEASE, StepHealth
from guardian.application.scheduler import Step, run_step
from guardian.core.outgoing import Outgoing
from guardian.core.storage import Signs, StorageError
from guardian.stores.state import LeaseLost
from guardian.web import daemon
from tests.support.api_client import NOW, bearer, calling, make_settings, opened

HEALTH = "/api/usage/health"


@pytest.fixture
async def app(tmp_path):
    async with opened(tmp_path, events=[]) as app:
        await renew_lead(app)
        yield app


async def asked(app):
    """(status of the plain health, status and words of the one that says whether the promise holds)."""
    async with calling(app) as client:
        plain, ready = await client.get(HEALTH), await client.get(f"{HEALTH}?ready")
        assert "not_ready" not in plain.json()
        return plain.status_code, ready.status_code, ready.json()["not_ready"]


async def test_a_process_that_leads_and_does_all_is_ready_however_it_is_asked(app):
    async with calling(app) as client:
        for query in ("ready", "ready=", "ready=true", "ready=1"):
            answered = await client.get(f"{HEALTH}?{query}")
            assert (answered.status_code, answered.json()["not_ready"]) == (200, [])
        assert "not_ready" not in (await client.get(f"{HEALTH}?ready=false")).json()
        assert (await client.get(f"{HEALTH}?ready=perhaps")).status_code == 422


async def test_a_database_that_is_gone_or_does_not_answer_is_not_ready(app, monkeypatch):
    async def broken(*args):
        raise StorageError("/somewhere/guardian.db is locked")

    monkeypatch.setattr(type(app.repository), "signs", broken)
    assert await asked(app) == (200, 503, ["database-unusable"])
    (app.settings.database).unlink()
    assert await asked(app) == (200, 503, ["database-lost"])


async def test_a_database_that_is_busy_for_long_holds_up_no_answer(app, monkeypatch):
    free, asked_for = asyncio.Event(), []

    async def busy(*args):
        asked_for.append(args)
        await free.wait()
        return Signs([], None, 0, [], 0)

    monkeypatch.setattr("guardian.web.health.READ_SECONDS", 0.05)
    monkeypatch.setattr(type(app.repository), "signs", busy)
    for _ in range(2):
        assert await asked(app) == (200, 503, ["database-unusable"])
    assert len(asked_for) == 1
    free.set()
    monkeypatch.setattr("guardian.web.health.READ_SECONDS", 60)
    assert await asked(app) == (200, 200, [])


async def test_where_nobody_leads_no_process_is_ready_and_where_one_does_all_are(app):
    app.token = None
    assert await asked(app) == (200, 200, [])
    await app.state.release_lease(LEASE, app.holder)
    assert await asked(app) == (200, 503, ["no-leader"])
    await app.state.acquire_lease(LEASE, "another", NOW, LEASE_TTL)
    assert await asked(app) == (200, 200, [])


async def test_a_step_that_fails_three_times_in_a_row_or_hangs_is_not_ready(app):
    failing = True

    async def run(app, now, token):
        if failing:
            raise StorageError("no")

    for ready in (200, 200, 503):
        await run_step(app, Step("alerts", 15, run))
        assert (await asked(app))[1] == ready
    assert await asked(app) == (200, 503, ["step-failing"])
    failing = False
    await run_step(app, Step("alerts", 15, run))
    assert await asked(app) == (200, 200, [])
    app.health["alerts"] = StepHealth(NOW - timedelta(minutes=17), None)
    assert await asked(app) == (200, 503, ["step-failing"])


async def test_a_message_that_waits_for_fifteen_minutes_is_not_ready(app):
    await app.state.enqueue([Outgoing("a", "a@example.com", b"x")], now=NOW - timedelta(minutes=14))
    assert await asked(app) == (200, 200, [])
    await app.state.enqueue([Outgoing("b", "b@example.com", b"x")], now=NOW - timedelta(minutes=15))
    assert await asked(app) == (200, 503, ["mail-unsent"])


async def test_a_process_that_lost_the_lead_in_the_middle_of_a_step_is_not_degraded(app):
    async def run(app, now, token):
        raise LeaseLost("another daemon leads now")

    app.health["seal"] = StepHealth(NOW, "it failed")
    await app.state.acquire_lease(LEASE, "another", NOW + LEASE_TTL, LEASE_TTL)
    await run_step(app, Step("reports", 30, run))
    assert app.token is None
    async with calling(app) as client:
        assert (await client.get(HEALTH)).json()["status"] == "ok"


async def test_a_step_that_ends_after_the_lead_was_lost_says_nothing(app):
    async def run(app, now, token):
        app.token = None
        raise StorageError("it was cut off")

    await run_step(app, Step("reports", 30, run))
    assert app.health == {}


async def test_a_report_that_cannot_be_saved_is_refused_with_the_reason(app):
    (app.settings.reports_dir / "usage_report.json").mkdir(parents=True)
    async with calling(app, bearer()) as admin:
        answered = await admin.post("/api/usage/generate-report")
        assert answered.status_code == 503
        assert answered.json()["error"].startswith("usage_report.json cannot be written to reports_dir (")


async def test_a_log_that_another_program_holds_up_is_a_reason(app, monkeypatch):
    monkeypatch.setattr("guardian.web.health.UNMERGED_MOST", 0)
    async with calling(app) as client:
        answered = (await client.get(HEALTH)).json()
    assert any("write-ahead log has" in reason and "another program" in reason for reason in answered["reasons"])


async def test_reports_and_exports_that_have_all_threads_do_not_hold_up_the_health(app):
    free = threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    busy = asyncio.create_task(asyncio.to_thread(free.wait))
    try:
        async with calling(app) as client:
            assert (await client.get(HEALTH)).json()["status"] == "ok"
    finally:
        free.set()
        await busy


async def test_all_that_readiness_says_is_asked_for_at_once(app, monkeypatch):
    """Whoever asks one thing after the other never has two questions open."""
    both = asyncio.Barrier(2)
    for store, name in ((app.repository, "signs"), (app.stores.watch, "oldest_unsent")):

        async def answer(*args, true=getattr(store, name)):
            await both.wait()
            return await true(*args)

        monkeypatch.setattr(store, name, answer)
    async with calling(app) as client:
        assert (await client.get(f"{HEALTH}?ready")).json()["not_ready"] == []


async def test_the_plain_health_is_one_question_to_the_database(app, monkeypatch):
    """Beside a thread that computes, each question waits for it several times."""
    asked_for, reader = [], app.repository._reader
    true = reader.execute_fetchall
    monkeypatch.setattr(reader, "execute_fetchall", lambda sql, values: asked_for.append(sql) or true(sql, values))
    monkeypatch.setattr(app.state, "_run", lambda work: pytest.fail("the state was asked"))
    async with calling(app) as client:
        assert (await client.get(HEALTH)).json()["status"] == "ok"
    assert len(asked_for) == 1


async def test_threads_take_turns_of_a_tenth_of_a_millisecond_while_the_health_is_read(app, monkeypatch):
    turns, reader = [], app.repository._reader
    true = reader.execute_fetchall
    monkeypatch.setattr(
        reader, "execute_fetchall", lambda sql, values: turns.append(sys.getswitchinterval()) or true(sql, values)
    )
    before = sys.getswitchinterval()
    async with calling(app) as client:
        assert (await client.get(HEALTH)).json()["status"] == "ok"
    assert turns == [pytest.approx(0.0001)]
    assert sys.getswitchinterval() == before


def test_a_daemon_lets_no_thread_keep_the_loop_waiting_for_long(tmp_path, monkeypatch):
    seen, visited, before = [], [], sys.getswitchinterval()

    async def run(settings):
        seen.append(sys.getswitchinterval())
        visited.append(any(each is daemon.log for each in gc.get_objects()))

    monkeypatch.setattr(daemon, "_run", run)
    try:
        assert daemon.run_daemon(make_settings(tmp_path)) == 0
    finally:
        sys.setswitchinterval(before)
    assert seen == [pytest.approx(0.0005)]
    assert visited == [False]  # a full collection does not visit what was there at the start


@pytest.mark.parametrize("library", ["glibc", "another"])
def test_all_threads_of_a_daemon_share_one_heap_where_the_c_library_has_several(library, monkeypatch):
    asked_for = []
    glibc = SimpleNamespace(mallopt=lambda *values: asked_for.append(values))
    monkeypatch.setattr(daemon.ctypes, "CDLL", lambda name: glibc if library == "glibc" else SimpleNamespace())
    daemon._share_heap()
    assert asked_for == ([(-8, 1)] if library == "glibc" else [])


async def test_a_daemon_gives_free_memory_back_again_and_again(monkeypatch):
    given, twice = [], asyncio.Event()
    loop = asyncio.get_running_loop()

    def malloc_trim(pad):
        given.append(pad)
        if len(given) == 2:
            loop.call_soon_threadsafe(twice.set)

    monkeypatch.setattr(daemon.ctypes, "CDLL", lambda name: SimpleNamespace(malloc_trim=malloc_trim))
    monkeypatch.setattr(daemon, "TRIM_SECONDS", 0)
    async with daemon._trimming():
        await asyncio.wait_for(twice.wait(), 60)
    assert set(given) == {0}


async def test_where_the_c_library_is_another_nothing_is_given_back(monkeypatch):
    monkeypatch.setattr(daemon.ctypes, "CDLL", lambda name: SimpleNamespace())
    monkeypatch.setattr(daemon, "TRIM_SECONDS", 0)
    async with daemon._trimming():
        await asyncio.sleep(0)
