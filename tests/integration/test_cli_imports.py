"""What a command loads: each library costs a start of its own, so one that only reads loads nothing that sends."""

import asyncio
import json
import subprocess
import sys
from datetime import timedelta

import pytest

from guardian.core.time import utc_now
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.api_client import event

HEAVY = (
    "PIL", "aiosmtplib", "apprise", "apscheduler", "css_inline", "google", "httpx2", "jinja2", "jwt", "markdown_it",
    "rich", "starlette", "uvicorn",
)  # fmt: skip
UNNEEDED = (
    "guardian.alerting.engine",
    "guardian.application.root",
    "guardian.application.scheduler",
    "guardian.stores.alert_state",
    "guardian.stores.sqlite.burying",
    "guardian.stores.sqlite.copying",
    "guardian.stores.sqlite.forgetting",
    "guardian.stores.sqlite.importing",
    "guardian.stores.sqlite.moving",
    "guardian.stores.sqlite.outbox",
    "guardian.stores.sqlite.retention",
    "guardian.stores.sqlite.state",
    "guardian.web",
    "tracker.sqlite.writer",
)
"""Of our own modules: each costs a start about as much as a small library."""
RUN = """
import sys
from guardian.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert not ended.code, ended.code
print(sorted(sys.modules), file=sys.stderr)
"""


REPORT = ("report", "--hours", "2")


@pytest.fixture(scope="module")
def loaded(made_once):
    """What a report said, and which modules it had loaded, by its further arguments: each is asked once."""

    def asked(folder):
        asyncio.run(filled(folder))
        found = {}
        for more in ((), ("--json",), ("--json", "--save")):
            done = subprocess.run(
                [sys.executable, "-c", RUN, *REPORT, *more],
                cwd=folder, capture_output=True, text=True, timeout=60, check=True,
            )  # fmt: skip
            found[more] = done.stdout, done.stderr
        return found

    return made_once("imports", asked)


async def filled(folder):
    stores = await backend(folder / "guardian.db").open(NO_BOOK)
    await stores.events.write([event(utc_now() - timedelta(minutes=5), status=500)])
    await stores.close()
    (folder / "guardian.toml").write_text(
        'admins = ["you@example.com"]\n[mail]\nsmtp = "smtp://user:secret@smtp.example.com:587"\n'
    )
    (folder / "guardian.toml").chmod(0o600)


@pytest.mark.parametrize("more", [(), ("--save",)])
def test_a_report_as_json_loads_nothing_that_sends_draws_or_serves(loaded, more):
    said, modules = loaded["--json", *more]
    assert json.loads(said)["total_errors"] == 1
    assert [name for name in HEAVY if f"'{name}'" in modules] == []


def test_a_report_for_people_loads_only_what_draws_its_tables(loaded):
    said, modules = loaded[()]
    assert "ada@example.com" in said
    assert [name for name in HEAVY if f"'{name}'" in modules] == ["rich"]


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_report_loads_none_of_our_modules_that_judge_change_or_move(loaded, more):
    _, modules = loaded[more]
    assert [name for name in UNNEEDED if f"'{name}'" in modules] == []


def test_a_daemon_loads_nothing_that_draws_before_it_draws():
    code = "import sys, guardian.cli, guardian.web, guardian.web.daemon; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
