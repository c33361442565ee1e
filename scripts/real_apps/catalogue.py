"""The real applications, what to install for them, and what is asked of them."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Step:
    """One request. `person`: whether somebody is signed in; `fails`: whether it fails though its status says 200."""

    method: str
    path: str
    body: Any = None
    kind: str = JSON
    person: bool = True
    fails: bool = False


@dataclass(frozen=True)
class App:
    """An application: its packages, the steps, and headers of every request (a gateway's, or a token)."""

    packages: tuple[str, ...]
    steps: tuple[Step, ...]
    who: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def gets(*paths: str, person: bool = True) -> tuple[Step, ...]:
    """A GET of each path."""
    return tuple(Step("GET", path, person=person) for path in paths)


def mcp(tool: str, arguments: dict[str, Any], *, fails: bool = False) -> Step:
    """A call of a tool over MCP's HTTP transport."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}
    return Step("POST", "/mcp", call, fails=fails)


PERSON = {"X-Person": "ann@example.com"}


def token(key: str, **claims: Any) -> str:
    """A JWT of HS256 (RFC 7515, 3.1)."""

    def encoded(part: bytes) -> str:
        return urlsafe_b64encode(part).rstrip(b"=").decode()

    head = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{head}.{encoded(hmac.digest(key.encode(), head.encode(), 'sha256'))}"


# The key is that of fastmcp_host.py.
TOKEN = token(
    "a secret of the demonstration, 32 bytes", sub="7", email="ann@example.com", aud="tools", exp=4_000_000_000
)

APPS: dict[str, App] = {
    "marimo": App(
        ("marimo",),
        (
            *gets("/apps/one/", "/apps/one/api/status", "/apps/one/auth/login", "/nowhere", person=False),
            Step("POST", "/apps/one/auth/login", {"password": "let-me-in"}, FORM, person=False),
            *gets("/apps/one/", "/apps/one/api/version", "/apps/one/manifest.json", "/apps/one/nowhere", person=False),
        ),
    ),
    "gradio": App(
        ("gradio",),
        (
            *gets("/demo/config", "/demo/gradio_api/info"),
            *gets("/demo/theme.css", "/demo/nowhere", person=False),
            *(
                step
                for text in ("fine", "fail")
                for step in (
                    Step("POST", "/demo/gradio_api/queue/join", {"data": [text], "fn_index": 0, "session_hash": text}),
                    Step("GET", f"/demo/gradio_api/queue/data?session_hash={text}", fails=text == "fail"),
                )
            ),
            Step("POST", "/demo/gradio_api/call/shout", {"data": ["fine"]}),
            Step("POST", "/demo/gradio_api/call/nothing", {"data": ["fine"]}),
            *gets("/demo/gradio_api/file=/etc/hostname"),
        ),
        "ann@example.com",
        PERSON,
    ),
    "nicegui": App(
        ("nicegui",),
        (
            *gets("/threads/7", person=False),
            Step("POST", "/login/ann"),
            *gets("/threads/7", "/threads/8", "/threads/x", "/broken", "/nowhere"),
        ),
        "ann@example.com",
    ),
    "datasette": App(
        ("datasette",),
        (
            *gets("/", "/shop", "/-/auth-token?token=wrong", "/-/auth-token?token=let-me-in", person=False),
            *gets("/", "/shop", "/shop/people", "/shop/people/1", "/shop/people/9", "/shop/people.json", "/shop/none"),
            *gets("/-/actor.json", "/-/versions.json", "/shop?sql=select+broken"),
        ),
        "root",
    ),
    "mlflow": App(
        ("mlflow",),
        (
            *gets("/version", "/api/2.0/mlflow/experiments/get?experiment_id=0", "/ajax-api/3.0/mlflow/server-info"),
            Step("POST", "/api/2.0/mlflow/experiments/create", {"name": "one"}),
            Step("POST", "/api/2.0/mlflow/experiments/create", {"name": "one"}),
            Step("POST", "/api/2.0/mlflow/experiments/search", {"max_results": 5}),
            *gets("/api/2.0/mlflow/experiments/get?experiment_id=99", "/nowhere", "/v1/traces"),
        ),
        "ann@example.com",
        PERSON,
    ),
    "fastmcp": App(
        ("fastmcp",),
        (
            mcp("add", {"a": 1, "b": 2}),
            mcp("add", {"a": 3, "b": 4}),
            mcp("fail", {}, fails=True),
            Step("GET", "/nowhere"),
            Step("DELETE", "/mcp"),
        ),
        "ann@example.com",
        {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json, text/event-stream"},
    ),
    "prefect": App(
        ("prefect",),
        (
            *gets(
                "/api/hello", "/api/admin/version", "/api/flows/00000000-0000-0000-0000-000000000000", "/api/flows/x"
            ),
            Step("POST", "/api/flows/", {"name": "one"}),
            Step("POST", "/api/flows/filter", {}),
            Step("POST", "/api/flows/filter", {"limit": -1}),
            Step("POST", "/api/work_pools/", {"name": "pool", "type": "process"}),
            *gets("/api/work_pools/pool", "/api/work_pools/none", "/api/nowhere"),
        ),
        "ann@example.com",
        PERSON,
    ),
    "sqladmin": App(
        ("sqladmin", "greenlet", "itsdangerous", "fastapi", "python-multipart"),
        (
            *gets("/admin/", person=False),
            Step("POST", "/admin/login", {"username": "ann", "password": "pw"}, FORM, person=False),
            *gets("/admin/", "/admin/person/list", "/admin/person/create", "/admin/person/details/1"),
            Step("POST", "/admin/person/create", {"name": "Bo"}, FORM),
            *gets("/admin/person/details/1", "/admin/person/edit/1", "/admin/other/list"),
            Step("DELETE", "/admin/person/delete?pks=1"),
        ),
        "ann@example.com",
    ),
    "titiler": App(
        ("titiler.application",),
        (
            *gets("/", "/api.html", "/tileMatrixSets", "/tileMatrixSets/WebMercatorQuad", "/tileMatrixSets/none"),
            *gets(
                "/cog/info", "/cog/info?url=/none.tif", "/colorMaps", "/colorMaps/viridis", "/algorithms", "/nowhere"
            ),
            *gets("/cog/tiles/WebMercatorQuad/1/1/1?url=/none.tif"),
        ),
        "ann@example.com",
        PERSON,
    ),
    "chainlit": App(
        ("chainlit",),
        (
            *gets("/chat/user", person=False),
            Step("POST", "/chat/login", {"username": "ann", "password": "no"}, FORM, person=False),
            Step("POST", "/chat/login", {"username": "ann", "password": "pw"}, FORM, person=False),
            *gets("/chat/user", "/chat/project/settings", "/chat/project/translations", "/chat/project/thread/9"),
            *gets("/chat/favicon", "/chat/avatars/bot", "/chat/project/file/none"),
        ),
        "ann@example.com",
    ),
    "piccolo": App(
        ("piccolo_admin", "piccolo[sqlite]"),
        (
            *gets("/", "/api/user/", person=False),
            Step("POST", "/public/login/", {"username": "ann", "password": "no"}, person=False),
            Step("POST", "/public/login/", {"username": "ann", "password": "password-of-ann"}, person=False),
            *gets("/api/user/", "/api/tables/", "/api/tables/piccolo_user/", "/api/tables/piccolo_user/1/"),
            *gets("/api/tables/piccolo_user/99/", "/api/nowhere/"),
        ),
        "1",  # what its users are called in the scope: their row's id, of which the daemon's `alias` makes a person
    ),
    "django": App(
        ("django", "djangorestframework"),
        (
            *gets("/admin/", "/admin/login/", person=False),
            Step("POST", "/admin/login/", {"username": "ann", "password": "no"}, FORM, person=False),
            Step("POST", "/admin/login/", {"username": "ann", "password": "pw"}, FORM),
            *gets("/admin/", "/admin/auth/user/", "/admin/auth/user/1/change/", "/admin/auth/user/99/change/"),
            *gets("/admin/auth/", "/admin/auth/user/add/", "/admin/auth/none/"),
            Step("GET", "/nowhere", person=False),
            *gets("/admin/password_change/"),
        ),
        "ann@example.com",
    ),
}
