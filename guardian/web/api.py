"""The ASGI app of the API, made from the table of endpoints."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - else the first stream would import it in the event loop, for 28 ms
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from guardian.application.root import Application
from guardian.core.off_loop import let_go, no_collection, off_loop
from guardian.core.storage import StorageError
from guardian.web import alerts, health, reports, usage
from guardian.web.admission import Admission
from guardian.web.doors.entry import Doors
from guardian.web.doors.kept import KeptPrefix
from guardian.web.doors.signing_in import sign_in_routes
from guardian.web.endpoint import (
    HEADERS,
    Call,
    Endpoint,
    LargeAnswer,
    Refusal,
    Streamed,
    answer,
    read_asked,
    read_body,
    refuse,
)
from guardian.web.links import action_routes, unsubscribe_routes
from guardian.web.metrics import metrics_endpoint
from guardian.web.openapi import Document, describe
from guardian.web.pages.routes import no_page, page_routes

log = logging.getLogger("guardian.web")


async def openapi(call: Call) -> Mapping[str, Any]:
    """This description of the API (OpenAPI 3.1)."""
    document = described() if described.cache_info().currsize else await off_loop(described)
    # Read-only, so it is not freed with the answer (see let_go).
    return MappingProxyType({**document, "servers": [{"url": call.root_path or "/"}]})


ENDPOINTS: tuple[Endpoint, ...] = (
    *usage.ENDPOINTS,
    *health.ENDPOINTS,
    *reports.ENDPOINTS,
    *alerts.ENDPOINTS,
    Endpoint(method="GET", path="/openapi.json", run=openapi, answer=Document, access="public", large=True),
)


@cache
def described() -> dict[str, Any]:
    """The description of all endpoints, built once: it takes 50 ms, and anybody may ask for it again and again."""
    return describe(ENDPOINTS)


def create_app(application: Application, endpoints: Sequence[Endpoint] = ENDPOINTS) -> Starlette:
    """The API and the pages over an open application, which the caller has to close. Can be mounted under any path.
    Raises ValueError with one sentence for a key that cannot verify tokens.
    """
    admission = Admission(application.settings)
    routes = [Route(each.path, _checked(each, application, admission), methods=[each.method]) for each in endpoints]
    access = application.settings.api.metrics
    if access != "off":
        read = metrics_endpoint(application, lambda request: admission.let_in(access, request))
        routes.append(Route("/metrics", read, methods=["GET"]))
    routes += [*action_routes(application, admission.limiter), *unsubscribe_routes(application, admission.limiter)]
    handlers = dict(_HANDLERS)
    if application.settings.dashboard.enabled:
        doors = Doors(application, admission.verifier, admission.limiter)
        routes += [*sign_in_routes(application, doors), *page_routes(application, doors)]
        handlers[HTTPException] = _unrouted_page(application, doors)
    kept = Middleware(KeptPrefix, public_url=application.settings.links_url, routes=routes)
    starlette = Starlette(routes=routes, middleware=[Middleware(DefaultHeaders), kept], exception_handlers=handlers)
    # A redirect would use the Host header, and /x/ is not the same as /x here.
    starlette.router.redirect_slashes = False
    return starlette


def _checked(
    endpoint: Endpoint, application: Application, admission: Admission
) -> Callable[[Request], Awaitable[Response]]:
    """Answers requests to the endpoint by whom it lets in."""

    async def respond(request: Request) -> Response:
        claims = await admission.let_in(endpoint.access, request)
        asked = read_asked(endpoint, request.path_params, request.query_params.multi_items())
        body = None if endpoint.method == "GET" else await read_body(request, endpoint.body)
        accept = request.headers.get("accept", "")
        call = Call(application, asked, body, claims, request.scope.get("root_path", ""), accept)
        try:
            return await (_answered_large if endpoint.large else _answered)(endpoint, call)
        except StorageError as error:
            log.error("%s %s cannot be answered: %s", endpoint.method, endpoint.path, error)
            public = endpoint.access == "public"
            raise Refusal(503, "the database does not answer: see Guardian's log" if public else str(error)) from None

    return respond


async def _answered(endpoint: Endpoint, call: Call) -> Response:
    content = await endpoint.run(call)
    return _streamed(content) if isinstance(content, Streamed) else answer(content, endpoint.status(content))


async def _answered_large(endpoint: Endpoint, call: Call) -> Response:
    """The same with the answer written off the loop, where its values are freed as well; see `no_collection`."""
    with no_collection():
        content = await endpoint.run(call)
        if isinstance(content, Streamed):
            return _streamed(content)
        held, status = [content], endpoint.status(content)
        del content
        return await off_loop(_large, held, status)


def _large(held: list[BaseModel | Mapping[str, Any]], status: int) -> Response:
    """The answer of what is in the list, which is empty afterwards."""
    made = LargeAnswer(held[0], status)
    let_go(held)
    return made


def _streamed(content: Streamed) -> Response:
    return StreamingResponse(content.pieces, 200, content.headers, content.media_type)


# Coroutines, since Starlette runs plain functions in threads.


async def _refused(request: Request, refusal: Refusal) -> Response:
    return refuse(refusal)


async def _cut_off(request: Request, error: ClientDisconnect) -> Response:
    return refuse(Refusal(400, "the body did not arrive whole: send it again"))


async def _failed(request: Request, error: Exception) -> Response:
    return refuse(Refusal(500, "Guardian failed at this: its log says why"))


async def _unrouted(request: Request, error: HTTPException) -> Response:
    sentence = {
        404: "there is nothing at this path: /openapi.json lists what there is",
        405: "this path does not take this method: the Allow header names those that it does",
    }.get(error.status_code, HTTPStatus(error.status_code).phrase)
    return refuse(Refusal(error.status_code, sentence, error.headers))


def _unrouted_page(application: Application, doors: Doors) -> Callable[[Request, HTTPException], Awaitable[Response]]:
    """The same, with a page for whoever reads pages."""

    async def unrouted(request: Request, error: HTTPException) -> Response:
        shown = no_page(application, doors, request, error.status_code)
        if shown is None:
            return await _unrouted(request, error)
        shown.headers.update(error.headers or {})
        return shown

    return unrouted


# Any: by Starlette's type each handler takes every exception, but it is called only for its own kind.
_HANDLERS: dict[Any, Any] = {
    Refusal: _refused,
    HTTPException: _unrouted,
    ClientDisconnect: _cut_off,
    Exception: _failed,
}


class DefaultHeaders:
    """Adds HEADERS to answers that do not set them (pure ASGI)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)
