"""What `guardian check` says of a distribution whose package has the name of ours."""

import pytest

from guardian.application.check.checkup import check_up
from guardian.application.check.neighbours import clashes, old_libraries


def install(folder, name, version):
    """The metadata of a distribution, as pip leaves it in site-packages."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_alone_there_is_nothing_to_say(tmp_path, monkeypatch):
    install(tmp_path, "django-guardian-queryset", "1.0")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert clashes() == []


@pytest.mark.parametrize("settings", ["", "no_such_key = 1\n"])
async def test_django_guardian_in_the_same_environment_is_an_error_with_the_cure(tmp_path, monkeypatch, settings):
    install(tmp_path / "site", "django-guardian", "3.2.0")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (tmp_path / "guardian.toml").write_text(settings)
    [found] = [each for each in await check_up(tmp_path / "guardian.toml") if each.subject == "installation"]
    assert (found.level, found.text) == (
        "error",
        "django-guardian 3.2.0 is installed here too, and both have a package named 'guardian': give Guardian an "
        "environment of its own (docs/install.md), then reinstall django-guardian in this one",
    )


@pytest.mark.parametrize(
    ("version", "warned"), [("2.8.0", True), ("2.11.1", True), ("2.12.0", False), ("3.0.0", False)]
)
def test_a_pyjwt_that_passes_over_critical_headers_is_a_warning(monkeypatch, version, warned):
    monkeypatch.setattr("guardian.application.check.neighbours._version", {"PyJWT": version}.get)
    found = old_libraries()
    assert [each.level for each in found] == (["warning"] if warned else [])
    assert all("CVE-2026-32597" in each.text and version in each.text for each in found)
