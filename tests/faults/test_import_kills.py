"""An import that is killed in the middle: the next one brings in the rest, and nothing twice."""

import os
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

START = datetime(2026, 3, 2, tzinfo=UTC)
LINES = 9_000
"""Of 15 batches, and 27 blocks."""
CHILD = """
import os, signal, sys
from datetime import UTC
from pathlib import Path
from guardian.application.importing import logs, run
from guardian.application.importing.run import Wanted, import_into
from guardian.core.time import micros
from guardian.stores.opening import backend
from guardian.stores.sqlite.importing import SqliteImports

folder, moment, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
run.BATCH = run.LEARN = 600
logs._BLOCK = 30_000
calls = 0

def kill_at(found):
    global calls
    calls += found == moment
    if found == moment and calls == number:
        os.kill(os.getpid(), signal.SIGKILL)

add = SqliteImports.add

def counted(self, events, marks):
    kill_at("before")
    stored = add(self, events, marks)
    kill_at("after")
    return stored

SqliteImports.add = counted
wanted = Wanted(files=[str(folder / "access.log")], zone=UTC, now_us=micros(run.moment(0)) + 2 * 10**15)
reading, adding_up = lambda *_: kill_at("reading"), lambda: kill_at("adding up")
outcome = import_into(backend(folder / "guardian.db"), wanted, reading, adding_up, dry_run=False)
print(outcome.imported, outcome.known, outcome.bad)
"""


def write_log(folder):
    lines = []
    for number in range(LINES):
        at = START + timedelta(seconds=number // 3)  # several of the same second, some of them the same line
        path = f"/api/threads/{number % 50}" if number % 7 else "/api/me"
        lines.append(f'10.0.0.1 - u{number % 40} [{at:%d/%b/%Y:%H:%M:%S +0000}] "GET {path} HTTP/1.1" 200 5 "-" "-"\n')
    (folder / "access.log").write_text("".join(lines))


@pytest.fixture(scope="module")
def run_import(loaded):
    """`run_import(folder, moment, number)` gives the exit code, stdout and stderr of an import that dies there."""
    return lambda folder, moment="never", number=0: loaded(
        str(folder), moment, str(number), cwd=folder, env=dict(os.environ), program=CHILD
    )


def stored(folder):
    with closing(sqlite3.connect(folder / "guardian.db")) as db:
        return db.execute(
            "SELECT user_email, endpoint, timestamp, count(*) FROM feature_usage GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ).fetchall()


@pytest.fixture(scope="module")
def whole(made_once, run_import):
    def imported(folder):
        write_log(folder)
        _, stdout, stderr = run_import(folder)
        assert stdout.split() == [str(LINES), "0", "0"], stderr
        return stored(folder)

    return made_once("import", imported)


@pytest.mark.parametrize(
    ("moment", "number"), [("before", 1), ("after", 1), ("before", 3), ("after", 4), ("reading", 2), ("adding up", 1)]
)
def test_an_import_that_was_killed_goes_on_with_nothing_lost_and_nothing_doubled(
    tmp_path, run_import, whole, moment, number
):  # fmt: skip
    write_log(tmp_path)
    assert run_import(tmp_path, moment, number)[0] == -signal.SIGKILL
    _, stdout, stderr = run_import(tmp_path)
    imported, known, bad = map(int, stdout.split())
    assert (imported + known, bad) == (LINES, 0), stderr
    assert stored(tmp_path) == whole
    assert run_import(tmp_path)[1].split() == ["0", str(LINES), "0"]
