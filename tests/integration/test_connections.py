"""Connections to the API as the daemon serves it, on uvicorn and real sockets: half-sent, too many, kept."""

import asyncio
import errno
import logging
import socket
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import guardian.web.connections
from guardian.web.connections import Scarcity, configuration, listen, room
from guardian.web.daemon import Server

WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def read_all(request: Request):
    return PlainTextResponse(str(len(await request.body())))


@asynccontextmanager
async def serving(handler=read_all):
    listener = listen("127.0.0.1", 0)
    app = Starlette(routes=[Route("/", handler, methods=["GET", "POST"])])
    server = Server(configuration(app))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1], server
    finally:
        server.should_exit = True
        await task


async def connect(port, sent=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    return reader, writer


async def end(reader):
    """What still comes, until the server closes."""
    async with asyncio.timeout(60):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


HALF_SENT = {
    "nothing": b"",
    "a part of the request line": b"GET / HT",
    "a head without its end": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n",
    "a head without its body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
    "a part of the body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1234",
    "a chunk without its end": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
}


@pytest.mark.parametrize("sent", HALF_SENT.values(), ids=HALF_SENT)
async def test_a_request_that_never_arrives_whole_is_given_up(monkeypatch, sent):
    monkeypatch.setattr(guardian.web.connections, "ARRIVE_SECONDS", 0.05)
    async with serving() as (port, server):
        reader, writer = await connect(port, sent)
        await end(reader)
        writer.close()
        while server.server_state.connections:
            await asyncio.sleep(0.01)


async def test_a_second_request_on_a_kept_connection_must_arrive_whole_too(monkeypatch):
    monkeypatch.setattr(guardian.web.connections, "ARRIVE_SECONDS", 60)
    async with serving() as (port, _):
        reader, writer = await connect(port, WHOLE)
        await reader.readuntil(b"\r\n\r\n0")
        monkeypatch.setattr(guardian.web.connections, "ARRIVE_SECONDS", 0.05)
        writer.write(b"GET / HT")
        assert b"200" not in await end(reader)
        writer.close()


async def test_a_request_that_trickles_in_is_given_up_too(monkeypatch):
    monkeypatch.setattr(guardian.web.connections, "ARRIVE_SECONDS", 0.2)
    async with serving() as (port, _):
        reader, writer = await connect(port)
        gone = asyncio.create_task(end(reader))
        while not gone.done():
            writer.write(b"G")
            await asyncio.sleep(0.01)
        assert b"200" not in await gone
        writer.close()


async def test_an_answer_may_take_longer_than_its_request():
    waits = []

    async def slow(request):
        [connection] = server.server_state.connections
        waits.append(connection.waits_since)
        return PlainTextResponse("late")

    async with serving(slow) as (port, server):
        reader, writer = await connect(port)
        while not server.server_state.connections:
            await asyncio.sleep(0.01)
        waits += [connection.waits_since is None for connection in server.server_state.connections]
        writer.write(WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await end(reader)).endswith(b"late")
        assert waits == [False, None], "it is given up while it arrives, and not while it is answered"
        writer.close()


async def test_half_sent_requests_do_not_keep_a_whole_one_out(monkeypatch):
    monkeypatch.setattr(guardian.web.connections, "MOST", 5)
    async with serving() as (port, server):
        waiting = [await connect(port, b"GET / HT") for _ in range(20)]
        reader, writer = await connect(port, WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await end(reader)).startswith(b"HTTP/1.1 200")
        assert len(server.server_state.connections) <= 5
        for _, each in [*waiting, (reader, writer)]:
            each.close()


async def test_requests_that_are_being_answered_are_not_cut_for_new_ones(monkeypatch):
    monkeypatch.setattr(guardian.web.connections, "MOST", 2)
    begun, go = [], asyncio.Event()

    async def held(request):
        begun.append(True)
        await go.wait()
        return PlainTextResponse("done")

    last = WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with serving(held) as (port, _):
        busy = [await connect(port, last) for _ in range(2)]
        while len(begun) < 2:
            await asyncio.sleep(0.01)
        reader, more = await connect(port, last)
        assert await end(reader) == b""
        go.set()
        for answer, writer in busy:
            assert (await end(answer)).endswith(b"done")
            writer.close()
        more.close()


async def test_answers_on_a_kept_connection_are_sent_at_once():
    async with serving() as (port, server):
        reader, writer = await connect(port, WHOLE)
        await reader.readuntil(b"\r\n\r\n")
        [connection] = server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        writer.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_listening_socket_knows_that_it_speaks_tcp(host):
    try:
        made = listen(host, 0)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with made:
        assert made.proto == socket.IPPROTO_TCP
        assert made.getsockname()[0] == host


@given(st.integers(16, 2**20))
def test_a_third_of_the_descriptors_is_left_for_the_rest(limit):
    most, at_once = room(limit)
    assert most >= 1
    assert at_once >= 1
    assert most + 2 * at_once <= limit * 2 / 3


def scarce(number=errno.EMFILE):
    return {"message": "socket.accept() out of system resource", "exception": OSError(number, "Too many open files")}


async def test_a_want_of_descriptors_is_said_once_a_minute(monkeypatch, caplog):
    now, handler, loop = [0.0], Scarcity(), asyncio.get_running_loop()
    monkeypatch.setattr(guardian.web.connections.time, "monotonic", lambda: now[0])
    for _ in range(1000):
        handler(loop, scarce())
        now[0] += 0.1
    assert len(caplog.records) == 2
    assert "No connection can be accepted (Too many open files" in caplog.text


async def test_what_else_goes_wrong_in_the_loop_is_said_as_ever(caplog):
    handler, loop = Scarcity(), asyncio.get_running_loop()
    with caplog.at_level(logging.ERROR):
        handler(loop, {"message": "Task exception was never retrieved", "exception": ValueError("x")})
        handler(loop, {"message": "Task exception was never retrieved", "exception": OSError(errno.EMFILE, "x")})
    assert len(caplog.records) == 2


async def large(request: Request):
    return PlainTextResponse(b"x" * 30_000_000)


async def test_a_client_that_does_not_read_its_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(guardian.web.connections, "READ_SECONDS", 0.1)
    async with serving(large) as (port, server):
        unread = socket.create_connection(("127.0.0.1", port))
        unread.sendall(WHOLE)
        async with asyncio.timeout(60):
            while not server.server_state.total_requests or server.server_state.connections:
                await asyncio.sleep(0.01)
        unread.close()


async def test_a_client_that_reads_slowly_gets_all_of_its_answer(monkeypatch):
    monkeypatch.setattr(guardian.web.connections, "READ_SECONDS", 3600)
    async with serving(large) as (port, server):
        reader, writer = await connect(port, WHOLE)
        got, left, looks = 0, 30_000_000, 0
        async with asyncio.timeout(60):
            while got < 30_000_000:
                piece = await reader.read(1_000_000)
                assert piece, "it was cut off"
                got += len(piece)
                for connection in server.server_state.connections:
                    size = connection.transport.get_write_buffer_size()
                    if connection._unread and size < left:  # the hour is over, and the client has read some more
                        connection._unread.cancel()
                        connection._cut_unless_read(left)
                        left, looks = size, looks + 1
        assert looks > 5
        writer.close()
