"""The routes that are read off real apps are those that the tracker records when they are asked."""

import asyncio
import re
from importlib.util import find_spec

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles

from guardian.application.check.app_routes import AppRoute, every_route
from tracker.routes import place_of


async def answer(request):
    return PlainTextResponse("ok")


async def talk(websocket):
    await websocket.accept()
    await websocket.close()


async def bare(scope, receive, send):
    await PlainTextResponse("ok")(scope, receive, send)


class Thing(HTTPEndpoint):
    """An endpoint that is a class, whose methods are the answered ones."""

    async def get(self, request):
        return PlainTextResponse("ok")

    async def delete(self, request):
        return PlainTextResponse("ok")


def starlette_app(folder):
    inner = [Route("/", answer), Route("/members/{id}", answer), Mount("/deep/{d}", routes=[Route("/z", answer)])]
    return Starlette(
        routes=[
            Route("/items/{id:int}", answer, methods=["GET", "POST"]),
            Route("/thing", Thing),
            WebSocketRoute("/talk/{room}", talk),
            Mount("/org/{org}", routes=inner),
            Mount("/static", StaticFiles(directory=folder)),
            Mount("/zipped", GZipMiddleware(StaticFiles(directory=folder))),
            Mount("/between/{b}", routes=[Route("/x", answer)], middleware=[Middleware(GZipMiddleware)]),
            Mount("/bare/{x}", app=bare),
            Mount("/empty", routes=[]),
            Host("{tenant}.example.net", Router(routes=[Route("/hosted/{h}", answer)])),
            Mount("", routes=[Route("/last", answer)]),
        ]
    )


STARLETTE = [
    AppRoute("/items/{id}", ("GET", "POST")),
    AppRoute("/thing", ("DELETE", "GET")),
    AppRoute("/talk/{room}", ("WEBSOCKET",)),
    AppRoute("/org/{org}/", ("GET",)),
    AppRoute("/org/{org}/members/{id}", ("GET",)),
    AppRoute("/org/{org}/deep/{d}/z", ("GET",)),
    AppRoute("/static/*", (), "StaticFiles"),
    AppRoute("/zipped/*", (), "StaticFiles"),
    AppRoute("/between/{b}/x", ("GET",)),
    AppRoute("/bare/{x}/*", (), "bare"),
    AppRoute("/hosted/{h}", ("GET",)),
    AppRoute("/last", ("GET",)),
]


def fastapi_app(folder):
    inner = APIRouter(prefix="/items")
    inner.add_api_route("/{item_id}", lambda item_id: item_id, methods=["GET"])
    inner.add_api_route("/{item_id}", lambda item_id: item_id, methods=["PUT"])
    inner.add_api_websocket_route("/live/{room}", talk)
    inner.mount("/files", StaticFiles(directory=folder))
    outer = APIRouter(prefix="/v1")
    outer.include_router(inner)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(outer, prefix="/api")
    sub = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    sub.include_router(inner, prefix="/in")
    app.mount("/sub/{tenant}", sub)
    app.add_api_route("/", lambda: 1)
    return app


FASTAPI = [
    AppRoute("/api/v1/items/{item_id}", ("GET",)),
    AppRoute("/api/v1/items/{item_id}", ("PUT",)),
    AppRoute("/api/v1/items/live/{room}", ("WEBSOCKET",)),
    AppRoute("/api/v1/files/*", (), "StaticFiles"),
    AppRoute("/sub/{tenant}/in/items/{item_id}", ("GET",)),
    AppRoute("/sub/{tenant}/in/items/{item_id}", ("PUT",)),
    AppRoute("/sub/{tenant}/in/items/live/{room}", ("WEBSOCKET",)),
    AppRoute("/sub/{tenant}/in/files/*", (), "StaticFiles"),
    AppRoute("/", ("GET",)),
]
APPS = [(starlette_app, STARLETTE), (fastapi_app, FASTAPI)]


@pytest.mark.parametrize(("make", "routes"), APPS)
@pytest.mark.parametrize("wrap", [lambda app: app, lambda app: CORSMiddleware(GZipMiddleware(app))])
def test_every_route_is_read_through_mounts_hosts_included_routers_and_middleware(tmp_path, make, routes, wrap):
    assert every_route(wrap(make(tmp_path))) == routes


@pytest.mark.parametrize(("make", "routes"), APPS)
async def test_a_route_that_is_read_is_the_one_that_the_tracker_records(tmp_path, make, routes):
    (tmp_path / "7").write_text("x")
    app = make(tmp_path)
    for route in routes:
        path = re.sub(r"{\w+}", "7", route.template.replace("*", "7"))
        assert await recorded(app, path, (route.methods or ("GET",))[0]) == route.template


async def recorded(app, path, method):
    asked = []

    async def receive():
        if asked:
            await asyncio.Event().wait()
        asked.append(True)
        return {"type": "websocket.connect"} if method == "WEBSOCKET" else {"type": "http.request", "body": b""}

    async def send(message):
        pass

    kind = "websocket" if method == "WEBSOCKET" else "http"
    host = b"acme.example.net" if path.startswith("/hosted") else b"example.org"
    scope = {"type": kind, "method": method, "path": path, "root_path": "", "query_string": b"", "scheme": "http",
             "headers": [(b"host", host)], "server": ("127.0.0.1", 80), "subprotocols": []}  # fmt: skip
    await app(scope, receive, send)
    return place_of(scope, app, path, "").template


def test_folders_that_fastapi_serves_are_routes(tmp_path):
    (tmp_path / "index.html").write_text("x")
    app, router = FastAPI(openapi_url=None), APIRouter(prefix="/p")
    if not hasattr(app, "frontend"):
        pytest.skip("this FastAPI serves no folders")
    app.frontend("/site", directory=tmp_path)
    router.frontend("/in", directory=tmp_path)
    app.include_router(router)
    assert {each.template for each in every_route(app)} == {"/site/*", "/p/in/*"}


def test_middleware_that_is_a_function_is_looked_through(tmp_path):
    def logged(app):
        async def wrapped(scope, receive, send):
            await app(scope, receive, send)

        return wrapped

    assert every_route(logged(CORSMiddleware(logged(starlette_app(tmp_path))))) == STARLETTE


def test_of_an_app_without_a_router_nothing_is_known():
    assert every_route(bare) == []
    assert every_route(Starlette()) == []
    assert every_route(None) == []


def test_an_app_that_is_mounted_in_itself_ends():
    app = Starlette(routes=[Route("/x", answer)])
    app.mount("/again", app)
    assert AppRoute("/x", ("GET",)) in every_route(app)


if find_spec("litestar"):  # beside the newest releases of other hosts, not in every environment

    def test_the_routes_of_litestar_are_read():
        import litestar

        @litestar.get("/items/{item:int}")
        async def item(item: int) -> int:
            return item

        @litestar.post("/items/{item:int}")
        async def change(item: int) -> int:
            return item

        @litestar.websocket("/ws/{room:str}")
        async def live(socket: litestar.WebSocket, room: str) -> None:
            await socket.accept()

        app = litestar.Litestar([litestar.Router("/api", route_handlers=[item, change]), live], openapi_config=None)
        assert every_route(app) == [
            AppRoute("/api/items/{item}", ("GET", "POST")),
            AppRoute("/ws/{room}", ("WEBSOCKET",)),
        ]
