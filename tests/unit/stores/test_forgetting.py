"""Taking a person out of a report mail: every part of it, and nothing else."""

from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest

from guardian.core.outgoing import Outgoing
from guardian.mail.service import EmailService
from guardian.stores.forgetting import message_without
from tests.support.report_samples import ordinary

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LONG = "somebody.with.a.very.long.name@a-department.of-a-university.example.com"


def texts(body):
    mail = message_from_bytes(body, policy=policy.default)
    found = [part for part in mail.walk() if part.get_content_maintype() == "text"]
    return [part.get_payload(decode=True).decode().replace("<wbr>", "") for part in found]


@pytest.mark.parametrize("name", [LONG, "status", "500", "o'neil<&>@x.org", 'a; b, "c"'])
@pytest.mark.parametrize("text_only", [False, True])
def test_a_report_mail_loses_the_name_in_text_html_and_table(name, text_only):
    people = [name, *(f"user{n}@example.com" for n in range(14))]
    rows = [
        {
            "email": email, "total_time_minutes": 5, "features_used": ["chat"], "requests_count": 90 - n,
            "errors_count": 0, "errors": [],
        }
        for n, email in enumerate(people)
    ]  # fmt: skip
    service = EmailService([], sender="g@example.com", clock=lambda: NOW)
    before = service.compose_guardian_report(
        "a@example.com", {"usage_stats": {**ordinary(), "users": rows}}, key="k", text_only=text_only
    )
    assert len([m for m in before.people if m.name == name]) == (2 if text_only else 3)
    after = message_without(before, {name})
    assert name not in {m.name for m in after.people}
    for old, new in zip(texts(before.body), texts(after.body), strict=True):
        assert new.count("(erased)") == old.count("(erased)") + 1
        assert "user3@example.com" in new
    again = message_without(after, {"user3@example.com"})
    for old, new in zip(texts(before.body), texts(again.body), strict=True):
        assert "user3@" not in new
        assert new.count("(erased)") == old.count("(erased)") + 2
    heads = [message_from_bytes(each.body, policy=policy.default) for each in (before, again)]
    assert heads[0].items() == heads[1].items()


def test_who_is_not_named_changes_nothing():
    message = Outgoing("k", "a@example.com", b"Subject: status\r\n\r\nstatus", subject="status")
    assert message_without(message, {"status", "subject"}) is message


def test_an_old_mail_that_breaks_a_long_address_loses_it_too():
    page = f"<p>{LONG.replace('@', '@<wbr>').replace('-', '-<wbr>')} met an error, and jo{LONG} too</p>"
    body = f"Subject: x\r\nContent-Type: text/html\r\n\r\n{page}".encode()
    after = message_without(Outgoing("k", "a@example.com", body), {LONG})
    assert texts(after.body)[0].split()[0] == "<p>(erased)"
    assert f"jo{LONG}" in texts(after.body)[0]
