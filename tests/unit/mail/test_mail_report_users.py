"""The table of everybody that goes along with the report mail."""

import csv
import gzip
from datetime import UTC, datetime
from email import message_from_bytes, policy
from hashlib import blake2b
from io import StringIO

import pytest

from guardian.core.language import language
from guardian.core.report.reading import from_json
from guardian.mail.report.userlist import plain_cell, users_csv
from guardian.mail.service import EmailService
from guardian.stores.forgetting import may_name, message_without
from tests.support import report_samples as samples

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def crowd(number):
    """The JSON of a report on so many people, as the window of a large app has it; every third met errors."""
    features = [f"feature_of_the_app_{n}" for n in range(12)]
    row = {"total_time_minutes": 12, "features_used": features, "errors": []}
    users = [
        {
            **row, "email": f"somebody.{n}@department-{n % 97}.example.com", "requests_count": 1 + n * 7919 % 5_000,
            "errors_count": n % 50 if n % 3 == 0 else 0,
        }
        for n in range(number)
    ]  # fmt: skip
    users.sort(key=lambda user: (-user["errors_count"], -user["requests_count"], user["email"]))
    return {**samples.ordinary(), "users": users, "active_users": number}


def mail_of(report, **options):
    service = EmailService([], sender="guardian@example.com", clock=lambda: NOW, **options)
    return service.compose_guardian_report("admin@example.com", {"usage_stats": report}, key="k")


def table_in(mail):
    [file] = message_from_bytes(mail.body, policy=policy.default).iter_attachments()
    content = file.get_payload(decode=True)
    packed = file.get_content_type() == "application/gzip"
    text = (gzip.decompress(content) if packed else content).decode("utf-8-sig")
    return file.get_filename(), list(csv.reader(StringIO(text, newline="")))


def words_of(mail):
    text = message_from_bytes(mail.body, policy=policy.default).get_body(("plain",)).get_content()
    return " ".join(text.split())


def test_the_mail_of_20_000_people_is_small_and_names_the_1000_with_most_errors_then_most_requests():
    report = crowd(20_000)
    mail = mail_of(report)
    assert len(mail.body) < 300_000
    html = message_from_bytes(mail.body, policy=policy.default).get_body(("html",)).get_content()
    assert len(html.encode()) < 102_000
    name, rows = table_in(mail)
    assert (name, len(rows)) == ("users.csv.gz", 1_001)
    assert {row[0] for row in rows[1:]} == {user["email"] for user in report["users"][:1_000]}
    assert (
        "and 19,990 more people; the 1,000 with most errors, then most requests, are in the attached users.csv.gz, and "
        "the API lists everybody."
    ) in words_of(mail)
    busiest = max(report["users"], key=lambda user: user["requests_count"])
    assert busiest["email"] in words_of(mail), "the ten busiest are those of all, not of the 1,000"


def test_a_report_that_leaves_people_out_counts_them_in_the_mail_too():
    report = crowd(1_500)
    mail = mail_of({**report, "users": report["users"][:1_000], "users_left_out": 500})
    assert "and 1,490 more people; the 1,000 with most errors" in words_of(mail)


def test_a_short_table_of_everybody_is_no_packed_file():
    mail = mail_of(crowd(30))
    name, rows = table_in(mail)
    assert (name, len(rows)) == ("users.csv", 31)
    assert "and 20 more people; everybody is in the attached users.csv." in words_of(mail)


def test_the_settings_say_how_many_people_a_mail_names():
    name, rows = table_in(mail_of(crowd(500), max_users=40))
    assert (name, len(rows)) == ("users.csv", 41)
    name, rows = table_in(mail_of(crowd(5_000), max_users=20_000))
    assert (name, len(rows)) == ("users.csv.gz", 5_001)


def test_a_table_that_would_be_too_long_even_packed_stays_at_home():
    report = crowd(20_000)
    report["users"] = [{**user, "email": f"{blake2b(user['email'].encode()).hexdigest()}@example.com"}
                       for user in report["users"]]  # fmt: skip
    mail = mail_of(report, max_users=20_000)
    assert list(message_from_bytes(mail.body, policy=policy.default).iter_attachments()) == []
    assert "and 19,990 more people; the API lists everybody." in words_of(mail)


def test_erasing_finds_a_person_in_a_packed_table():
    report = crowd(5_000)
    who, other = report["users"][500]["email"], report["users"][501]["email"]
    mail = mail_of(report)
    assert may_name(mail, b"[]", {who})
    name, rows = table_in(message_without(mail, {who}))
    found = {row[0] for row in rows}
    assert (name, who in found, other in found, "(erased)" in found) == ("users.csv.gz", False, True, True)


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", " =1+1", "\r=1", "\n=1", "＝1+1", "＠x", "\u200b=1", "\ufeff-1"]
)
def test_no_cell_of_the_table_is_a_formula(text):
    assert plain_cell(text) == f"'{text}"
    table = users_csv(from_json(samples.hostile(text)).users, language()).decode("utf-8-sig")
    assert all(not cell.startswith(text) for row in csv.reader(StringIO(table, newline="")) for cell in row)


@pytest.mark.parametrize("text", ["ada@example.com", "", "a=b", "1-2", "é=1", "7\u200b=1"])
def test_other_cells_stay_as_they_are(text):
    assert plain_cell(text) == text


def test_a_table_is_written_whatever_somebody_is_called():
    table = users_csv(from_json(samples.hostile('x"\n\ud800,')).users, language()).decode("utf-8-sig")
    assert list(csv.reader(StringIO(table, newline="")))[1][0] == 'x"\n?,'
