"""What the people of the demo do: real HTTP requests over loopback, and a week of history before them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import time
from typing import Any

import httpx2
import jwt

from tracker.error_text import reason_phrase
from tracker.event import ANONYMOUS, Event, Failure

_NAMES = (
    "ada alan alice amir anna ben carla chen clara david dora elena emma erik eva felix finn grace hana hugo "
    "ida ines ivan jana jonas julia kai lara leo lena maria marco mia nina noah olga oscar paula rosa sami"
)
USERS = tuple(f"{name}@example.com" for name in _NAMES.split())
FEATURES = (
    ("chat_message", "/api/chat/message", "POST", 0.02),
    ("threads", "/api/threads/{thread_id}", "GET", 0.01),
    ("thread_create", "/api/threads", "POST", 0.03),
    ("documents", "/api/documents/{document_id}", "GET", 0.01),
    ("document_upload", "/api/documents", "POST", 0.05),
    ("search", "/api/search", "GET", 0.0),
)
"""What invented requests are for: feature, endpoint, method, and the share that fails."""
UNLUCKY = "rosa@example.com"
"""This one sends files that are too large, again and again."""


def token(email: str, key: str) -> str:
    """A bearer token of the example app."""
    return jwt.encode({"email": email, "sub": email, "exp": int(time()) + 3600}, key, algorithm="HS256")


@dataclass(frozen=True, slots=True)
class Visitor:
    """One user's browser, so to say. Each method gives the status back, or 0 for an answer that broke off."""

    client: httpx2.AsyncClient
    headers: dict[str, str]
    random: random.Random

    async def send(self, method: str, path: str, **more: Any) -> int:
        """Send a request and read the whole answer."""
        try:
            return (await self.client.request(method, path, headers=self.headers, **more)).status_code
        except httpx2.TransportError:
            # A stream that broke; or uvicorn, which closes the connection of a request that ended in an exception
            # just when the next one is on its way.
            return 0

    async def upload(self, size: int) -> int:
        """Send a document of so many bytes."""
        return await self.send("POST", "/api/documents", files={"file": ("notes.txt", b"x" * size)})

    async def do_something(self) -> int:
        """One thing that people of a chat service do."""
        chance = self.random.random()
        if chance < 0.45:
            return await self.send("POST", "/api/chat/message", json={"text": "Hello there"})
        if chance < 0.60:
            return await self.send("GET", f"/api/threads/{self.random.randrange(1, 940)}")
        if chance < 0.70:
            return await self.send("GET", "/api/threads")
        if chance < 0.78:
            title = "x" * self.random.choice((10, 10, 10, 150))  # too long a title is a 422
            return await self.send("POST", "/api/threads", json={"title": title})
        if chance < 0.86:
            return await self.send("GET", f"/api/documents/{self.random.randrange(1, 500)}")
        if chance < 0.92:
            return await self.send("GET", "/api/search?q=budget")
        if chance < 0.97:
            return await self.send("GET", f"/api/chat/stream/{self.random.randrange(14, 40)}")
        return await self.upload(2_000)


class Crowd:
    """All users of the example app at `url`, and somebody who is not signed in. `answered` counts what was answered."""

    def __init__(self, client: httpx2.AsyncClient, key: str, seed: int) -> None:
        self._client = client
        self.random = random.Random(seed)
        self.answered = 0
        self.visitors = {
            email: Visitor(client, {"Authorization": f"Bearer {token(email, key)}"}, self.random) for email in USERS
        }
        self.stranger = Visitor(client, {"X-User-Email": "root@example.com"}, self.random)

    def turn_to(self, url: str) -> None:
        """From now on all use the app at `url`, as when a release takes the place of another."""
        self._client.base_url = httpx2.URL(url)

    async def come(self, requests: int, progress: Callable[[], None] = lambda: None) -> None:
        """Send so many requests of anybody, 12 at a time."""
        gate = asyncio.Semaphore(12)

        async def one(visitor: Visitor) -> None:
            async with gate:
                self.count(await visitor.do_something())
                progress()

        await asyncio.gather(*(one(self.visitors[self.random.choice(USERS)]) for _ in range(requests)))

    async def have_bad_luck(self) -> None:
        """Rosa sends files that are too large, a stream of Leo's breaks off, and the stranger tries addresses."""
        for _ in range(9):
            self.count(await self.visitors[UNLUCKY].upload(25_000))
        self.count(await self.visitors["leo@example.com"].send("GET", "/api/chat/stream/13"))
        for path in ("/wp-login.php", "/.env", "/api/threads/../secret", "/phpmyadmin"):
            self.count(await self.stranger.send("GET", path))

    def count(self, status: int) -> None:
        """Count an answer that came whole."""
        self.answered += status > 0


@asynccontextmanager
async def crowd(url: str, key: str, seed: int = 1) -> AsyncIterator[Crowd]:
    """The users, who share 16 connections; they do the same again for the same seed."""
    limits = httpx2.Limits(max_connections=16)
    async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        yield Crowd(client, key, seed)


def history(now: datetime, days: int = 8, seed: int = 2) -> list[Event]:
    """Events of the days before `now`, invented: so that the first report has something to compare with.

    Busy at noon, quiet at night, in the order of time; the last hour is left to the real traffic.
    """
    chance = random.Random(seed)
    events = []
    start = now - timedelta(days=days)
    for minute in range(days * 1440 - 60):
        at = start + timedelta(minutes=minute)
        busy = max(0.05, 1 - abs(at.hour + at.minute / 60 - 13) / 9)
        for _ in range(chance.choices((0, 1, 3, 8), weights=(4 - 3 * busy, busy, busy, busy / 2))[0]):
            events.append(invented(chance, at))
    return sorted(events, key=lambda event: event.at_us)


def invented(chance: random.Random, at: datetime) -> Event:
    """A request of anybody in the minute that begins at `at`."""
    feature, endpoint, method, bad = chance.choices(FEATURES, weights=(9, 4, 1, 2, 1, 1))[0]
    user = ANONYMOUS if chance.random() < 0.02 else chance.choice(USERS)
    status, failure = 200, None
    if chance.random() < bad:
        status = 413 if feature == "document_upload" else 422 if method == "POST" else 404
        text = "File too large" if status == 413 else reason_phrase(status)
        failure = Failure(f"HTTP {status}", text)
    at_us = int(at.timestamp()) * 1_000_000 + chance.randrange(60_000_000)
    return Event(at_us, user, endpoint, method, feature, status, int(chance.lognormvariate(10.2, 0.6)), failure)
