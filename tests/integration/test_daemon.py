"""The clockwork of the daemon: steps keep running whatever happens to the wall clock."""

import asyncio
from datetime import UTC, datetime, timedelta

import apscheduler.schedulers.base
import pytest

import guardian.application.scheduler
from guardian.application.root import open_application
from guardian.application.scheduler import Step, running
from guardian.settings.schema import Settings

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


async def eventually(condition, seconds=60.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def app(tmp_path):
    settings = Settings(database=tmp_path / "guardian.db", reports_dir=tmp_path / "reports")
    async with open_application(settings) as opened:
        yield opened


async def test_steps_go_on_after_the_clock_was_set_back_an_hour(app, monkeypatch):
    """Both what Guardian and what APScheduler take for the time goes back; a scheduler left alone stalls an hour."""
    back, runs = timedelta(0), []

    class Shifted(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - back

    async def count(app, now, token):
        runs.append(now)

    monkeypatch.setattr(apscheduler.schedulers.base, "datetime", Shifted)
    monkeypatch.setattr(guardian.application.scheduler, "utc_now", lambda: Shifted.now(UTC))
    monkeypatch.setattr(guardian.application.scheduler, "PULSE_SECONDS", 0.05)
    app.clock = lambda: Shifted.now(UTC)
    async with running(app, [Step("count", 1, count)]):
        await eventually(lambda: len(runs) >= 2)
        back = timedelta(hours=1)
        begin = len(runs)
        await eventually(lambda: len(runs) >= begin + 3)


async def test_a_step_that_fails_runs_again_and_stops_no_other(app, monkeypatch):
    runs = []

    async def failing(app, now, token):
        runs.append("failing")
        raise RuntimeError("broken")

    async def fine(app, now, token):
        runs.append("fine")

    async with running(app, [Step("failing", 1, failing), Step("fine", 1, fine)]):
        await eventually(lambda: runs.count("failing") >= 2 and runs.count("fine") >= 2)
    assert app.health["failing"].error == "RuntimeError: see the log"
    assert app.health["fine"].error is None


async def test_a_step_under_way_may_end_before_the_process_does(app, monkeypatch):
    monkeypatch.setattr(guardian.application.scheduler, "STOP_SECONDS", 60)
    began, ended = asyncio.Event(), []

    async def slow(app, now, token):
        began.set()
        await eventually(lambda: app.stopping)
        ended.append(True)

    async with running(app, [Step("slow", 60, slow)]):
        await began.wait()
    assert ended == [True]
    assert app.token is None


async def test_a_step_that_hangs_does_not_hold_the_process_up(app, monkeypatch):
    monkeypatch.setattr(guardian.application.scheduler, "STOP_SECONDS", 0.1)
    began = asyncio.Event()

    async def hangs(app, now, token):
        began.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(60):
        async with running(app, [Step("hangs", 60, hangs)]):
            await began.wait()


async def test_a_stop_while_a_step_hangs_is_quiet(app, monkeypatch, caplog):
    begun = []

    async def hang(app, now, token):
        begun.append(now)
        await asyncio.sleep(3600)

    monkeypatch.setattr(guardian.application.scheduler, "STOP_SECONDS", 0.05)
    with caplog.at_level("DEBUG"):
        async with running(app, [Step("hang", 1, hang)]):
            await eventually(lambda: begun)
        await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records if record.exc_info or record.levelno >= 30] == []


async def test_a_step_that_is_still_under_way_is_not_begun_twice(app, caplog):
    begun, ended = [], asyncio.Event()

    async def slow(app, now, token):
        begun.append(now)
        await ended.wait()

    async def tick(app, now, token):
        ticks.append(now)

    ticks = []
    async with running(app, [Step("slow", 1, slow), Step("tick", 1, tick)]):
        await eventually(lambda: len(ticks) >= 3)
        assert len(begun) == 1
        ended.set()
        await eventually(lambda: len(begun) >= 2)
    assert [record for record in caplog.records if record.levelno >= 30] == []
