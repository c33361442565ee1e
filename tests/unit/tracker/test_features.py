"""What a route is called, by its author or by its own words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.event import UNMATCHED
from tracker.features import FeatureNames, default_name


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("/api/chat/message", "chat_message"),
        ("/api/v1/chat/message", "chat_message"),
        ("/v12/threads/{thread_id}/messages", "threads_messages"),
        ("/org/{org}/api/v2/threads", "org_threads"),
        ("/threads/{id}", "threads"),
        ("/Threads/Export.csv", "threads_export_csv"),
        ("/user-settings", "user_settings"),
        ("/files/{name}.json", "files"),
        ("/static/*", "static"),
        ("/vault", "vault"),
        ("/", "home"),
        ("", "home"),
        ("/*", "home"),
        ("/{slug}", "slug"),
        ("/api", "api"),
        ("/api/v1/{id}", "api_v1_id"),
        (UNMATCHED, "(unmatched)"),
        ("/(mounted)/items", "(mounted)_items"),
    ],
)
def test_a_feature_is_named_after_the_fixed_parts_of_its_route(endpoint, name):
    assert FeatureNames().name("GET", endpoint) == name


@given(st.text(max_size=60))
def test_every_route_has_a_name(path):
    assert default_name("/" + path)


CONFIGURED = {
    "POST /api/threads": "thread_create",
    "/api/threads": "threads_any",
    "/api/docs": "documents",
    "/api/admin/*": "admin",
    "/api/admin/users/*": "user_admin",
    "DELETE /api/admin/*": "admin_delete",
    "get /api/items/{id:int}": "item",
}


@pytest.mark.parametrize(
    ("method", "endpoint", "name"),
    [
        ("POST", "/api/threads", "thread_create"),
        ("GET", "/api/threads", "threads_any"),
        ("POST", "/api/docs", "documents"),
        ("GET", "/api/admin/x", "admin"),
        ("GET", "/api/admin", "admin"),
        ("GET", "/api/admin/users/{id}", "user_admin"),
        ("DELETE", "/api/admin/x", "admin_delete"),
        ("GET", "/api/items/{id}", "item"),
        ("GET", "/api/administration", "administration"),
    ],
)
def test_the_most_exact_configured_name_wins(method, endpoint, name):
    names = FeatureNames(CONFIGURED)
    assert [names.name(method, endpoint) for _ in range(2)] == [name, name]


@pytest.mark.parametrize("key", ["api/threads", "FETCH /api/threads", "", "POST", "/a b", 3])
def test_a_malformed_key_is_refused_with_the_cure(key):
    with pytest.raises(ValueError) as refused:
        FeatureNames({key: "name"})
    assert str(refused.value) == (
        f"features[{key!r}] = 'name': the key must be a path with or without a method, as in 'POST /api/threads'"
    )


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(ValueError) as refused:
        FeatureNames({"/api": name})
    assert str(refused.value) == f"features['/api'] = {name!r} must be a name, as in 'thread_create'"


def test_the_names_that_are_remembered_are_bounded():
    names = FeatureNames()
    for number in range(25_000):
        names.name("GET", f"/made-up/{number}")
    assert len(names._known) <= 10_000


def test_the_method_is_appended_where_several_share_a_template_and_the_author_wants_it():
    names = FeatureNames({"GET /threads": "thread_list"}, style="method", shared=lambda: {"/threads"})
    asked = [("POST", "/threads"), ("GET", "/threads"), ("GET", "/notes")]
    assert [names.name(*each) for each in asked] == ["threads_post", "thread_list", "notes"]


def test_another_style_of_names_is_refused():
    with pytest.raises(ValueError, match=r"^feature_names = 'path' must be \"method\", or left out$"):
        FeatureNames(style="path")
