"""What the container files and docs/cloud-run.md name exists: settings, endpoints, commands, files."""

import re
from pathlib import Path

import pytest
import yaml

from guardian.settings.schema import Settings
from guardian.web.api import ENDPOINTS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "config" / "container"
DOC = (ROOT / "docs" / "cloud-run.md").read_text()
SERVICE = yaml.safe_load((FOLDER / "service.yaml").read_text())
[CONTAINER] = SERVICE["spec"]["template"]["spec"]["containers"]
VARIABLES = {each["name"]: each.get("value", "smtp://user:password@smtp.example.com:587") for each in CONTAINER["env"]}


@pytest.fixture
def environment(monkeypatch, no_variables, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


def test_the_variables_of_the_service_are_settings_and_are_enough(environment, monkeypatch):
    from guardian.settings.loading import load_settings, unknown_variables

    monkeypatch.setenv("GUARDIAN_DATABASE", "guardian.db")
    assert unknown_variables() == []
    settings = load_settings(None)
    assert isinstance(settings, Settings)
    assert settings.api.scheduler_audience == settings.public_url.rstrip("/")
    assert settings.admins == ("you@example.com",)


def test_the_scheduler_of_the_doc_is_the_one_that_the_service_lets_in():
    account = re.search(r"--oidc-service-account-email=(\S+)", DOC)[1]
    audience = re.search(r"--oidc-token-audience=(\S+)", DOC)[1]
    assert account == VARIABLES["GUARDIAN_API__SCHEDULER_ACCOUNT"]
    assert audience == VARIABLES["GUARDIAN_API__SCHEDULER_AUDIENCE"]


def test_every_endpoint_that_the_doc_names_can_be_called_by_a_scheduler():
    named = set(re.findall(r"/api/guardian/[a-z-]+", DOC))
    assert named == {each.path for each in ENDPOINTS if each.access == "scheduler"}


def test_the_container_file_runs_as_nobody_and_listens_where_the_service_says():
    text = (FOLDER / "Containerfile").read_text()
    assert re.search(r"^USER 65532:65532$", text, re.MULTILINE)
    assert f"GUARDIAN_API__PORT={CONTAINER['ports'][0]['containerPort']}" in text
    for name in re.findall(r"config/container/[\w.]+", text + DOC + (FOLDER / "install.sh").read_text()):
        assert (ROOT / name).is_file(), name


def test_the_lock_of_the_container_is_a_part_of_the_lock_of_the_checkout():
    def pins(path):
        return set(re.findall(r"^[\w.-]+==[^ \\]+", path.read_text(), re.MULTILINE))

    assert pins(FOLDER / "requirements.lock") <= pins(ROOT / "requirements.lock")
