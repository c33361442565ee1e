"""The two built wheels, installed in environments that have nothing else of this checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.forking import forking
from tests.support.shorter import SHORTER

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = {"usage-guardian": ROOT, "usage-guardian-tracker": ROOT / "tracker"}


def run(*command, cwd, code=0, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GUARDIAN_"))}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=clean | environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr * bool(code)


@pytest.fixture(scope="module")
def wheels(made_once):
    """The path of each distribution's wheel, by its name."""

    def built(folder):
        found = {}
        for name, project in PROJECTS.items():
            out = folder / name
            run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, project, cwd=folder)
            [found[name]] = out.glob("*.whl")
        return found

    return made_once("wheels", built)


def environment(folder, *wheels, libraries=None):
    """The bin folder of an environment with these wheels, and the libraries of a folder."""
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    offline = ("--no-index", "--no-deps", "--disable-pip-version-check", "--no-compile", "--quiet")
    run(sys.executable, "-m", "pip", "--python", python, "install", *offline, *wheels, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    take_compiled(site)
    if libraries is not None:
        # Only a path: .pth files in there, such as that of this checkout, are not read.
        (site / "libraries.pth").write_text(f"{libraries}\n")
    return python.parent


def take_compiled(site):
    """Spare the commands compiling what is in this checkout byte for byte: Python takes a compiled file as long as its
    module is as large and was written at the same time."""
    for module in site.rglob("*.py"):
        original = ROOT / module.relative_to(site)
        compiled = Path(cache_from_source(original))
        if compiled.exists() and original.read_bytes() == module.read_bytes():
            there = Path(cache_from_source(module))
            there.parent.mkdir(exist_ok=True)
            shutil.copy(compiled, there)
            shutil.copystat(original, module)


@pytest.fixture(scope="module")
def installed(wheels, made_once):
    """Both wheels, with all libraries of this environment."""
    libraries = sysconfig.get_path("purelib")
    return made_once("installed", lambda folder: environment(folder / "env", *wheels.values(), libraries=libraries))


@pytest.fixture(scope="module")
def bare(wheels, made_once):
    """Both wheels, with only the libraries that `pip install usage-guardian` brings: no extra's."""
    return made_once("bare", lambda folder: without_extras(folder, wheels))


def without_extras(folder, wheels):
    libraries = folder / "libraries"
    libraries.mkdir()
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    waiting, seen = [Requirement(text) for text in wanted], set()
    while waiting:
        one = waiting.pop()
        if one.name == "usage-guardian-tracker":
            jwt = tomllib.loads((ROOT / "tracker" / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            waiting += [Requirement(text) for text in jwt["jwt"]]
            continue
        key = (one.name.lower(), frozenset(one.extras))
        if key in seen:
            continue
        seen.add(key)
        found = distribution(one.name)
        for extra in one.extras or [""]:
            needs = [Requirement(text) for text in found.requires or ()]
            waiting += [each for each in needs if each.marker is None or each.marker.evaluate({"extra": extra})]
        for top in {file.parts[0] for file in found.files if file.parts[0] not in ("..", "__pycache__")}:
            link = libraries / top
            if not link.exists():
                link.symlink_to(found.locate_file(top))
    return environment(folder / "env", *wheels.values(), libraries=libraries)


def names_in(wheel):
    return [name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")]


def test_each_holds_its_own_package_and_none_of_the_others(wheels):
    tops = {
        name: {file.split("/")[0] for file in names_in(wheel) if ".dist-info/" not in file}
        for name, wheel in wheels.items()
    }
    assert tops == {"usage-guardian": {"guardian"}, "usage-guardian-tracker": {"tracker"}}


def test_the_trackers_holds_its_modules_and_its_types_and_nothing_else(wheels):
    names = {file for file in names_in(wheels["usage-guardian-tracker"]) if ".dist-info/" not in file}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "tracker").rglob("*.py")}
    assert names == {*modules, "tracker/py.typed"}


def test_the_daemons_holds_its_data_its_types_and_nothing_that_was_left_over(wheels):
    names = names_in(wheels["usage-guardian"])
    data = {name.removeprefix("guardian/data/") for name in names if name.startswith("guardian/data/")}
    wanted = {
        str(path.relative_to(ROOT))
        for folder in ("templates", "config")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    assert data == wanted
    assert {"templates/mail/guardian_report_email.html", "config/guardian.example.toml"} <= data
    assert "guardian/py.typed" in names
    assert not [name for name in names if name.endswith((".pyc", ".db", ".eml"))]


def test_both_are_of_one_version_and_the_daemon_asks_for_exactly_its_tracker():
    daemon, tracker = (tomllib.loads((path / "pyproject.toml").read_text())["project"] for path in PROJECTS.values())
    assert daemon["version"] == tracker["version"]
    assert f"usage-guardian-tracker[jwt]=={tracker['version']}" in daemon["dependencies"]
    assert tracker["dependencies"] == []
    assert (ROOT / "tracker" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_tracker_records_where_nothing_else_is_installed(wheels, tmp_path):
    alone = environment(tmp_path / "env", wheels["usage-guardian-tracker"])
    code = """
import asyncio, importlib.metadata, importlib.util, sqlite3
from tracker import UsageTrackingMiddleware
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
async def main():
    tracked, said = UsageTrackingMiddleware(app, database="guardian.db"), asyncio.Queue()
    async def send(message): said.put_nowait(message["type"])
    asked = asyncio.Queue()
    life = asyncio.create_task(tracked({"type": "lifespan"}, asked.get, send))
    await asked.put({"type": "lifespan.startup"})
    assert await said.get() == "lifespan.startup.complete"
    scope = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": [], "query_string": b""}
    await tracked(scope, None, send)
    await asked.put({"type": "lifespan.shutdown"})
    await life
asyncio.run(main())
print(sqlite3.connect("guardian.db").execute("SELECT status_code FROM feature_usage").fetchall())
print(sorted(each.name for each in importlib.metadata.distributions()), importlib.util.find_spec("guardian"))
"""
    said = run(alone / "python", "-I", "-c", code, cwd=tmp_path)
    assert said == "[(200,)]\n['usage-guardian-tracker'] None\n"


def test_importing_them_finds_the_installed_copy_and_its_data(installed, tmp_path):
    code = "import guardian, tracker; from guardian.core.resources import config_dir, templates_dir as t; "
    code += "print(guardian.__file__, tracker.__file__, config_dir(), t())"
    for path in run(installed / "python", "-c", code, cwd=tmp_path).split():
        assert path.startswith(str(installed.parent)), path


def test_the_main_job_runs_from_them(installed, tmp_path):
    said = run(installed / "python", "-c", SHORTER, "demo", "--once", "--dir", "there", cwd=tmp_path)
    assert "over SMTP to admin@example.com (sent)" in said
    report = json.loads((tmp_path / "there" / "reports" / "usage_report.json").read_text())
    assert report["active_users"] == 40
    assert len(list((tmp_path / "there" / "mail").glob("*.eml"))) > 1  # alerts of the hour before, and the report
    assert (tmp_path / "there" / "guardian.db").exists()


def test_init_writes_the_settings_file_from_it(installed, tmp_path):
    run(installed / "guardian", "init", cwd=tmp_path)
    assert (tmp_path / "guardian.toml").read_text().strip()


MISSING = {
    "demo --once": "the demo needs fastapi: install it with pip install 'usage-guardian[demo]'",
    "gmail login": "Google's libraries are not installed: run pip install 'usage-guardian[gmail]'",
    "check": "tgram:// needs Apprise, which is not installed: pip install 'usage-guardian[channels]'",
    "run": "tgram:// needs Apprise, which is not installed: pip install 'usage-guardian[channels]'",
}
OTHERS = (
    "report", "report --json", "preview --no-open --out mail", "preview --all --out mails", "alerts list",
    "backtest", "outbox list", "cleanup", "users export ada@example.com",
)  # fmt: skip


@pytest.fixture(scope="module")
def answers(bare, made_once):
    """What each command says where no extra is installed, each in a folder of its own and in a process of its own: its
    exit code, stdout and stderr; and where these folders are, which `place` names."""

    def asked(folder):
        made = "from tracker.sqlite.writer import Writer; from tracker.event import Event; import time; "
        made += "w = Writer('guardian.db'); "
        made += "w.write([Event(int(time.time() * 1e6) - 1000, 'ada@example.com', '/chat', 'GET', 'chat', 200, 900)])"
        found = {}
        with forking(bare / "python") as guardian:
            for command in (*MISSING, *OTHERS):
                own = folder / place(command)
                own.mkdir()
                if command in OTHERS:
                    channels = '[channels]\nops = "slack://T0000/B0000/token"\nweb = "jsons://example.com/hook"\n'
                    (own / "guardian.toml").write_text(f'admins = ["ada@example.com"]\n{channels}')
                    run(bare / "python", "-c", made, cwd=own)
                elif command in ("check", "run"):
                    telegram = '[channels]\nops = "tgram://123456789:abcdefg_hijklmnop/1/"\n'
                    (own / "guardian.toml").write_text(telegram)
                for settings in own.glob("guardian.toml"):
                    settings.chmod(0o600)
                variables = {"COLUMNS": "300", "HOME": str(own), "PATH": str(bare)}
                found[command] = guardian(*command.split(), cwd=own, env=variables)
        return found, folder

    return made_once("answers", asked)


def place(command):
    return command.replace(" ", "-")


@pytest.mark.parametrize("command", MISSING)
def test_a_command_that_misses_an_extra_says_which(answers, command):
    code, out, err = answers[0][command]
    assert code == 1
    assert MISSING[command] in out + err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("command", OTHERS)
def test_every_other_command_needs_no_extra(answers, command):
    code, out, err = answers[0][command]
    assert code == 0, out + err


def test_every_mail_is_written_as_in_any_run_and_it_is_said_that_no_chromium_is_found(answers, samples_in):
    samples = samples_in("en")
    command = "preview --all --out mails"
    _, out, err = answers[0][command]
    assert err == "No pictures: install Chromium or Chrome for them.\n"
    assert out.endswith(f"Wrote {len(samples)} mails into mails.\n")
    mails = answers[1] / place(command) / "mails"
    written = {path.name for path in mails.iterdir()}
    assert written == {f"{sample.name}.{kind}" for sample in samples for kind in ("html", "txt", "eml")}
    assert 'src="data:image/png;base64,' in (mails / "report.html").read_text()
    # By name: pytest would take hours to show how megabytes differ.
    bodies = {sample.name: (mails / f"{sample.name}.eml").read_bytes() for sample in samples}
    assert [sample.name for sample in samples if bodies[sample.name] != sample.mail.body] == []


def test_the_command_begins_where_no_extra_is_installed(bare, tmp_path):
    """As it is typed, by the script that pip wrote."""
    assert "Usage: guardian" in run(bare / "guardian", cwd=tmp_path)
