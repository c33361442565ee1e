"""The methods and templates of routes. Templates of real apps: tests/integration."""

import pytest

from tracker.event import UNMATCHED
from tracker.routes import METHODS, method_name, place_of
from tracker.templates import NOWHERE, Templates


def test_methods_that_http_does_not_know_share_one_name():
    assert {method_name({"type": "http", "method": method}) for method in METHODS} == METHODS
    assert method_name({"type": "http", "method": "SCAN"}) == "OTHER"
    assert method_name({"type": "http", "method": "get"}) == "OTHER"
    assert method_name({"type": "websocket"}) == "WEBSOCKET"


class Named:
    path = "/jobs/{id:uuid}"


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ("/jobs/{id}", "/jobs/{id}"),
        (Named(), "/jobs/{id}"),
        (None, UNMATCHED),
        ("", UNMATCHED),
        (object(), UNMATCHED),
        (b"/jobs", UNMATCHED),
    ],
)
def test_an_app_without_a_router_may_tell_its_templates(route, template):
    scope = {"type": "http", "method": "GET", "path": "/jobs/secret", "root_path": "", "route": route}
    assert place_of(scope, None, "/jobs/secret", "").template == template


def test_a_host_may_tell_its_template_beside_the_route():
    scope = {"type": "http", "method": "GET", "path": "/jobs/secret", "path_template": "/jobs/{id:int}"}
    assert place_of(scope, None, "/jobs/secret", "").template == "/jobs/{id}"


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/", "/"),
        ("/main", "/{db}"),
        ("/main/", "/{db}"),
        ("/main/people", "/{db}/{table}"),
        ("/files/a/b/c.txt", "/files/{name}"),
        ("/main/people/1/2", UNMATCHED),
        ("/-/x.json", "/-/{page}.json"),
    ],
)
def test_the_routes_of_an_app_without_a_router_are_those_that_its_author_names(path, template):
    routes = Templates(["/", "/-/{page}.json", "/files/{name:path}", "/{db}/{table}", "/{db}"])
    assert routes.find(path).template == template


@pytest.mark.parametrize(
    ("convertor", "fits", "does_not"),
    [
        ("int", ["7", "-7", "007"], ["x", "7x", "7.5", ""]),
        ("float", ["7", "-7.25", ".5", "7."], ["x", "7.5.1", "."]),
        ("uuid", ["9b2f0c6e-8d1a-4f37-a1b2-0123456789ab", "9B2F0C6E8D1A4F37A1B20123456789AB"], ["7", "9b2f0c6e-8d1a"]),
        ("str", ["7", "x"], [""]),
        ("of_the_app", ["7", "x"], [""]),
    ],
)
def test_a_path_that_a_convertor_refuses_leads_to_no_route(convertor, fits, does_not):
    routes = Templates([f"/threads/{{id:{convertor}}}/notes"])
    assert {routes.find(f"/threads/{each}/notes").template for each in fits} == {"/threads/{id}/notes"}
    assert {routes.find(f"/threads/{each}/notes").template for each in does_not} == {UNMATCHED}


@pytest.mark.parametrize("routes", ["/{db}", ["{db}"], [None], ["/" + "x" * 600]])
def test_what_is_no_template_is_refused(routes):
    with pytest.raises(ValueError, match=r"^routes = "):
        Templates(routes)


def test_a_path_too_long_to_be_a_template_is_none():
    scope = {"type": "http", "method": "GET", "path": "/x", "route": "/" + "x" * 60_000}
    assert place_of(scope, None, "/x", "") == NOWHERE
