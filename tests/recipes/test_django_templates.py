"""Templates of Django's routes, of `path()` and of regular expressions."""

import pytest

pytest.importorskip("django")

from tracker.django import template


@pytest.mark.parametrize(
    "route, expected",
    [
        ("", "/"),
        ("threads/<int:id>/", "/threads/{id}/"),
        ("files/<path:name>", "/files/{name}"),
        ("a/<b>/c.json", "/a/{b}/c.json"),
        ("^threads/(?P<id>[0-9]+)/$", "/threads/{id}/"),
        ("api/^threads/(?P<pk>[^/.]+)/$", "/api/threads/{pk}/"),
        (r"api/^threads\.(?P<format>[a-z0-9]+)/?$", "/api/threads.{format}/"),
        ("org/<int:org>/^t/(?P<pk>(a|b)[)(]+)/$", "/org/{org}/t/{pk}/"),
        (r"^(\d+)/(\w+)/$", "/{var}/{var}/"),
        (r"^\d+/[a-z]+/x$", "/{var}/{var}/x"),
        (r"^(?:threads|posts)/(?P<id>\d+)$", "/{var}/{id}"),
        (r"^threads(?:/(?P<id>\d+))?/?$", "/threads/{id}/"),
        (r"^(?i)About/.*$", "/About/{var}"),
        (r"^robots.txt\Z", "/robots.txt"),
        (r"^a(?!b)/(?P<broken", "/a/{var}"),
    ],
)  # fmt: skip
def test_templates_come_from_paths_and_regular_expressions(route, expected):
    assert template(route) == expected
