"""Django under ASGI with the shim of two lines: routes, users and failures, with its REST framework and simplejwt."""

import base64
import json

import pytest

pytest.importorskip("django")
pytest.importorskip("rest_framework")
pytest.importorskip("rest_framework_simplejwt")
pytest.importorskip("tests.recipes.django_project")  # sets Django up, which the imports below need


from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tracker import UsageTrackingMiddleware
from tracker.django import loaded_user


@pytest.fixture(scope="module")
def people():
    """Ann and Bo in the app's own database, which lives as long as this connection."""
    call_command("migrate", verbosity=0)
    User.objects.create_user("ann", "Ann@Example.com", "pw")
    User.objects.create_user("bo", "", "pw")


@pytest.fixture
def application(database):
    return UsageTrackingMiddleware(get_asgi_application(), database=database)


def basic(name):
    return {"authorization": "Basic " + base64.b64encode(f"{name}:pw".encode()).decode()}


def test_routes_and_users_of_views_are_known(people, application, drive, asking, rows):
    async def work(app):
        cookie = {"cookie": (await asking(app, "GET", "/sign-in/")).cookies()}
        assert json.loads((await asking(app, "GET", "/who/7/", headers=cookie)).body) == {"id": 7, "user": "ann"}
        await asking(app, "GET", "/who-async/", headers=cookie)
        assert (await asking(app, "GET", "/stream/", headers=cookie)).body == b"ab"
        await asking(app, "GET", "/never-asks/", headers=cookie)
        await asking(app, "GET", "/noted/", headers=cookie)
        await asking(app, "GET", "/who/8/")
        await asking(app, "GET", "/old/2026/march/")

    drive(application, work)
    assert rows("user_email", "endpoint", "status_code") == [
        ("ann@example.com", "/sign-in/", 200),
        ("ann@example.com", "/who/{id}/", 200),
        ("ann@example.com", "/who-async/", 200),
        ("ann@example.com", "/stream/", 200),
        ("anonymous", "/never-asks/", 200),
        ("key-7@example.com", "/noted/", 200),
        ("anonymous", "/who/{id}/", 200),
        ("anonymous", "/old/{year}/{var}/", 200),
    ]


def test_rest_framework_and_its_tokens_name_the_person(people, application, drive, asking, rows):
    async def work(app):
        form = {"content-type": "application/json"}
        body = json.dumps({"username": "ann", "password": "pw"}).encode()
        access = json.loads((await asking(app, "POST", "/token/", headers=form, body=body)).body)["access"]
        bearer = {"authorization": f"Bearer {access}"}
        assert (await asking(app, "GET", "/api/threads/12/", headers=bearer)).status == 200
        assert (await asking(app, "GET", "/stateless/", headers=bearer)).status == 200
        assert (await asking(app, "GET", "/api/threads/", headers=basic("bo"))).status == 200
        assert (await asking(app, "GET", "/api/threads/")).status == 401
        assert (
            await asking(app, "GET", "/api/threads/", headers={"authorization": "Bearer made.up.token"})
        ).status == 401

    drive(application, work)
    assert rows("user_email", "endpoint", "status_code") == [
        ("anonymous", "/token/", 200),
        ("ann@example.com", "/api/threads/{pk}/", 200),
        ("1", "/stateless/", 200),
        ("bo", "/api/threads/", 200),
        ("anonymous", "/api/threads/", 401),
        ("anonymous", "/api/threads/", 401),
    ]


def test_failures_have_their_route_also_where_a_middleware_answers(people, application, drive, asking, rows):
    async def work(app):
        await asking(app, "GET", "/broken/x/")
        await asking(app, "GET", "/who/7/", headers={"x-down": "1"})
        await asking(app, "GET", "/nowhere/ann@example.com/")

    drive(application, work)
    assert rows("endpoint", "status_code") == [("/broken/{what}/", 500), ("/who/{id}/", 503), ("(unmatched)", 404)]


def test_the_prefix_of_a_mount_is_known(people, database, drive, asking, rows):
    starlette = pytest.importorskip("starlette.applications")
    outer = starlette.Starlette()
    outer.mount("/legacy", get_asgi_application())
    outer.add_middleware(UsageTrackingMiddleware, database=database)

    async def work(app):
        assert (await asking(app, "GET", "/legacy/who/7/")).status == 200

    drive(outer, work)
    assert rows("endpoint") == [("/legacy/who/{id}/",)]


def test_an_exception_is_known_by_its_kind_and_place(people, application, drive, asking, errors):
    async def work(app):
        await asking(app, "GET", "/broken/x/")

    drive(application, work)
    ((error, message, trace),) = errors("error_type", "error_message", "stack_trace")
    assert (error, message) == ("KeyError", "Internal Server Error") and trace.endswith(" broken")


def test_a_user_whom_nobody_asked_for_costs_no_query(people):
    class Request:
        pass

    from django.utils.functional import SimpleLazyObject

    request = Request()
    request.user = SimpleLazyObject(lambda: User.objects.get(username="ann"))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert loaded_user(request) is None
        request.user = User.objects.only("username").get(username="ann")
        assert loaded_user(request) == "ann"
    assert len(queries) == 1
