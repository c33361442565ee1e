"""One round for a scheduler outside: it does what the daemon would, once, however often it is called."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace

import pytest

from guardian.application.root import LEASE
from guardian.application.scheduler import STEPS, Step, running
from guardian.application.tick import ORDER, tick
from guardian.core.storage import StorageError
from guardian.stores.state import LeaseLost
from tests.support.api_client import NOW, SCHEDULER, bearer, calling, mails, opened
from tests.support.firestore import address_in

URL = "/api/guardian/tick"
LATER = NOW + timedelta(hours=1, minutes=31)
EACH_ROUND = ["seal", "erasures", "probes", "alerts", "reports", "deliver", "watchdog"]


STORES = ["sqlite", pytest.param("firestore", marks=pytest.mark.needs_firestore)]


@pytest.fixture(params=STORES)
def database(request, tmp_path):
    return tmp_path / "guardian.db" if request.param == "sqlite" else address_in(tmp_path)


@pytest.fixture
async def app(tmp_path, database):
    async with opened(tmp_path, database=database) as application:
        yield application


@pytest.fixture
async def anyone(app):
    async with calling(app) as client:
        yield client


def step(name, run, seconds=60):
    return Step(name, seconds, run)


async def nothing(app, now, token):
    pass


@pytest.fixture
def endless(monkeypatch):
    """A step that never ends: all the time that a round leaves it goes by at once, and none while others run."""
    clock, current = SimpleNamespace(at=1_000.0), []

    @asynccontextmanager
    async def timeout(seconds):
        async with asyncio.timeout(None) as limit:
            current.append((limit, seconds))
            yield
            current.pop()

    async def run(app, now, token):
        limit, seconds = current.pop()
        clock.at += seconds
        limit.reschedule(asyncio.get_running_loop().time())
        await asyncio.Event().wait()

    monkeypatch.setattr("guardian.application.tick.asyncio", SimpleNamespace(**{**vars(asyncio), "timeout": timeout}))
    monkeypatch.setattr("guardian.application.tick.time", SimpleNamespace(monotonic=lambda: clock.at))
    return run


def test_the_order_names_each_step_once():
    assert sorted(ORDER) == sorted(each.name for each in STEPS)


async def test_a_round_seals_judges_reports_and_sends(app, anyone, tmp_path):
    answered = (await anyone.post(URL, headers=SCHEDULER)).json()
    assert answered == {"leads": True, "done": [*EACH_ROUND, "logins", "purge"], "failed": {}, "left": []}
    assert mails(tmp_path) == []  # the first report comes when the first period has ended
    app.clock = lambda: LATER
    await anyone.post(URL, headers=SCHEDULER)
    [report] = mails(tmp_path)
    assert report["To"] == "admin@example.com"
    assert (await anyone.post(URL, headers=SCHEDULER)).json()["done"] == EACH_ROUND  # the others are not due again yet
    assert len(mails(tmp_path)) == 1


async def test_an_hour_later_what_is_due_each_hour_runs_again(app):
    await tick(app, 50)
    app.clock = lambda: NOW + timedelta(hours=1)
    assert (await tick(app, 50)).done == [*EACH_ROUND, "logins"]


async def test_two_rounds_at_once_send_one_mail(app, anyone, tmp_path):
    await tick(app, 50)
    app.clock = lambda: LATER
    answers = await asyncio.gather(*(anyone.post(URL, headers=SCHEDULER) for _ in range(3)))
    assert [each.status_code for each in answers] == [200, 200, 200]
    assert len(mails(tmp_path)) == 1


async def test_two_processes_at_once_send_one_mail_and_one_of_them_leads(app, tmp_path, database):
    await tick(app, 50)
    app.clock = lambda: LATER
    async with opened(tmp_path, now=LATER, events=[], database=database) as other:
        rounds = await asyncio.gather(tick(app, 50), tick(other, 50))
    assert sorted(each.leads for each in rounds) == [False, True]
    assert len(mails(tmp_path)) == 1


async def test_beside_a_daemon_nothing_runs_and_that_is_said(app, anyone):
    await app.state.acquire_lease(LEASE, "the daemon", NOW, timedelta(seconds=30))
    answered = (await anyone.post(URL, headers=SCHEDULER)).json()
    assert answered == {"leads": False, "done": [], "failed": {}, "left": []}


async def test_inside_the_process_that_leads_a_round_begins_no_step_twice(app):
    begun, go = [], asyncio.Event()

    async def slow(app, now, token):
        begun.append(now)
        await go.wait()

    steps = [step("seal", slow)]
    async with running(app, steps):
        while not begun:
            await asyncio.sleep(0)
        assert (await tick(app, 50, steps)).left == ["seal"]
        go.set()
    assert len(begun) == 1


async def test_a_step_that_fails_is_named_with_why_and_costs_no_other(app):
    async def broken(app, now, token):
        raise StorageError("the disk is full: free some space")

    result = await tick(app, 50, [step("seal", broken), step("deliver", nothing)])
    assert (result.done, result.failed) == (["deliver"], {"seal": "the disk is full: free some space"})


async def test_what_does_not_end_in_time_is_left_to_the_next_round(app, endless):
    steps = [step("alerts", endless), step("deliver", nothing)]
    result = await tick(app, 2, steps)
    assert (result.done, result.left) == (["deliver"], ["alerts"]), "the last part of the time is that of the others"
    assert (await tick(app, 50, [step("alerts", nothing), step("deliver", nothing)])).done == ["alerts", "deliver"]


@pytest.fixture
def renewed(app, monkeypatch):
    """Gives what waits until the lease was asked for once more."""
    asked, acquire = asyncio.Event(), app.state.acquire_lease

    async def noted(*values):
        token = await acquire(*values)
        asked.set()
        return token

    async def again():
        asked.clear()
        await asyncio.wait_for(asked.wait(), 60)

    monkeypatch.setattr("guardian.application.tick.PULSE_SECONDS", 0.01)
    monkeypatch.setattr(app.state, "acquire_lease", noted)
    return again


async def test_a_round_that_lasts_longer_than_the_lease_keeps_the_lead(app, renewed):
    later = NOW + timedelta(seconds=50)

    async def slow(app, now, token):
        app.clock = lambda: later
        await renewed()
        assert await app.state.acquire_lease(LEASE, "another", later, timedelta(seconds=30)) is None

    result = await tick(app, 50, [step("seal", slow), step("deliver", nothing)])
    assert (result.done, result.failed) == (["seal", "deliver"], {})
    before = [task for task in asyncio.all_tasks() if task.get_name() == "guardian-tick-pulse"]
    assert before == [], "what renews ends with the round"


async def test_who_loses_the_lead_in_a_round_commits_nothing_more_and_begins_no_further_step(app, renewed):
    begun = []

    async def stalled(app, now, token):
        later = now + timedelta(seconds=50)  # the process stood still; another one leads since
        app.clock = lambda: later
        assert await app.state.acquire_lease(LEASE, "another", later, timedelta(seconds=30)) is not None
        await renewed()
        with pytest.raises(LeaseLost):
            await app.state.claim_period("every 2h", NOW, NOW, report=None, mails=[], now=NOW, token=token)
        begun.append("seal")

    async def further(app, now, token):
        begun.append("deliver")

    result = await tick(app, 50, [step("seal", stalled), step("deliver", further)])
    assert (result.done, result.failed) == ([], {})
    assert begun == ["seal"]


async def test_a_clock_set_back_holds_up_no_step(app):
    steps = [step("purge", nothing, 86_400)]
    await tick(app, 50, steps)
    app.clock = lambda: NOW - timedelta(hours=1)
    assert (await tick(app, 50, steps)).done == ["purge"]


@pytest.mark.parametrize("headers", [{}, {"X-Guardian-Scheduler-Token": "x" * 40}, bearer()])
async def test_only_a_scheduler_may_call(anyone, headers):
    assert (await anyone.post(URL, headers=headers)).status_code == 401


@pytest.mark.parametrize("given", ["0", "601", "nan", "inf", "x", ""])
async def test_the_seconds_are_a_number_in_range(anyone, given):
    answered = await anyone.post(f"{URL}?seconds={given}", headers=SCHEDULER)
    assert answered.status_code == 422
    assert answered.json()["error"].endswith("give seconds from 1 to 600")


async def test_one_step_that_never_ends_starves_no_other_one_however_often_it_is_called(app, tmp_path, endless):
    await tick(app, 50)
    app.clock = lambda: LATER
    steps = [step("seal", endless), step("probes", endless), *(each for each in STEPS if each.name == "reports")]
    sending = [each for each in STEPS if each.name == "deliver"]
    result = await tick(app, 8, [*steps, *sending])
    assert (result.done, result.left) == (["reports", "deliver"], ["seal", "probes"])
    assert len(mails(tmp_path)) == 1


async def test_a_database_that_does_not_answer_is_told_as_that_and_not_as_another_one_that_leads(
    app, anyone, monkeypatch
):
    async def away(*values, **named):
        raise StorageError("the database does not answer: look at the network")

    monkeypatch.setattr(app.state, "acquire_lease", away)
    answered = await anyone.post(URL, headers=SCHEDULER)
    assert answered.status_code == 503
    assert answered.json()["error"] == "the database does not answer: look at the network"
    monkeypatch.undo()
    assert (await anyone.post(URL, headers=SCHEDULER)).json()["leads"]


async def test_a_database_that_hangs_holds_a_call_no_longer_than_it_may_take(app, anyone, monkeypatch):
    async def hangs(*values, **named):
        await asyncio.Event().wait()

    monkeypatch.setattr(app.state, "acquire_lease", hangs)
    answered = await anyone.post(f"{URL}?seconds=1", headers=SCHEDULER)
    assert answered.status_code == 503
    assert "did not answer within 1 s" in answered.json()["error"]
    monkeypatch.undo()
    assert (await anyone.post(URL, headers=SCHEDULER)).json()["leads"]


async def test_a_database_file_that_is_gone_is_told(tmp_path):
    async with opened(tmp_path) as app, calling(app) as client:
        (tmp_path / "guardian.db").unlink()
        answered = await client.post(URL, headers=SCHEDULER)
        assert answered.status_code == 503
        assert "guardian.db" in answered.json()["error"]
