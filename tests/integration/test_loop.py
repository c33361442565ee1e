"""What would hold up the event loop: imports, and runs of the garbage collector over what an answer was made of. A new
endpoint, page or step is among them, since all are taken from the tables."""

import gc
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import guardian.application.erasing
import guardian.stores.packing
from guardian.application.erasing import erase_again
from guardian.application.reporting import send_report_now, send_scheduled_report
from tests.support.api_client import NOW, bearer, calling, event, opened

ROOT = Path(__file__).parents[2]
PEOPLE = 3_000
EVERYTHING = """
import asyncio, json, sys, threading
from datetime import timedelta
from pathlib import Path
from bench.loop import KEY, KINDS, SOMEBODY, TOKEN, ask, asked, events, headers, open_incident
from guardian.application.root import open_application
from guardian.application.scheduler import STEPS
from guardian.settings.schema import Settings
from guardian.web.api import create_app

imported = []

class Watch:
    def find_spec(self, name, path, target=None):
        if threading.current_thread() is threading.main_thread():
            imported.append(name)

async def main(folder):
    settings = Settings(
        database=folder / "guardian.db", reports_dir=folder, admins=("a@example.com",), schedules=("daily at 08:00",),
        rules={kind: {} for kind in KINDS}, mail={"directory": folder / "mail"},
        api={"jwt_key": KEY, "scheduler_token": TOKEN},
    )
    statuses = {}
    async with open_application(settings) as app:
        api = create_app(app)
        app.token = await app.state.acquire_lease("daemon", app.holder, app.clock(), timedelta(hours=1))
        for batch in events(100, 5, app.clock()):
            await app.repository.write(batch)
        sys.meta_path.insert(0, Watch())
        for step in STEPS:
            await step.run(app, app.clock(), app.token)
        await open_incident(app)
        for method, path in asked():
            statuses[f"{method} {path}"] = await ask(api, method, path, headers())
    print(json.dumps([statuses, imported]))

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """(the status of each answer, the modules that the loop's thread imported) of a process that does all there is."""
    command = [sys.executable, "-c", EVERYTHING, str(tmp_path_factory.mktemp("all"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_benchmark_of_the_loop_asks_for_all_that_there_is_and_is_answered(everything):
    statuses, _ = everything
    assert {name: status for name, status in statuses.items() if status >= 300} == {}
    assert not any("{" in name for name in statuses)


def test_no_step_answer_or_page_imports_a_library_in_the_event_loop(everything):
    _, imported = everything
    small = ("guardian.", "encodings.")
    assert [name for name in imported if not name.startswith(small)] == []


@pytest.fixture(scope="module")
def crowd():
    """Each of many people with one request, of which each has failed."""
    at = NOW - timedelta(hours=1)
    return [event(at, f"somebody{n}@example.com", 500) for n in range(PEOPLE)]


async def most_young(work):
    """The most new objects that a run of the collector found while the work was done for the second time: what is
    made once, such as templates, is there then."""
    await work()
    gc.collect()
    found = [0]

    def note(phase, info):
        if phase == "start":
            found.append(len(gc.get_objects(generation=0)))

    gc.callbacks.append(note)
    try:
        await work()
        note("start", {})
    finally:
        gc.callbacks.remove(note)
    return max(found)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/usage/summary"), ("GET", "/api/usage/users"), ("GET", "/api/usage/users?format=csv"),
        ("POST", "/api/usage/generate-report"),
    ],
)  # fmt: skip
async def test_what_a_large_answer_was_made_of_is_gone_when_the_collector_may_run_again(tmp_path, crowd, method, path):
    async with opened(tmp_path, events=crowd) as app, calling(app, bearer()) as client:

        async def ask():
            assert (await client.request(method, path)).status_code == 200

        assert await most_young(ask) < PEOPLE


async def test_what_a_mailed_report_was_made_of_is_gone_when_the_collector_may_run_again(tmp_path, crowd):
    async with opened(tmp_path, events=crowd) as app:
        assert await most_young(lambda: send_report_now(app, hours=2)) < PEOPLE


async def test_a_report_that_is_read_back_is_parsed_while_the_collector_rests(tmp_path, monkeypatch):
    seen = []
    real = guardian.application.erasing.people_in
    monkeypatch.setattr(
        guardian.application.erasing, "people_in", lambda text: seen.append(gc.isenabled()) or real(text)
    )
    monkeypatch.setattr(
        guardian.stores.packing, "json_value", lambda text: seen.append(gc.isenabled()) or json.loads(text)
    )
    async with opened(tmp_path) as app, calling(app, bearer()) as client:
        await send_scheduled_report(app, now=NOW)
        assert (await client.get("/api/guardian/reports/1")).status_code == 200
        await erase_again(app)
    assert seen == [False, False]
