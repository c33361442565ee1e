"""Files that tell of people are closed to everybody else on the machine, and `guardian check` says where not."""

import sys
from pathlib import Path

import pytest

from guardian.application.check.modes import mode_findings
from guardian.application.preview.folder import write_mail
from guardian.core.files import private
from guardian.settings.schema import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")


def made(path, mode, text=""):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_what_everybody_may_read_or_change_is_named_with_the_cure(tmp_path, no_variables):
    config, database = made(tmp_path / "guardian.toml", 0o644), made(tmp_path / "guardian.db", 0o666)
    log = made(tmp_path / "guardian.db-wal", 0o664)
    report = made(tmp_path / "reports" / "usage_report.json", 0o640)
    report.parent.chmod(0o777)
    settings = Settings(database=database, reports_dir=report.parent)
    assert [(each.subject, each.level, each.text) for each in mode_findings(settings, config)] == [
        ("settings", "warning",
         f"everybody may read {config}, which names the admins: run 'chmod o= {config}'"),
        ("database", "warning", f"everybody may change {database}, which names users and holds the key of the links in "
         f"mails: run 'chmod o= {database}'"),
        ("database", "warning", f"everybody may read {log}, which names users and holds the key of the links in "
         f"mails: run 'chmod o= {log}'"),
        ("reports", "warning",
         f"everybody may change {report.parent}, which is mailed to the admins: run 'chmod o-w {report.parent}'"),
    ]  # fmt: skip


def test_a_key_of_pseudonyms_that_everybody_may_read_is_named(tmp_path, no_variables):
    key = made(tmp_path / "guardian.db.pseudonyms", 0o644)
    [found] = mode_findings(Settings(database=tmp_path / "guardian.db", reports_dir=tmp_path), tmp_path / "none.toml")
    assert found.text == f"everybody may read {key}, which leads from pseudonyms to people: run 'chmod o= {key}'"


def test_a_group_may_share_the_database_and_a_folder_may_be_looked_into(tmp_path, no_variables):
    config, database = made(tmp_path / "guardian.toml", 0o600), made(tmp_path / "guardian.db", 0o660)
    reports = tmp_path / "reports"
    reports.mkdir(mode=0o755)
    assert mode_findings(Settings(database=database, reports_dir=reports), config) == []


@pytest.mark.parametrize("link", [False, True])
def test_what_is_written_over_an_open_file_is_closed(tmp_path, link):
    file = path = made(tmp_path / "export.json", 0o644, "old")
    if link:
        path = tmp_path / "link.json"
        path.symlink_to(file)
    with private(path) as written:
        written.write("new")
    assert (file.read_text(), file.stat().st_mode & 0o777, path.is_symlink()) == ("new", 0o600, link)
    with private(tmp_path / "fresh.json") as written:
        written.write("new")
    assert (tmp_path / "fresh.json").stat().st_mode & 0o777 == 0o600


def test_a_preview_is_closed(tmp_path, samples_in):
    made(tmp_path / "report.html", 0o644)
    write_mail(samples_in("en")[0].mail.body, tmp_path, "report")
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "report.html": 0o600, "report.txt": 0o600, "report.eml": 0o600,
    }  # fmt: skip


def test_a_device_is_written_to_as_it_is():
    with private(Path("/dev/null")) as written:
        written.write("new")
