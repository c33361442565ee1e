"""Reports of other tools: what is shown of them, and that a broken one is named and no more."""

import json
import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

from guardian.mail.companions import (
    MAX_BYTES_IN_ALL,
    MAX_FILES,
    Companion,
    Malformed,
    Recommendation,
    load_companions,
    read_companion,
)


def test_every_json_file_but_our_own_is_a_companion(tmp_path):
    for name in ("prod_report.json", "docs_report.json", "anything.json", "usage_report.json", ".half-written.json"):
        (tmp_path / name).write_text('{"status": "ok"}')
    (tmp_path / "notes.txt").write_text("no")
    assert list(load_companions(tmp_path)) == ["anything.json", "docs_report.json", "prod_report.json"]
    assert load_companions(tmp_path / "missing") == {}


def test_a_whole_companion():
    found = read_companion(
        "integrity_report.json",
        {
            "status": "degraded",
            "timestamp": "2026-03-16T06:00:00Z",
            "summary": {"rows_checked": 1234567, "share": 0.25, "ok": True, "note": None, "parts": [1, 2]},
            "recommendations": [{"priority": "HIGH", "action": "Do it", "details": "Soon"}, "Rest"],
            "errors_detailed": [{"code": 7, "where": "a"}, "plain"],
            "error_patterns": {"timeouts": 3},
            "log_samples": ["line"],
        },
    )
    assert found == Companion(
        name="integrity_report.json",
        title="Integrity report",
        status="DEGRADED",
        grave="WARNING",
        timestamp="2026-03-16T06:00:00Z",
        summary=(("rows checked", "1,234,567"), ("share", "0.25"), ("ok", "yes"), ("note", "–"), ("parts", "1, 2")),
        recommendations=(Recommendation("HIGH", "Do it", "Soon"), Recommendation("", "Rest", "")),
        errors=("code: 7 · where: a", "plain"),
        patterns=("timeouts: 3",),
        logs=("line",),
    )


@pytest.mark.parametrize(
    ("status", "grave"),
    [("ok", "OK"), ("Degraded", "WARNING"), ("WARNING", "WARNING"), ("critical", "CRITICAL"), ("FAILED", "CRITICAL")],
)
def test_a_status_counts_in_any_case(status, grave):
    assert read_companion("x.json", {"status": status}).grave == grave


def test_without_a_status_it_is_unknown():
    assert read_companion("x.json", {}).grave == "UNKNOWN"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[1]", "it is not a JSON object"),
        ("", "it is not JSON (line 1)"),
        ('{"status":\n oops}', "it is not JSON (line 2)"),
        ('{"status": "fine"}', "its status 'FINE' is not one of OK, DEGRADED, WARNING, CRITICAL, FAILED, UNKNOWN"),
        ('{"a": "' + "x" * 1_000_001 + '"}', "it is larger than 1,000,000 bytes"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_a_malformed_one_is_named_with_the_reason(tmp_path, content, reason):
    (tmp_path / "bad.json").write_text(content)
    (tmp_path / "good.json").write_text('{"status": "OK"}')
    found = load_companions(tmp_path)
    assert found["bad.json"] == Malformed("bad.json", reason)
    assert found["good.json"].grave == "OK"


def test_bytes_that_are_no_text_are_malformed(tmp_path):
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe\x00")
    assert load_companions(tmp_path)["bad.json"] == Malformed("bad.json", "it is not JSON")


def test_the_example_of_the_docs_is_shown_whole():
    page = (Path(__file__).parents[3] / "docs" / "companion-reports.md").read_text()
    found = read_companion("prod_report.json", json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1]))
    assert isinstance(found, Companion)
    assert all(getattr(found, field.name) for field in fields(found) if field.name != "more")


def test_what_is_no_file_is_malformed_and_nothing_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere")
    assert load_companions(tmp_path) == {
        "folder.json": Malformed("folder.json", "it is not a file"),
        "gone.json": Malformed("gone.json", "it is a link to nothing"),
        "pipe.json": Malformed("pipe.json", "it is not a file"),
    }


def test_what_is_nested_too_deeply_is_malformed():
    nested = {}
    for _ in range(100_000):
        nested = {"a": nested}
    assert read_companion("deep.json", {"summary": nested}) == Malformed("deep.json", "it is nested too deeply")


def test_texts_stand_on_one_line_whatever_they_hold():
    found = read_companion("x.json", {"log_samples": ["a\n\nAll is well.\x1b[2J\u202e"], "timestamp": "\ud800now"})
    assert (found.logs, found.timestamp) == (("a All is well. [2J",), "now")


def test_what_is_too_much_is_cut_and_counted():
    found = read_companion("x.json", {"log_samples": ["y" * 10_000] * 50, "summary": json.loads('{"a": 1e400}')})
    assert (len(found.logs), len(found.logs[0]), found.more) == (20, 500, 30)


def test_many_or_large_files_are_read_up_to_a_bound_and_the_rest_is_named(tmp_path):
    large = json.dumps({"status": "OK", "summary": {"text": "x" * 799_900}})
    for n in range(10):
        (tmp_path / f"a{n}.json").write_text(large)
    for n in range(60):
        (tmp_path / f"b{n:02}.json").write_text('{"status": "OK"}')
    found = load_companions(tmp_path)
    assert list(found) == sorted(found)
    read = [name for name, each in found.items() if isinstance(each, Companion)]
    assert read == [*(f"a{n}.json" for n in range(6)), *(f"b{n:02}.json" for n in range(40))]
    rest = {each.reason for each in found.values() if isinstance(each, Malformed)}
    assert rest == {"only the first 50 files, or 5 MB of them, are read"}
    assert (MAX_FILES, MAX_BYTES_IN_ALL) == (50, 5_000_000)
