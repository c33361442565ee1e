"""`guardian migrate` as it is typed: what it says to people and to programs, and what it refuses in one sentence."""

import asyncio
import json
import shutil

import pytest

from guardian.application.moving import comparing
from guardian.cli import main
from guardian.stores.sqlite.moving import SqliteMoving
from tests.support.firestore import address_in
from tests.support.moving import fill


@pytest.fixture(autouse=True)
def few_windows(monkeypatch, no_variables):
    monkeypatch.setattr(comparing, "WINDOWS", 3)


@pytest.fixture
def guardian(tmp_path, capsys, monkeypatch):
    """Runs a command in a folder of its own: its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guardian.toml").write_text('admins = ["admin@example.com"]\n')

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["migrate", *arguments])
        told = capsys.readouterr()
        return ended.value.code, told.out, told.err

    return run


@pytest.fixture
def database(made_once, tmp_path):
    def filled(folder):
        asyncio.run(fill(folder / "guardian.db", many=60))
        return folder / "guardian.db"

    shutil.copy(made_once("filled", filled), tmp_path / "guardian.db")


def test_without_a_source_that_of_the_settings_is_moved(guardian, database, tmp_path):
    code, out, err = guardian("--to", "sqlite:///new.db")
    assert (code, err) == (0, "")
    first, left, compared, *rest = out.splitlines()
    assert first.startswith("Moved ")
    assert first.endswith(f" rows of everything else, from {tmp_path}/guardian.db to {tmp_path}/new.db.")
    assert left.startswith("Left behind: links to sign in by")
    assert compared.endswith("reports on 3 windows: the same.")
    assert rest[-1] == "it would send what is sent from the new one, 5 waiting messages first."
    code, out, _ = guardian("--from", "guardian.db", "--to", "new.db")
    assert (code, out.split()[:3]) == (0, ["Went", "on,", "and"])


def test_a_dry_run_says_what_there_is_and_makes_nothing(guardian, database, tmp_path):
    code, out, _ = guardian("--to", "new.db", "--dry-run")
    assert (code, out.split()[:2]) == (0, ["Would", "move"])
    assert not (tmp_path / "new.db").exists()
    code, out, _ = guardian("--to", "new.db", "--dry-run", "--json")
    told = json.loads(out)
    assert (code, told["dry_run"], told["rows"]["outbox"], told["waiting"]) == (0, True, 7, 5)


def test_what_is_not_the_same_ends_with_an_error(guardian, database, tmp_path, monkeypatch):
    class Forgetful(SqliteMoving):
        def put(self, table, rows):
            super().put(table, rows if table != "outbox" else rows[1:])

    monkeypatch.setattr("guardian.stores.sqlite.moving.SqliteMoving", Forgetful)
    code, out, _ = guardian("--to", "new.db")
    assert code == 1
    assert "Both sides are not the same (the first number is that of the source):\n  outbox: 1 missing\n" in out
    assert "run this again" in out
    code, out, _ = guardian("--to", "new.db", "--json")
    assert (code, json.loads(out)["differences"]) == (1, ["outbox: 1 missing"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--to", "firestore://"],
            "--to = 'firestore://': database is no address of Firestore: write firestore://PROJECT",
        ),
        (["--to", "guardian.db"], "guardian.db cannot be moved into itself: name another database"),
        (["--to", "x.db", "--from", "nothing.db"], "there is no database"),
        (["--to", "postgres://x"], "--to = 'postgres://x': "),
        (["--to", "nowhere/x.db"], "nowhere/x.db cannot be opened"),
        ([], "Missing option '--to'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(guardian, database, arguments, said):
    code, out, err = guardian(*arguments)
    assert code in (1, 2)
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.needs_firestore
def test_a_file_goes_to_firestore_and_back_by_the_command(guardian, database, tmp_path):
    far = address_in(tmp_path)
    assert guardian("--to", far)[0] == 0
    code, out, _ = guardian("--from", far, "--to", "back.db", "--json")
    told = json.loads(out)
    assert (code, told["source"], told["differences"]) == (0, far, [])
