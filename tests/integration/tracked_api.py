"""The app of FastAPI that uvicorn serves in tests, with all that may happen. It is a module of its own, so that the
others need not wait for FastAPI."""

import asyncio

from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse

from tests.integration.tracked_app import SETTINGS, mounted
from tracker import UsageTrackingMiddleware, note_error

api = FastAPI()


@api.get("/api/threads/{thread_id}")
async def thread(thread_id: int):
    return {"id": thread_id}


@api.post("/api/upload")
async def upload(request: Request):
    raise HTTPException(413, "File too large")


@api.post("/api/parse")
async def parse(request: Request):
    raise HTTPException(400, f"cannot parse {(await request.body()).decode()}")


@api.get("/api/quota")
async def quota(request: Request):
    note_error(request, "the quota of the day is used up")
    raise HTTPException(429)


@api.get("/api/boom/{secret}")
async def boom(secret: str):
    raise LookupError(secret)


@api.get("/api/stream/{how}")
async def stream(how: str):
    async def words():
        yield "data: one\n\n"
        await asyncio.sleep(0)
        if how == "breaks":
            raise ConnectionAbortedError("the model went away")
        while how == "lasts":
            yield "data: again\n\n"
            await asyncio.sleep(0.01)
        yield "data: two\n\n"

    return StreamingResponse(words(), media_type="text/event-stream")


@api.websocket("/api/live/{room}")
async def live(websocket: WebSocket, room: str):
    if room == "closed":
        await websocket.close(1008)
        return
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "break":
            raise LookupError(room)
        if text == "bye":
            await websocket.close()
            return
        await websocket.send_text(text)


api.mount("/org/{org_id}", mounted)
api.add_middleware(UsageTrackingMiddleware, features={"POST /api/upload": "document_upload"}, **SETTINGS)
