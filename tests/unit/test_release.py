"""The version is given once and set everywhere; the changelog must say what users get."""

import runpy
import tomllib
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
release = runpy.run_path(str(ROOT / "scripts/release.py"))
FILES = ("pyproject.toml", "tracker/pyproject.toml", "CHANGELOG.md")
TODAY = date(2026, 12, 1)


@pytest.fixture
def texts():
    """The files as they are in the checkout, with something to release."""
    found = {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}
    return found | {"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- More.\n\n## 0.0.1 (2026-01-01)\n\n- First.\n"}


def test_a_version_is_set_in_both_projects_and_where_the_daemon_asks_for_its_tracker(texts):
    after = release["released"](texts, "7.0.0", TODAY)
    daemon, tracker = (tomllib.loads(after[name])["project"] for name in FILES[:2])
    assert daemon["version"] == tracker["version"] == "7.0.0"
    assert "usage-guardian-tracker[jwt]==7.0.0" in daemon["dependencies"]
    assert release["version_of"](after["pyproject.toml"], after["tracker/pyproject.toml"]) == "7.0.0"


def test_nothing_else_of_the_projects_changes(texts):
    after = release["released"](texts, "7.0.0", TODAY)
    changed = [
        (name, line)
        for name in FILES[:2]
        for line, was in zip(after[name].splitlines(), texts[name].splitlines(), strict=True)
        if line != was
    ]
    assert [name for name, _ in changed] == ["pyproject.toml", "pyproject.toml", "tracker/pyproject.toml"]
    assert all("7.0.0" in line for _, line in changed)


def test_what_was_unreleased_gets_the_version_and_the_day(texts):
    assert release["released"](texts, "7.0.0", TODAY)["CHANGELOG.md"] == (
        "# Changelog\n\n## Unreleased\n\n## 7.0.0 (2026-12-01)\n\n- More.\n\n## 0.0.1 (2026-01-01)\n\n- First.\n"
    )


def test_the_version_that_the_projects_name_can_be_released_once(texts):
    version = release["version_of"](texts["pyproject.toml"], texts["tracker/pyproject.toml"])
    once = release["released"](texts, version, TODAY)
    once["CHANGELOG.md"] = once["CHANGELOG.md"].replace("## Unreleased\n", "## Unreleased\n\n- Again.\n")
    with pytest.raises(ValueError, match=f"^{version} is not newer than {version}: "):
        release["released"](once, version, TODAY)


@pytest.mark.parametrize(
    "changes", ["# Changelog\n", "# Changelog\n\n## Unreleased\n\n## 0.0.1 (2026-01-01)\n- First\n"]
)
def test_a_release_that_the_changelog_says_nothing_of_is_refused(texts, changes):
    with pytest.raises(ValueError, match=r"CHANGELOG\.md has nothing under"):
        release["released"](texts | {"CHANGELOG.md": changes}, "7.0.0", TODAY)


@pytest.mark.parametrize("version", ["", "7", "7.0", "v7.0.0", "7.0.0-rc1", "7.0.0.post1", "7.0.0 ", "٧.0.0"])
def test_what_is_no_version_is_refused(texts, version):
    with pytest.raises(ValueError, match="is not a version: write three numbers"):
        release["released"](texts, version, TODAY)


def test_an_older_version_is_refused(texts):
    with pytest.raises(ValueError, match=r"^0\.0\.9 is not newer than "):
        release["released"](texts, "0.0.9", TODAY)


def test_versions_are_in_the_order_in_which_they_come():
    order = ["0.2.0a1", "0.2.0a2", "0.2.0b1", "0.2.0rc1", "0.2.0", "0.2.1", "0.10.0", "1.0.0rc2", "1.0.0"]
    assert sorted(reversed(order), key=release["order"]) == order


def test_two_projects_of_different_versions_are_refused(texts):
    tracker = texts["tracker/pyproject.toml"].replace('version = "', 'version = "9')
    with pytest.raises(ValueError, match="name different versions"):
        release["released"](texts | {"tracker/pyproject.toml": tracker}, "99.0.0", TODAY)
