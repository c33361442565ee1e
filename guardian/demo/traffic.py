"""What the people of the demo do: real HTTP requests over loopback, and a week of history before them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from time import time

import httpx2
import jwt

from tracker.event import ANONYMOUS, Event, Failure

NAMES = (
    *(
        "ada",
        "alan",
        "alice",
        "amir",
        "anna",
        "ben",
        "carla",
        "chen",
        "clara",
        "david",
        "dora",
        "elena",
        "emma",
        "erik",
    ),
    *("eva", "felix", "finn", "grace", "hana", "hugo", "ida", "ines", "ivan", "jana", "jonas", "julia", "kai", "lara"),
    *("leo", "lena", "maria", "marco", "mia", "nina", "noah", "olga", "oscar", "paula", "rosa", "sami"),
)
USERS = tuple(f"{name}@example.com" for name in NAMES)
UNLUCKY = "rosa@example.com"
"""This one sends files that are too large, again and again."""


def token(email: str, key: str) -> str:
    """A bearer token of the example app."""
    return jwt.encode({"email": email, "sub": email, "exp": int(time()) + 3600}, key, algorithm="HS256")


@dataclass(slots=True)
class Visitor:
    """One user's browser, so to say."""

    client: httpx2.AsyncClient
    headers: dict[str, str]
    random: random.Random

    async def post(self, path: str, **more: object) -> int:
        """Send a POST; the status."""
        return (await self.client.post(path, headers=self.headers, **more)).status_code  # type: ignore[arg-type]

    async def get(self, path: str) -> int:
        """Send a GET and read the whole answer; the status, or 0 for an answer that broke off."""
        try:
            return (await self.client.get(path, headers=self.headers)).status_code
        except httpx2.TransportError:
            return 0

    async def do_something(self) -> int:
        """One thing that people of a chat service do; the status."""
        chance = self.random.random()
        if chance < 0.45:
            return await self.post("/api/chat/message", json={"text": "Hello there"})
        if chance < 0.60:
            return await self.get(f"/api/threads/{self.random.randrange(1, 940)}")
        if chance < 0.70:
            return await self.get("/api/threads")
        if chance < 0.78:
            title = "x" * self.random.choice((10, 10, 10, 150))  # too long a title is a 422
            return await self.post("/api/threads", json={"title": title})
        if chance < 0.86:
            return await self.get(f"/api/documents/{self.random.randrange(1, 500)}")
        if chance < 0.92:
            return await self.get("/api/search?q=budget")
        if chance < 0.97:
            return await self.get(f"/api/chat/stream/{self.random.randrange(1, 40)}")
        return await self.upload(2_000)

    async def upload(self, size: int) -> int:
        """Send a document of so many bytes; the status."""
        return await self.post("/api/documents", files={"file": ("notes.txt", b"x" * size)})


async def visit(
    url: str, key: str, broken: Path, *, requests: int, seed: int = 1, progress: Callable[[], None] = lambda: None
) -> int:
    """Send about `requests` requests of all users, with failures among them; how many were answered.

    In the last third the chat's model is down (the file `broken` exists meanwhile), Rosa sends files that are too
    large, and somebody who is not signed in tries addresses.
    """
    chance = random.Random(seed)
    limits = httpx2.Limits(max_connections=16)
    async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        visitors = {email: Visitor(client, {"Authorization": f"Bearer {token(email, key)}"}, chance) for email in USERS}
        stranger = Visitor(client, {"X-User-Email": "root@example.com"}, chance)
        gate = asyncio.Semaphore(12)
        done = 0

        async def one(visitor: Visitor) -> None:
            nonlocal done
            async with gate:
                await visitor.do_something()
                done += 1
                progress()

        async def crowd(number: int, who: Sequence[str] = USERS) -> None:
            await asyncio.gather(*(one(visitors[chance.choice(who)]) for _ in range(number)))

        await crowd(requests * 2 // 3)
        for _ in range(7):
            await visitors[UNLUCKY].upload(25_000)
        for path in ("/wp-login.php", "/.env", "/api/threads/../secret", "/phpmyadmin"):
            await stranger.get(path)
        await visitors["leo@example.com"].get("/api/chat/stream/13")
        broken.touch()
        try:
            await crowd(requests // 6)
        finally:
            broken.unlink(missing_ok=True)
        await crowd(requests // 6)
    return done


def history(now: datetime, days: int = 8, seed: int = 2) -> list[Event]:
    """Events of the days before `now`, invented: so that the first report has something to compare with.

    Busy at noon, quiet at night, in the order of time; the last hour is left to the real traffic.
    """
    chance = random.Random(seed)
    features = (
        ("chat_message", "/api/chat/message", "POST", 0.02),
        ("threads", "/api/threads/{thread_id}", "GET", 0.01),
        ("thread_create", "/api/threads", "POST", 0.03),
        ("documents", "/api/documents/{document_id}", "GET", 0.01),
        ("document_upload", "/api/documents", "POST", 0.05),
        ("search", "/api/search", "GET", 0.0),
    )
    events = []
    start = now - timedelta(days=days)
    for minute in range(days * 1440 - 60):
        at = start + timedelta(minutes=minute)
        busy = max(0.05, 1 - abs(at.hour + at.minute / 60 - 13) / 9)
        for _ in range(chance.choices((0, 1, 2, 3), weights=(4 - 3 * busy, busy, busy, busy / 2))[0]):
            feature, endpoint, method, bad = chance.choices(features, weights=(9, 4, 1, 2, 1, 1))[0]
            user = ANONYMOUS if chance.random() < 0.02 else chance.choice(USERS)
            status, failure = 200, None
            if chance.random() < bad:
                status = 413 if feature == "document_upload" else 422 if method == "POST" else 404
                text = {413: "File too large", 422: "Unprocessable Content", 404: "Not Found"}[status]
                failure = Failure(f"HTTP {status}", text)
            at_us = int(at.timestamp()) * 1_000_000 + chance.randrange(60_000_000)
            duration = int(chance.lognormvariate(10.2, 0.6))
            events.append(Event(at_us, user, endpoint, method, feature, status, duration, failure))
    return sorted(events, key=lambda event: event.at_us)
