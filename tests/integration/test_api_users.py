"""The API's list of everybody: by pages, and as CSV."""

import csv
from datetime import timedelta
from io import StringIO

import pytest

from tests.support.api_client import NOW, bearer, calling, event, opened

LIST = "/api/usage/users"
WINDOW = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-03T00:00:00Z"}


def crowd():
    """Nine people: u0 with no error, u1 with one, … and in all of them as many requests as errors, and one more."""
    found = []
    for n in range(9):
        at = NOW - timedelta(minutes=60 - n)
        found += [event(at + timedelta(seconds=s), f"u{n}@example.com", 500 if s else 200) for s in range(n // 2 + 1)]
    return found


@pytest.fixture
async def app(tmp_path):
    async with opened(tmp_path, events=crowd()) as application:
        yield application


@pytest.fixture
async def admin(app):
    async with calling(app, bearer()) as client:
        yield client


async def everybody(admin, **query):
    found, sizes, after = [], [], {}
    while after is not None:
        answered = await admin.get(LIST, params={**query, **after})
        assert answered.status_code == 200, answered.text
        page = answered.json()
        found += page["users"]
        sizes.append(len(page["users"]))
        after = page["after"] and {"after": page["after"]}
    return found, sizes


async def test_pages_have_everybody_once_most_errors_first_as_the_report_has_them(admin):
    users, sizes = await everybody(admin, limit=4)
    assert sizes == [4, 4, 1]
    report = (await admin.get("/api/usage/summary")).json()
    assert users == report["users"]
    assert (await everybody(admin))[1] == [9]


@pytest.mark.parametrize("query", [{"hours": 24}, WINDOW])
async def test_all_pages_are_of_the_window_of_the_first(app, admin, query):
    first = (await admin.get(LIST, params={**query, "limit": 5})).json()
    late = event(NOW - timedelta(days=20), "late@example.com")
    await app.repository.write([late])
    second = (await admin.get(LIST, params={"hours": 720, "after": first["after"]})).json()
    assert [second[edge] for edge in ("period_start", "period_end")] == [
        first[edge] for edge in ("period_start", "period_end")
    ]
    assert (len(second["users"]), second["after"]) == (4, None)


async def test_a_cursor_names_nobody(admin):
    after = (await admin.get(LIST, params={"limit": 1})).json()["after"]
    assert set(after) <= set("0123456789-")


@pytest.mark.parametrize(
    "after",
    ["", "x", "1-2-3-4", "1-2-3-4-5-6", "2-1-3-4-5", "-1-2-3-4-5", "1-2-3-4-99999999999999999999", "1-2-3-4-5 ",
     "1-2-3-4-5\n", "\u0661-2-3-4-5", "1-9999999999999999999-3-4-5", "1-2-3-9223372036854775808-5", "é" * 500],
)  # fmt: skip
async def test_what_no_page_said_is_refused_with_one_sentence(admin, after):
    answered = await admin.get(LIST, params={"after": after})
    assert answered.status_code == 400
    assert answered.json()["error"].endswith('": give the value of `after` that the page before had, or leave it out')
    assert len(answered.json()["error"]) < 200


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ({"hours": 2, **WINDOW}, 400, "give hours, or start and end, not both"),
        ({"start": WINDOW["start"]}, 400, "give hours, or both start and end"),
        ({"start": WINDOW["end"], "end": WINDOW["start"]}, 400, "must lie before end = 2026-03-01"),
        ({"start": "2026-03-01T00:00:00", "end": WINDOW["end"]}, 422, "give a time with a zone"),
        ({"hours": 721}, 422, "give a whole number of hours from 1 to 720"),
        ({"limit": 0}, 422, "give a whole number from 1 to 1000000"),
        ({"format": "xml"}, 422, "give json or csv"),
    ],
)
async def test_a_window_that_is_none_is_refused(admin, query, status, sentence):
    answered = await admin.get(LIST, params=query)
    assert answered.status_code == status
    assert sentence in answered.json()["error"]


async def test_the_list_is_for_admins(app):
    async with calling(app) as anyone:
        assert (await anyone.get(LIST)).status_code == 401


@pytest.mark.parametrize("asked", [{"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv, */*;q=0.1"}}])
async def test_everybody_comes_as_csv(admin, monkeypatch, asked):
    monkeypatch.setattr("guardian.application.listing.STRIDE", 2)
    answered = await admin.get(LIST, **asked)
    assert answered.headers["content-type"] == "text/csv; charset=utf-8"
    assert answered.headers["cache-control"] == "no-store"
    rows = list(csv.DictReader(StringIO(answered.text, newline="")))
    users = (await admin.get("/api/usage/summary")).json()["users"]
    assert rows == [
        {
            "email": user["email"], "total_time_minutes": str(user["total_time_minutes"]),
            "requests_count": str(user["requests_count"]), "errors_count": str(user["errors_count"]),
            "features_used": ", ".join(user["features_used"]),
        }
        for user in users
    ]  # fmt: skip


async def test_a_csv_has_as_many_people_as_are_asked_for(admin, monkeypatch):
    monkeypatch.setattr("guardian.application.listing.STRIDE", 2)
    answered = await admin.get(LIST, params={"format": "csv", "limit": 5})
    assert len(answered.text.splitlines()) == 6
    after = (await admin.get(LIST, params={"limit": 5})).json()["after"]
    assert len((await admin.get(LIST, params={"format": "csv", "after": after})).text.splitlines()) == 5


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", " =1"])
async def test_no_cell_is_a_formula(tmp_path, name):
    async with (
        opened(tmp_path, events=[event(NOW - timedelta(minutes=5), name)]) as app,
        calling(app, bearer()) as admin,
    ):
        rows = list(csv.reader(StringIO((await admin.get(LIST, params={"format": "csv"})).text, newline="")))
        assert rows[1][0].startswith("'")
        assert rows[1][0][1:].strip() == name.strip()


async def test_erased_people_do_not_come(admin):
    assert (await admin.delete(f"{LIST}/u8@example.com")).status_code == 200
    users, _ = await everybody(admin, limit=3)
    assert [user["email"] for user in users][:2] == ["u6@example.com", "u7@example.com"]
    assert len(users) == 8
    text = (await admin.get(LIST, params={"format": "csv"})).text
    assert "u8@" not in text
    assert "erased" not in text


async def test_the_summary_names_as_many_as_the_settings_say_and_the_report_everybody(tmp_path):
    async with opened(tmp_path, events=crowd(), report={"max_users": 3}) as app, calling(app, bearer()) as admin:
        summary = (await admin.get("/api/usage/summary")).json()
        assert [user["email"] for user in summary["users"]] == [f"u{n}@example.com" for n in (8, 6, 7)]
        assert (summary["users_left_out"], summary["active_users"]) == (6, 9)
        whole = (await admin.post("/api/usage/generate-report")).json()["report"]
        assert (len(whole["users"]), "users_left_out" in whole) == (9, False)


async def test_the_description_says_that_there_is_csv(admin):
    described = (await admin.get("/openapi.json")).json()["paths"][LIST]["get"]
    assert set(described["responses"]["200"]["content"]) == {"application/json", "text/csv"}
    assert {"after", "hours", "start", "end", "limit", "format"} == {each["name"] for each in described["parameters"]}
    assert "400" in described["responses"]
