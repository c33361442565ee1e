"""Ending the reports from the mail: one click for mail programs, a page with one button for people."""

import base64
from datetime import datetime, timedelta
from email import message_from_bytes, policy

import pytest
from itsdangerous import URLSafeSerializer

from guardian.application.reporting import send_due_reports
from tests.support.api_client import NOW, calling, opened

URL = "https://guardian.example.com"
PAIR = {"admins": ("ann@example.com", "bob@example.com"), "schedules": ["every 2h"], "public_url": URL}


async def due(app, at: datetime):
    await send_due_reports(app, now=at)
    return {item.message.recipient: item for item in await app.state.outbox() if item.created_at == at}


def link(item) -> str:
    message = message_from_bytes(item.message.body, policy=policy.default)
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = message["List-Unsubscribe"].strip("<>")
    assert url in message.get_body(("plain",)).get_content()
    return url.removeprefix(URL)


async def test_one_click_ends_the_reports_for_one_recipient_and_no_other(tmp_path):
    async with opened(tmp_path, **PAIR) as app, calling(app) as program:
        await due(app, NOW - timedelta(hours=2))
        mails = await due(app, NOW)
        assert sorted(mails) == ["ann@example.com", "bob@example.com"]
        path = link(mails["ann@example.com"])
        for _ in range(2):
            await program.get(path)
        assert sorted(await due(app, NOW + timedelta(hours=2))) == ["ann@example.com", "bob@example.com"]
        assert (await program.post(path, data={"List-Unsubscribe": "One-Click"})).status_code == 200
        assert sorted(await due(app, NOW + timedelta(hours=4))) == ["bob@example.com"]
        again = await program.post(path, data={"wanted": "One-Click"})
        assert "Subscribed again" in again.text
        assert sorted(await due(app, NOW + timedelta(hours=6))) == ["ann@example.com", "bob@example.com"]


@pytest.mark.parametrize(
    ("url", "names"), [("http://127.0.0.1:8765", []), ("http://guardian.example.com", ["List-Unsubscribe"])]
)
async def test_a_mail_service_is_told_of_no_link_that_it_cannot_follow(tmp_path, url, names):
    async with opened(tmp_path, **{**PAIR, "public_url": url}) as app:
        await due(app, NOW - timedelta(hours=2))
        item = (await due(app, NOW))["ann@example.com"]
        message = message_from_bytes(item.message.body, policy=policy.default)
        assert [name for name in message if name.startswith("List-")] == names
        assert f"Unsubscribe: {url}/u/" in message.get_body(("plain",)).get_content()


async def test_a_link_that_was_changed_ends_nothing(tmp_path):
    async with opened(tmp_path, **PAIR) as app, calling(app) as program:
        await due(app, NOW - timedelta(hours=2))
        path = link((await due(app, NOW))["ann@example.com"])
        for bad in (path[:-2] + "AA", "/u/none"):
            assert (await program.post(bad)).status_code == 410
        assert sorted(await due(app, NOW + timedelta(hours=2))) == ["ann@example.com", "bob@example.com"]


async def test_the_link_names_nobody_and_ends_after_a_year(tmp_path):
    async with opened(tmp_path, **PAIR) as app:
        await due(app, NOW - timedelta(hours=2))
        path = link((await due(app, NOW))["ann@example.com"])
    token = path.removeprefix("/u/").split(".")[0]
    plain = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    assert b"ann" not in plain and b"2h" not in plain
    for days, status in ((360, 200), (370, 410)):
        async with opened(tmp_path, now=NOW + timedelta(days=days), **PAIR) as app, calling(app) as program:
            shown = await program.get(path)
            assert shown.status_code == status
    assert "This link is more than a year old" in shown.text


async def test_who_is_no_longer_a_recipient_is_told_that_there_is_nothing_to_end(tmp_path):
    async with opened(tmp_path, **PAIR) as app:
        await due(app, NOW - timedelta(hours=2))
        path = link((await due(app, NOW))["ann@example.com"])
    async with opened(tmp_path, **{**PAIR, "admins": ("bob@example.com",)}) as app, calling(app) as program:
        shown = await program.get(path)
        assert (shown.status_code, "nothing to unsubscribe from" in shown.text) == (410, True)


async def test_the_link_of_a_mail_of_an_older_version_still_ends_the_reports(tmp_path):
    async with opened(tmp_path, **PAIR) as app, calling(app) as program:
        await due(app, NOW - timedelta(hours=2))
        key = await app.stores.alerts.link_key()
        token = URLSafeSerializer(key, salt="guardian.unsubscribe").dumps(["every 2h UTC", "ann@example.com"])
        assert (await program.post(f"/u/{token}")).status_code == 200
        assert sorted(await due(app, NOW)) == ["bob@example.com"]
