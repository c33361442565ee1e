"""The templates of real Starlette and FastAPI apps, in each way that they can lie in one another."""

import asyncio

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from tracker import UsageTrackingMiddleware
from tracker.routes import chosen_route, place_of


class Capture:
    """A middleware that reads the template after the app has run."""

    def __init__(self, app, seen):
        self.app, self.seen = app, seen

    async def __call__(self, scope, receive, send):
        root, path, root_path = scope.get("app") or self.app, scope["path"], scope.get("root_path") or ""
        try:
            await self.app(scope, receive, send)
        finally:
            self.seen.append((place_of(scope, root, path, root_path).template, chosen_route(scope)))


async def ask(app, path, method="GET", *, root_path="", kind="http", host="example.org", extra=None):
    """The status (None for a WebSocket) and the template of one request to an app with a Capture around or in it."""
    sent, asked = [], []

    async def receive():
        if asked:
            await asyncio.Event().wait()
        asked.append(True)
        return {"type": "http.request", "body": b""} if kind == "http" else {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = {
        "type": kind, "path": path, "raw_path": path.encode(), "root_path": root_path, "query_string": b"",
        "headers": [(b"host", host.encode())], "state": {}, "scheme": "http", "server": ("127.0.0.1", 80),
    } | ({"method": method} if kind == "http" else {"subprotocols": []}) | (extra or {})  # fmt: skip
    await app(scope, receive, send)
    return sent[0].get("status")


async def answer(request):
    return PlainTextResponse("ok")


async def talk(websocket, **_):
    await websocket.accept()
    await websocket.close()


async def bare(scope, receive, send):
    await PlainTextResponse("ok")(scope, receive, send)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret-name.txt").write_text("x")
    return tmp_path


def starlette_routes(folder):
    inner = [Route("/", answer), Route("/members/{id}", answer), Mount("/deep/{d}", routes=[Route("/z", answer)])]
    return [
        Route("/items/{id:int}", answer),
        Route("/twice", answer),
        WebSocketRoute("/talk/{room}", talk),
        Mount("/org/{org}", routes=inner),
        Mount("/static", StaticFiles(directory=folder)),
        Mount("/files/{owner}", StaticFiles(directory=folder)),
        Mount("/zipped", GZipMiddleware(StaticFiles(directory=folder))),
        Mount("/wrapped/{w}", GZipMiddleware(Router(routes=inner))),
        Mount("/between/{b}", routes=inner, middleware=[Middleware(GZipMiddleware)]),
        Mount("/bare/{x}", app=bare),
        Host("{tenant}.example.net", Router(routes=[Route("/hosted/{h}", answer), Mount("/hm/{a}", routes=inner)])),
        Mount("", routes=[Route("/last", answer)]),
    ]


STARLETTE = [
    ("/items/3", 200, "/items/{id}"),
    ("/items/x", 404, "(unmatched)"),
    ("/secret", 404, "(unmatched)"),
    ("/org/acme/", 200, "/org/{org}/"),
    ("/org/acme/members/7", 200, "/org/{org}/members/{id}"),
    ("/org/acme/members/%2e%2e", 200, "/org/{org}/members/{id}"),
    ("/org/acme/nothing", 404, "(unmatched)"),
    ("/org/acme/deep/9/z", 200, "/org/{org}/deep/{d}/z"),
    ("/org/org/deep/deep/z", 200, "/org/{org}/deep/{d}/z"),
    ("/org/acme/deep/9/secret", 404, "(unmatched)"),
    ("/static/secret-name.txt", 200, "/static/*"),
    ("/static/nothing", 404, "/static/*"),
    ("/files/ada/secret-name.txt", 200, "/files/{owner}/*"),
    ("/zipped/secret-name.txt", 200, "/zipped/*"),
    ("/wrapped/ada/members/7", 200, "/wrapped/{w}/members/{id}"),
    ("/wrapped/ada/secret", 404, "(unmatched)"),
    ("/between/ada/members/7", 200, "/between/{b}/members/{id}"),
    ("/bare/ada/secret", 200, "/bare/{x}/*"),
    ("/last", 200, "/last"),
]


@pytest.mark.parametrize(("path", "status", "template"), STARLETTE)
@pytest.mark.parametrize("root_path", ["", "/behind"])
@pytest.mark.parametrize("how", ["added", "around", "around other middleware"])
async def test_starlette(folder, path, status, template, root_path, how):
    seen = []
    app = Starlette(routes=starlette_routes(folder))
    if how == "added":
        app.add_middleware(Capture, seen=seen)
    else:
        app = Capture(CORSMiddleware(app, allow_origins=["*"]) if "other" in how else app, seen)
    assert await ask(app, root_path + path, root_path=root_path) == status
    assert seen[0][0] == template


async def test_a_router_for_hosts_of_their_own(folder):
    seen = []
    app = Capture(Starlette(routes=starlette_routes(folder)), seen)
    assert await ask(app, "/hosted/4", host="acme.example.net") == 200
    assert await ask(app, "/hm/4/members/8", host="acme.example.net") == 200
    assert [template for template, _ in seen] == ["/hosted/{h}", "/hm/{a}/members/{id}"]


async def test_a_method_that_the_route_does_not_have_keeps_the_template():
    seen = []
    routes = [Route("/items/{id:int}", answer), Mount("/org/{org}", routes=[Route("/m/{id}", answer)])]
    app = Capture(Starlette(routes=routes), seen)
    assert await ask(app, "/items/3", "POST") == 405
    assert await ask(app, "/org/acme/m/3", "DELETE") == 405
    assert [template for template, _ in seen] == ["/items/{id}", "/org/{org}/m/{id}"]


async def test_a_websocket_in_starlette(folder):
    seen = []
    await ask(Capture(Starlette(routes=starlette_routes(folder)), seen), "/talk/secret", kind="websocket")
    assert seen[0][0] == "/talk/{room}"


def fastapi_app(folder):
    """FastAPI with routers in routers, plain Starlette routes, and apps of both kinds mounted in it."""

    async def item(i: int):
        return i

    sub, within = FastAPI(), APIRouter(prefix="/within")
    sub.get("/x/{i}")(item)
    within.get("/y/{i}")(item)
    sub.include_router(within)
    sub.add_route("/plain/{p}", answer)

    outer, inner = APIRouter(prefix="/v1"), APIRouter(prefix="/sub/{s}")
    outer.get("/t/{i}")(item)
    outer.post("/t/{i}")(item)
    inner.get("/u/{i}")(item)
    inner.websocket("/ws/{k}")(talk_fastapi)
    outer.add_route("/plain/{p}", answer)
    outer.mount("/mnt/{m}", sub)
    outer.include_router(inner)

    app = FastAPI()
    app.get("/direct/{i}")(item)
    app.add_route("/one/{a}", answer)
    app.add_route("/two/{a}", answer)
    app.include_router(outer, prefix="/api")
    app.mount("/top/{t}", sub)
    plain = FastAPI(routes=[Route("/b/{z}", answer), Route("/c/{z}", answer)])
    app.mount("/star", Starlette(routes=[Route("/q/{z}", answer), Mount("/back", plain)]))
    app.mount("/assets/{v}", StaticFiles(directory=folder))
    return app


async def talk_fastapi(websocket):
    await websocket.accept()
    await websocket.close()


FASTAPI = [
    ("GET", "/direct/3", 200, "/direct/{i}"),
    ("GET", "/direct/secret", 422, "/direct/{i}"),
    ("PATCH", "/direct/3", 405, "/direct/{i}"),
    ("GET", "/one/secret", 200, "/one/{a}"),
    ("GET", "/two/secret", 200, "/two/{a}"),
    ("GET", "/api/v1/t/4", 200, "/api/v1/t/{i}"),
    ("POST", "/api/v1/t/4", 200, "/api/v1/t/{i}"),
    ("GET", "/api/v1/t/secret", 422, "/api/v1/t/{i}"),
    ("DELETE", "/api/v1/t/4", 405, "/api/v1/t/{i}"),
    ("GET", "/api/v1/sub/q/u/3", 200, "/api/v1/sub/{s}/u/{i}"),
    ("GET", "/api/plain/3", 200, "/api/plain/{p}"),
    ("GET", "/api/mnt/9/x/3", 200, "/api/mnt/{m}/x/{i}"),
    ("GET", "/api/mnt/9/within/y/3", 200, "/api/mnt/{m}/within/y/{i}"),
    ("GET", "/api/mnt/9/plain/3", 200, "/api/mnt/{m}/plain/{p}"),
    ("GET", "/api/mnt/9/secret", 404, "(unmatched)"),
    ("GET", "/api/v1/secret", 404, "(unmatched)"),
    ("GET", "/top/1/x/3", 200, "/top/{t}/x/{i}"),
    ("GET", "/top/1/x/secret", 422, "/top/{t}/x/{i}"),
    ("DELETE", "/top/1/x/3", 405, "/top/{t}/x/{i}"),
    ("GET", "/top/1/within/y/3", 200, "/top/{t}/within/y/{i}"),
    ("GET", "/star/q/1", 200, "/star/q/{z}"),
    ("GET", "/star/back/b/1", 200, "/star/back/b/{z}"),
    ("GET", "/star/back/c/1", 200, "/star/back/c/{z}"),
    ("GET", "/assets/2/secret-name.txt", 200, "/assets/{v}/*"),
    ("GET", "/secret", 404, "(unmatched)"),
]
RECENT = hasattr(FastAPI, "frontend")
if not RECENT:  # include_router leaves out what is mounted in the router
    FASTAPI = [line for line in FASTAPI if not line[1].startswith("/api/mnt/") or line[2] == 404]


@pytest.mark.parametrize("root_path", ["", "/behind"])
async def test_fastapi(folder, root_path):
    seen = []
    app = fastapi_app(folder)
    app.add_middleware(Capture, seen=seen)
    got = []
    for method, path, _, _ in FASTAPI:
        status = await ask(app, root_path + path, method, root_path=root_path)
        got.append((method, path, status, seen[-1][0]))
    assert got == FASTAPI


async def test_a_websocket_of_an_included_router(folder):
    seen = []
    await ask(Capture(fastapi_app(folder), seen), "/api/v1/sub/q/ws/5", kind="websocket")
    assert seen[0][0] == "/api/v1/sub/{s}/ws/{k}"


@pytest.mark.skipif(not RECENT, reason="this FastAPI serves no folders")
async def test_a_folder_that_fastapi_serves_tells_no_file_names(folder):
    seen = []
    app, router = FastAPI(), APIRouter(prefix="/g")
    router.frontend("/front", directory=folder)
    app.include_router(router)
    app.frontend("/ui", directory=folder)
    outer = Starlette(routes=[Mount("/in/{x}", app)])
    app.add_middleware(Capture, seen=seen)
    assert await ask(app, "/ui/secret-name.txt") == 200
    assert await ask(app, "/g/front/secret-name.txt") == 200
    assert await ask(app, "/nothing") == 404
    assert await ask(Capture(outer, outside := []), "/in/secret/ui/secret-name.txt") == 200
    assert [template for template, _ in seen[:3]] == ["/ui/*", "/g/front/*", "(unmatched)"]
    assert outside[0][0] == "/in/{x}/*"


async def test_an_app_that_is_tracked_within_another_tells_its_own_templates(folder):
    seen = []
    tracked = fastapi_app(folder)
    tracked.add_middleware(Capture, seen=seen)
    app = Starlette(routes=[Mount("/tenant/{id}/app", tracked)])
    assert await ask(app, "/tenant/secret/app/direct/3") == 200
    assert await ask(app, "/tenant/secret/app/top/7/x/3") == 200
    assert await ask(app, "/tenant/secret/app/one/4") == 200
    assert await ask(app, "/tenant/secret/app/nothing") == 404
    assert [template for template, _ in seen] == ["/direct/{i}", "/top/{t}/x/{i}", "/one/{a}", "(unmatched)"]


async def test_a_mount_that_cannot_be_seen_into_has_a_stand_in_for_its_prefix():
    sub = Starlette(routes=[Route("/x/{i}", answer)])

    async def opaque(scope, receive, send):
        await sub(scope, receive, send)

    seen = []

    async def whole(scope, receive, send):
        await Starlette(routes=[Mount("/org/{org}", app=opaque)])(scope, receive, send)

    assert await ask(Capture(Starlette(routes=[Mount("/org/{org}", app=opaque)]), seen), "/org/secret/x/3") == 200
    assert await ask(Capture(whole, seen), "/org/secret/x/3") == 200
    assert [template for template, _ in seen] == ["/org/{org}/x/{i}", "/(mounted)/x/{i}"]


async def test_an_app_without_a_router_tells_nothing():
    seen = []
    assert await ask(Capture(bare, seen), "/secret/1") == 200
    assert seen == [("(unmatched)", None)]


async def test_a_route_is_told_as_the_same_object_each_time(folder):
    seen = []
    app = fastapi_app(folder)
    app.add_middleware(Capture, seen=seen)
    for path in ("/api/v1/t/4", "/api/v1/t/5", "/top/1/x/3", "/top/2/x/3", "/nothing", "/assets/2/secret-name.txt"):
        await ask(app, path)
    routes = [route for _, route in seen]
    assert routes[0] is routes[1] is not None
    assert routes[2] is routes[3] is not None
    assert routes[4:] == [None, None]


class Kept:
    """Keeps what a recorder would be given."""

    def __init__(self):
        self.events = []

    def add(self, event):
        self.events.append(event)

    def add_lost(self):
        raise AssertionError("an event was lost")


async def test_each_request_is_recorded_by_its_own_template_however_often_others_came(folder):
    kept = Kept()
    app = fastapi_app(folder)
    app.add_middleware(UsageTrackingMiddleware, recorder=kept, skip_defaults=False)
    asked = [(method, path, template) for method, path, _, template in FASTAPI]
    for method, path, _ in asked + asked[::-1]:
        await ask(app, path, method)
    expected = [template for _, _, template in asked]
    assert [event.endpoint for event in kept.events] == expected + expected[::-1]
    assert not any("secret" in str(event) for event in kept.events)
