"""How many documents a round, a minute of a daemon and each report read: each one costs. Counted on Google's emulator,
and compared with what bench/scale.py says on paper."""

from datetime import timedelta

import pytest

from guardian.application.lead import renew_lead
from guardian.application.scheduler import STEPS, run_step
from guardian.application.tick import tick
from guardian.core.activity import TOP_HELP
from guardian.stores.firestore import history as history_module
from guardian.stores.firestore import progress as progress_module
from guardian.stores.firestore import sealing
from tests.support.api_client import NOW, opened
from tests.support.events import event as made
from tests.support.firestore import address_in
from tests.support.firestore_reads import counted, parts
from tests.support.scale import scale
from tracker.event import Failure

pytestmark = pytest.mark.needs_firestore
RULES = {name: {"kind": name} for name in ("feature_down", "error_rate", "new_error")}
SCHEDULES = ["every 2h", "weekly Monday 09:00"]
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def model():
    return scale()


def event(at, user="ada@example.com", status=200):
    failure = Failure("Boom", "no", "app.py:3 f") if status >= 400 else None
    return made(at, user=user, status=status, failure=failure)


def past(days, people, every=1):
    """One request of each in so many hours, one of 37 in vain."""
    times = [NOW - timedelta(days=days) + timedelta(hours=n, minutes=7) for n in range(0, 24 * days, every)]
    return [
        event(at + timedelta(seconds=n), f"u{n}@example.com", 500 if (place + n) % 37 == 0 else 200)
        for place, at in enumerate(times)
        for n in range(people)
    ]


@pytest.fixture
def as_a_minute_later(monkeypatch):
    for module in (history_module, progress_module, sealing):
        monkeypatch.setattr(module, "BEHIND_US", 0)


@pytest.mark.parametrize("slices", [0, 4])
async def test_a_steady_round_reads_twenty_documents_and_what_is_new(model, tmp_path, as_a_minute_later, slices):
    keys = {"database": address_in(tmp_path), "schedules": SCHEDULES, "rules": RULES}
    async with opened(tmp_path, events=past(9, 2), **keys) as app:
        reads = []
        for minute in range(4):
            app.clock = lambda now=NOW + minute * MINUTE: now
            for n in range(slices):
                await app.repository.write([event(app.clock() - timedelta(seconds=15 * n + 20))])
            with counted() as found:
                done = await tick(app, 500)
            assert done.failed == {} and done.left == []
            reads.append(found.total())
    new = 2 * slices  # judged, and looked at for what came late; sealed with their 5 minutes
    assert model.TICK_READS - 3 <= reads[-1] - new <= model.TICK_READS <= 20


async def test_the_first_round_of_a_process_reads_the_past_of_its_rules_from_few_documents(
    model, tmp_path, as_a_minute_later
):
    keys = {"database": address_in(tmp_path), "schedules": SCHEDULES, "rules": RULES}
    async with opened(tmp_path, events=past(70, 2, every=3), **keys) as app:
        await tick(app, 500)
    async with opened(tmp_path, events=[], now=NOW + 5 * MINUTE, **keys) as app:
        with counted() as found:
            done = await tick(app, 500)
        assert done.failed == {} and done.left == []
    assert found.total() <= model.FIRST_READS


async def test_a_minute_of_a_daemon_reads_what_the_model_says(model, tmp_path, as_a_minute_later):
    keys = {"database": address_in(tmp_path), "schedules": SCHEDULES, "rules": RULES}
    async with opened(tmp_path, events=past(9, 2), **keys) as app:
        reads = []
        for second in range(0, 240, 5):
            app.clock = lambda now=NOW + timedelta(seconds=second): now
            await renew_lead(app)
            with counted() as found:
                for step in STEPS:
                    if second % step.seconds == 0:
                        assert await run_step(app, step)
            reads.append(found.total())
        assert not [each for each in app.health.values() if each.error]
    assert model.DAEMON_READS - 4 <= sum(reads[-12:]) <= model.DAEMON_READS


WINDOWS = {
    "2 hours": {"hours": 2},
    "24 hours": {"hours": 24},
    "week": {
        "start_time": NOW.replace(hour=9, minute=0) - timedelta(days=7),
        "end_time": NOW.replace(hour=9, minute=0),
    },
    "month": {"hours": 720},
}


async def parts_of_reports(folder, people):
    """What each report reads, by `parts`, in a process of its own, so that nothing is known from before."""
    folder.mkdir()
    keys = {"database": address_in(folder), "schedules": SCHEDULES, "rules": RULES}
    async with opened(folder, events=past(70, people, every=3), **keys) as app:
        await app.repository.seal(NOW)
        await app.repository.write([event(NOW - timedelta(hours=30)), event(NOW - MINUTE)])  # one that came late
        await app.repository.seal(NOW)
    reads = {}
    for name, window in WINDOWS.items():
        async with opened(folder, events=[], **keys) as app:
            with counted() as found:
                report = await app.usage.generate_report(**window)
            assert report["total_requests"] >= 1
            reads[name] = parts(found)
    return reads


async def test_the_names_of_a_thousand_people_are_read_from_one_list(tmp_path, as_a_minute_later):
    reads = {}
    for people in (1_000, 1):
        folder = tmp_path / str(people)
        folder.mkdir()
        keys = {"database": address_in(folder), "schedules": SCHEDULES, "rules": RULES}
        async with opened(folder, events=past(3, people, every=24), **keys) as app:
            await app.repository.seal(NOW)
        async with opened(folder, events=[], **keys) as app:
            with counted() as found:
                report = await app.usage.generate_report(hours=72)
            assert len(report["users"]) == people
        reads[people] = parts(found)["names"]
    assert reads[1_000] == reads[1] <= 2, "the list, and who came in the last hour"


async def test_a_report_reads_what_the_model_says_whatever_the_traffic(model, tmp_path, as_a_minute_later):
    few = await parts_of_reports(tmp_path / "few", 1)
    limits = dict(zip(WINDOWS, model.REPORTS_READ, strict=True))
    reads = {name: found.total() for name, found in few.items()}
    assert {name: many for name, many in reads.items() if not limits[name] * 0.85 <= many <= limits[name]} == {}
    many = await parts_of_reports(tmp_path / "many", 10)
    for name in WINDOWS:
        steps = many[name]["rest"] - few[name]["rest"]
        who = many[name]["names"] - few[name]["names"]
        assert 0 <= max(steps, who) <= TOP_HELP - 1, "what each of those who need help did last, and who they are"
        assert (many[name]["days"], many[name]["edges"]) == (few[name]["days"], few[name]["edges"])
    assert many["month"]["days"] + many["month"]["rest"] <= 45 < 100
