"""Feature names, methods and the paths that are not recorded. Templates of real apps: tests/integration."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.event import UNMATCHED
from tracker.routes import DEFAULT_SKIP, METHODS, FeatureNames, PathFilter, default_name, method_name, route_template


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


def test_methods_that_http_does_not_know_share_one_name():
    assert {method_name({"type": "http", "method": method}) for method in METHODS} == METHODS
    assert method_name({"type": "http", "method": "SCAN"}) == "OTHER"
    assert method_name({"type": "http", "method": "get"}) == "OTHER"
    assert method_name({"type": "websocket"}) == "WEBSOCKET"


@pytest.mark.parametrize(
    ("path", "skipped"),
    [
        ("/health", True),
        ("/health/", True),
        ("/health/db", True),
        ("/healthcare", False),
        ("/healthz", True),
        ("/livez", True),
        ("/readyz", True),
        ("/ping", True),
        ("/pingpong", False),
        ("/metrics", True),
        ("/docs", True),
        ("/docs/oauth2-redirect", True),
        ("/docsearch", False),
        ("/api/docs", False),
        ("/redoc", True),
        ("/openapi.json", True),
        ("/static/app.js", True),
        ("/assets/logo.png", True),
        ("/favicon.ico", True),
        ("/robots.txt", True),
        ("/", False),
        ("", False),
        ("/h", False),
        ("/Health", False),
        ("/chat/health", False),
    ],
)
def test_only_whole_segments_are_skipped_by_default(path, skipped):
    assert PathFilter(DEFAULT_SKIP)(path) is skipped


@pytest.mark.parametrize(
    ("path", "root_path", "skipped"),
    [
        ("/api/health", "/api", True),
        ("/api/health", "/api/", True),
        ("/health", "/api", True),
        ("/apiary/health", "/api", False),
        ("/api/chat", "/api", False),
        ("/health", "", True),
        ("/health", None, True),
    ],
)
def test_what_lies_in_front_of_the_app_does_not_count(path, root_path, skipped):
    scope = {"path": path} if root_path is None else {"path": path, "root_path": root_path}
    assert PathFilter(DEFAULT_SKIP).skips(scope) is skipped


@pytest.mark.parametrize(
    ("skip", "path", "skipped"),
    [
        ([], "/health", False),
        (["/"], "/", True),
        (["/"], "/chat", False),
        (["//"], "/chat", False),
        (["/internal/"], "/internal", True),
        (["/internal/"], "/internal/x", True),
        (["/internal", "/a"], "/a", True),
        (["/internal", "/a"], "/ab", False),
    ],
)
def test_the_app_may_choose_what_is_skipped(skip, path, skipped):
    assert PathFilter(skip)(path) is skipped


@given(st.lists(st.text("/ab", min_size=0, max_size=4).map(lambda text: "/" + text), max_size=4), st.text("/ab"))
def test_the_quick_look_skips_what_the_plain_rule_skips(skip, path):
    def plain(prefix):
        prefix = prefix.rstrip("/")
        return path == (prefix or "/") or bool(prefix and path.startswith(prefix + "/"))

    assert PathFilter(skip)(path) is any(map(plain, skip))


@pytest.mark.parametrize(
    ("skip", "sentence"),
    [
        (["health"], "skip = 'health' must start with a slash, as in '/health'"),
        ([None], "skip = None must start with a slash, as in '/health'"),
        ("/health", "skip = '/health' must be a list of paths, as in ['/health']"),
    ],
)
def test_a_path_to_skip_that_is_none_is_refused(skip, sentence):
    with pytest.raises(ValueError) as refused:
        PathFilter(skip)
    assert str(refused.value) == sentence


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
    assert route_template({"type": "http", "path": "/jobs/secret", "root_path": "", "route": route}) == template
