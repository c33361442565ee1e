"""The example app that the demo tracks: a chat service with threads and documents.

Its set-up for Guardian is the one line with `UsageTrackingMiddleware`. DEMO_DATABASE, DEMO_KEY, DEMO_RELEASE (which
release of the app this is), DEMO_BUG (set: the release has a bug) and DEMO_BROKEN (a file: while it exists, the chat's
model is down) come from the environment.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, File, HTTPException, UploadFile
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from tracker import UsageTrackingMiddleware

MAX_UPLOAD = 20_000
router = APIRouter(prefix="/api")


class Message(BaseModel):
    """What somebody says in a thread."""

    text: str = Field(min_length=1, max_length=2_000)


class Thread(BaseModel):
    """A new thread."""

    title: str = Field(min_length=1, max_length=100)


class ModelUnavailable(Exception):
    """The chat's language model does not answer."""


STYLE = {"tone": "friendly"}


def prompt(text: str, *, bug: bool) -> str:
    """The prompt for the model. A release with the bug looks for a setting whose name is wrong."""
    return f"{STYLE['voice' if bug else 'tone']}: {text}"


def ask_model(text: str) -> str:
    """The model's answer; fails while the file DEMO_BROKEN exists."""
    asked = prompt(text, bug="DEMO_BUG" in os.environ)
    if Path(os.environ["DEMO_BROKEN"]).exists():
        raise ModelUnavailable(f"no answer to {text!r}")  # the text stays out of Guardian's database
    return asked[::-1]


@router.post("/chat/message")
async def chat_message(message: Message) -> dict[str, str]:
    """Ask the model something."""
    return {"answer": ask_model(message.text)}


@router.get("/chat/stream/{thread_id}")
async def chat_stream(thread_id: int) -> StreamingResponse:
    """The model's answer, word by word (server-sent events); breaks off for thread 13."""

    async def words() -> AsyncIterator[bytes]:
        for number in range(3):
            if thread_id == 13 and number == 2:
                raise ModelUnavailable("the stream broke")
            yield f"data: {number}\n\n".encode()

    return StreamingResponse(words(), media_type="text/event-stream")


@router.get("/threads")
async def threads() -> list[int]:
    """The threads there are."""
    return [1, 2, 3]


@router.post("/threads", status_code=201)
async def create_thread(thread: Thread) -> dict[str, str]:
    """Begin a thread."""
    return {"title": thread.title}


@router.get("/threads/{thread_id}")
async def thread(thread_id: int) -> dict[str, int]:
    """One thread."""
    if thread_id > 900:
        raise HTTPException(404, "No such thread")
    return {"id": thread_id}


@router.post("/documents", status_code=201)
async def upload(file: Annotated[UploadFile, File()]) -> dict[str, int]:
    """Store a document."""
    content = await file.read(MAX_UPLOAD + 1)
    if len(content) > MAX_UPLOAD:
        raise HTTPException(413, "File too large")
    return {"bytes": len(content)}


@router.get("/documents/{document_id}")
async def document(document_id: int) -> dict[str, int]:
    """One document."""
    return {"id": document_id}


@router.get("/search")
async def search(q: str) -> list[int]:
    """Find threads."""
    return [len(q)]


def create() -> FastAPI:
    """The app, for uvicorn's --factory."""
    app = FastAPI(title="Demo chat")
    app.include_router(router)
    app.add_middleware(
        UsageTrackingMiddleware,
        database=os.environ["DEMO_DATABASE"],
        jwt_key=os.environ["DEMO_KEY"],
        release=os.environ["DEMO_RELEASE"],
        features={"POST /api/threads": "thread_create", "POST /api/documents": "document_upload"},
        flush_interval=0.2,
    )
    return app
