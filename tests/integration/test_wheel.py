"""The built wheel, installed in an environment that has nothing else of this checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command, cwd, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GUARDIAN_"))}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=clean | environment, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of an environment with the wheel; the libraries it needs are those of this one."""
    folder = tmp_path_factory.mktemp("installed") / "env"
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    offline = ("--no-index", "--no-deps", "--disable-pip-version-check", "--no-compile", "--quiet")
    run(sys.executable, "-m", "pip", "--python", python, "install", *offline, wheel, cwd=folder)
    # Only a path: .pth files in there, such as that of this checkout, are not read.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def test_it_holds_the_two_packages_and_their_data_and_nothing_else(wheel):
    names = [name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")]
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"guardian", "tracker"}
    data = {name.removeprefix("guardian/data/") for name in names if name.startswith("guardian/data/")}
    wanted = {
        str(path.relative_to(ROOT))
        for folder in ("templates", "config")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    assert data == wanted
    assert {"templates/mail/guardian_report_email.html", "config/guardian.example.toml"} <= data
    assert not [name for name in names if name.endswith((".pyc", ".db", ".eml"))]


def test_importing_it_finds_the_installed_copy_and_its_data(installed, tmp_path):
    code = "import guardian, tracker; from guardian.resources import config_dir, templates_dir as t; "
    code += "print(guardian.__file__, tracker.__file__, config_dir(), t())"
    for path in run(installed / "python", "-c", code, cwd=tmp_path).split():
        assert path.startswith(str(installed.parent)), path


def test_the_main_job_runs_from_it(installed, tmp_path):
    said = run(installed / "guardian", "demo", "--once", "--dir", "there", cwd=tmp_path)
    assert "over SMTP to admin@example.com (sent)" in said
    report = json.loads((tmp_path / "there" / "reports" / "usage_report.json").read_text())
    assert report["active_users"] == 40
    assert len(list((tmp_path / "there" / "mail").glob("*.eml"))) == 1
    assert (tmp_path / "there" / "guardian.db").exists()


def test_init_writes_the_settings_file_from_it(installed, tmp_path):
    run(installed / "guardian", "init", cwd=tmp_path)
    assert (tmp_path / "guardian.toml").read_text().strip()
