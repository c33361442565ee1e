"""The command as a process: one clear line for bad input, quick help, no import that is not needed."""

import gc
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from guardian.cli import main
from guardian.settings.loading import load_settings
from tests.support.forking import forking

ROOT = Path(__file__).parents[2]


KEPT = {name: value for name, value in os.environ.items() if not name.startswith("GUARDIAN_")}
ENVIRONMENT = {**KEPT, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}


@pytest.fixture(scope="module")
def guardian():
    """Runs the command; its exit code, stdout and stderr."""
    with forking(path=[ROOT]) as run:
        yield lambda *arguments, cwd, **variables: run(*arguments, cwd=cwd, env={**ENVIRONMENT, **variables})


def process(*arguments, cwd):
    """The same as a process that nobody has prepared."""
    done = subprocess.run(
        [sys.executable, "-m", "guardian", *arguments],
        cwd=cwd, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments, code, line",
    [
        (["frob"], 2, "No such command 'frob': see 'guardian --help'"),
        (["report", "--hours", "0"], 2, "Invalid value for '--hours': "),
        (["report", "--hours", "721"], 2, "Invalid value for '--hours': "),
        (["report", "--hours", "abc"], 2, "Invalid value for '--hours': "),
        (["report", "--frob"], 2, "No such option"),
        (["outbox"], 2, "Missing command: see 'guardian outbox --help'"),
        (
            ["outbox", "list", "--status", "bad"],
            2,
            "Invalid value for '--status': 'bad' is not one of 'pending', 'sent'",
        ),
        (["outbox", "retry", "x"], 2, "Invalid value for 'ID': "),
        (["users", "export"], 2, "Missing argument 'EMAIL': see 'guardian users export --help'"),
        (["report"], 1, "there is no guardian.toml here: run 'guardian init', or name a file with --config"),
        (["run"], 1, "there is no guardian.toml here: run 'guardian init', or name a file with --config"),
        (["report", "--config", "none.toml"], 1, "none.toml cannot be read (No such file or directory): run 'guardian"),
    ],
)
def test_bad_input_is_one_clear_line(guardian, tmp_path, arguments, code, line):
    got, out, err = guardian(*arguments, cwd=tmp_path)
    assert (got, out) == (code, "")
    assert err.startswith(f"guardian: {line}")
    assert err.count("\n") == 1


def test_all_that_is_wrong_with_the_settings_is_said_at_once(guardian, tmp_path):
    (tmp_path / "guardian.toml").write_text('admin = []\ntimezone = "Mars/Base"\n')
    assert (
        guardian("report", cwd=tmp_path)
        == process("report", cwd=tmp_path)
        == (
            1,
            "",
            "guardian: 2 things are wrong\n"
            "  - guardian.toml line 1: admin is not a setting: did you mean admins?\n"
            '  - guardian.toml line 2: timezone: "Mars/Base" is not a time zone: write it as Europe/Zurich or UTC\n',
        )
    )


def test_a_question_that_nobody_answers_stops_the_command(guardian, tmp_path):
    (tmp_path / "guardian.toml").write_text("")
    code, _, err = guardian("users", "erase", "ann@example.com", cwd=tmp_path)
    assert (code, err.splitlines()[-1]) == (130, "guardian: stopped")


def test_init_writes_a_private_valid_file_once(guardian, tmp_path):
    code, out, _ = guardian("init", cwd=tmp_path)
    assert code == 0
    assert out == (
        "Wrote guardian.toml, which only you can read. Fill in admins, sender and smtp, then run: guardian check\n"
    )
    path = tmp_path / "guardian.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_settings(path).admins == ("you@example.com",)
    code, _, err = guardian("init", cwd=tmp_path)
    assert (code, err) == (
        1,
        "guardian: guardian.toml exists: edit it, or run 'guardian init --force' to write it anew\n",
    )
    assert guardian("init", "--force", cwd=tmp_path)[0] == 0


def test_without_arguments_the_help_is_shown(guardian, tmp_path):
    code, out, err = guardian(cwd=tmp_path)
    assert (code, err) == (0, "")
    assert "Usage: guardian [OPTIONS] COMMAND" in out
    for name in (
        "demo",
        "init",
        "check",
        "run",
        "report",
        "preview",
        "send-test",
        "outbox",
        "cleanup",
        "backup",
        "users",
        "keys",
    ):
        assert f" {name} " in out


def test_help_imports_nothing_that_it_does_not_need(tmp_path):
    heavy = ["pydantic_settings", "apscheduler", "jinja2", "numpy", "babel", "starlette", "uvicorn", "aiosqlite"]
    script = (
        "import sys\nfrom guardian.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"sys.exit(','.join(name for name in {heavy} if name in sys.modules) or None)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert (run.returncode, run.stderr) == (0, b"")


def test_the_versions_are_one_line(guardian, tmp_path):
    code, out, err = guardian("--version", cwd=tmp_path)
    assert (code, out, err) == process("--version", cwd=tmp_path)
    assert (code, err) == (0, "")
    number = r"(\d[\w.+]*|not installed)"
    assert re.fullmatch(rf"guardian {number} \(tracker {number}, Python 3\.\d+\.\d+\S*\)\n", out)


def test_what_an_app_has_is_collected_as_before_where_it_calls_the_command_itself():
    before = gc.get_freeze_count()
    with pytest.raises(SystemExit):
        main(["--version"])
    assert gc.get_freeze_count() <= before  # what was frozen may have ended meanwhile


def test_a_shell_can_complete_commands(guardian, tmp_path):
    asked = {"_GUARDIAN_COMPLETE": "complete_bash", "COMP_WORDS": "guardian out", "COMP_CWORD": "1"}
    assert guardian(cwd=tmp_path, **asked) == (0, "outbox\n", "")
