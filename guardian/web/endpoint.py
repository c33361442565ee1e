"""What an endpoint declares, and how one request of it is answered."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from guardian.application.root import Application
from guardian.core.language import Language
from guardian.core.off_loop import json_pieces, json_text

BODY_LIMIT = 65_536
"""The most bytes that a request's body may have."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Default headers of every answer: no caching, framing, content sniffing or referrer."""


class Refusal(Exception):
    """A request that is not done: the status and the one sentence of the answer, in English.

    `values` fill in the sentence. A page says it in the language of its reader: see `said`.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None, **values: Any) -> None:
        self.status, self.headers, self._text, self._values = status, headers, sentence, values
        self.sentence = sentence % values if values else sentence
        super().__init__(self.sentence)

    def said(self, lang: Language) -> str:
        """The sentence in this language, where it has been translated or is written in it already."""
        return lang(self._text, **self._values) if self._text else ""


class Asked(BaseModel):
    """The parameters of an endpoint: a field is a part of the path where the path names it, else of the query.

    A field's `description` completes the sentence "hours is 0: give …".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


class Error(BaseModel):
    """Why a request was not done."""

    error: str


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer that is sent piece by piece while it is read, so it may be larger than memory."""

    pieces: AsyncIterator[str]
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One request after its checks: `asked` and `body` are the endpoint's models, `claims` the admin's token's.

    `accept` is the header in which the client says what it takes.
    """

    app: Application
    asked: Any
    body: Any
    claims: Mapping[str, Any]
    root_path: str = ""
    accept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One row of the table. `path` is a Starlette template; `run` gives the answer, and its docstring is the text of
    the documentation. A `large` answer, which grows with what is stored, is written off the event loop and then freed,
    so what is kept is given as a mapping that cannot be changed.
    `refusals` are the statuses of its own, beside those that follow from access and validation. `status` says with
    which an answer goes out (200 if not given), `answers` which form it has where that is another, and what it means;
    `other_kinds` are media types that it has beside JSON.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    run: Callable[[Call], Awaitable[BaseModel | Mapping[str, Any] | Streamed]]
    answer: type[BaseModel]
    access: Literal["public", "admin", "scheduler"] = "admin"
    asked: type[Asked] = Asked
    body: type[Asked] | None = None
    large: bool = False
    refusals: Mapping[int, str] = field(default_factory=dict)
    status: Callable[[Any], int] = lambda content: 200
    answers: Mapping[int, tuple[type[BaseModel], str]] = field(default_factory=dict)
    other_kinds: Sequence[str] = ()


def answer(
    content: BaseModel | Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """JSON in ASCII: a lone surrogate in a name is escaped, where UTF-8 would fail."""
    text = json_text(_values(content), **_FORM)
    return Response(text, status, {**HEADERS, **(headers or {})}, media_type="application/json")


class LargeAnswer(Response):
    """The JSON of `answer`, sent piece by piece, since the event loop would copy a single body of 40 MB. Make it off
    the loop. Each piece is freed when it is sent, so it can be sent only once.
    """

    media_type = "application/json"

    def __init__(self, content: BaseModel | Mapping[str, Any], status: int = 200) -> None:
        self._pieces = deque(piece.encode() for piece in json_pieces(_values(content), **_FORM))
        size = sum(map(len, self._pieces))
        super().__init__(None, status, {**HEADERS, "Content-Length": str(size)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while self._pieces:
            await send({"type": "http.response.body", "body": self._pieces.popleft(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


_FORM: dict[str, Any] = {"allow_nan": False, "separators": (",", ":")}


def _values(content: BaseModel | Mapping[str, Any]) -> Any:
    return content.model_dump(mode="json") if isinstance(content, BaseModel) else content


def refuse(refusal: Refusal) -> Response:
    """The answer of a refusal: `{"error": sentence}`."""
    return answer({"error": refusal.sentence}, refusal.status, refusal.headers)


def read_asked(endpoint: Endpoint, path: Mapping[str, Any], query: Sequence[tuple[str, str]]) -> Asked:
    """The parameters of a request. Raises Refusal (422) that names the first bad one, its value and the cure."""
    given: dict[str, Any] = {}
    for name, value in query:
        if name in given:
            raise Refusal(422, f"{_quote(name)} is given twice: keep one of them")
        given[name] = value
    for name, value in path.items():
        if name in given:
            raise Refusal(422, f"{_quote(name)} belongs in the path, not in the query: leave it out")
        given[name] = value
    return _checked(endpoint.asked, lambda model: model.model_validate(given))


async def read_body(request: Request, model: type[Asked] | None) -> Asked | None:
    """The JSON body, None where the endpoint takes none. An empty one means the defaults.

    Raises Refusal: 413 for more than BODY_LIMIT bytes, 422 for what does not fit the model.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:12]) > BODY_LIMIT:
        raise _too_large()
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_LIMIT:
            raise _too_large()
        chunks.append(chunk)
    if model is None:
        return None
    return _checked(model, lambda model: model.model_validate_json(b"".join(chunks).strip() or b"{}"))


def _too_large() -> Refusal:
    # The rest of the body stays unread, so the connection cannot be reused.
    return Refusal(413, f"the body is larger than {BODY_LIMIT} bytes: send less", {"Connection": "close"})


def _checked(model: type[Asked], validate: Callable[[type[Asked]], Asked]) -> Asked:
    try:
        return validate(model)
    except ValidationError as error:
        raise Refusal(422, _sentence(model, error.errors(include_url=False)[0])) from None


def _sentence(model: type[Asked], error: Mapping[str, Any]) -> str:
    known = ", ".join(model.model_fields) or "none"
    if not error["loc"]:
        return f"the body is not a JSON object: send one with the keys {known}"
    name = str(error["loc"][0])
    found = model.model_fields.get(name)
    if found is None:
        return f"{_quote(name)} is not a parameter here: it takes {known}"
    if error["type"] == "missing":
        return f"{name} is missing: give {found.description}"
    return f"{name} is {_quote(error['input'])}: give {found.description}"


def _quote(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:79] + "…"
