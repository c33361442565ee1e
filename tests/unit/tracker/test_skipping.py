"""The paths that are not recorded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.skipping import DEFAULT_SKIP, DOUBTFUL, PathFilter


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


@pytest.mark.parametrize(
    ("path", "skipped"),
    [
        ("/api/health", True),
        ("/api/v1/health", True),
        ("/api/v1/health/live", True),
        ("/v2/readyz", True),
        ("/billing/healthz", True),
        ("/api/ready", True),
        ("/api/ping", True),
        ("/ui/assets", True),
        ("/ui/assets/index-3f2a.js", True),
        ("/ui/static/app.css", True),
        ("/admin/static/logo.png", True),
        ("/shop/assets/app.js", True),
        ("/app/favicon.ico", True),
        ("/api/openapi.json", True),
        # Words that are features of somebody's app.
        ("/api/live/room-1", False),
        ("/api/live", False),
        ("/api/ready/17", False),
        ("/orders/ready", False),
        ("/patients/health", False),
        ("/api/assets", False),
        ("/portfolio/assets", False),
        ("/portfolio/assets/17", False),
        ("/api/health/records", False),
        ("/api/healthcare", False),
        ("/api/docs", False),
        ("/api/metrics", False),
        ("/chat/message", False),
        ("/healthy", False),
    ],
)
def test_the_usual_paths_are_skipped_under_a_prefix_too(path, skipped):
    assert bool(PathFilter(defaults=True)(path)) is skipped


def test_a_list_of_ones_own_adds_to_the_usual_paths():
    mine = PathFilter(["/internal"], defaults=True)
    assert [mine(path) for path in ("/internal/x", "/health", "/api/health", "/chat")] == [True, True, DOUBTFUL, False]


def test_the_paths_that_are_remembered_are_bounded():
    paths = PathFilter(defaults=True)
    for number in range(10_000):
        paths(f"/made-up/{number}" + "x" * (number % 400))
    assert len(paths.known) <= 4_096
    assert max(map(len, paths.known)) <= 200
