"""Work off the event loop: in a thread of Guardian's own, and JSON that is the same as json.dumps makes."""

import gc
import json
import os
import sys
import threading
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import guardian.application.usage
import guardian.core.off_loop
import guardian.mail.service
import guardian.stores.sqlite.state
import guardian.web.api
from guardian.application.reporting import send_report_now
from guardian.core.off_loop import (
    in_thread,
    json_pieces,
    json_text,
    json_value,
    let_go,
    no_collection,
    off_loop,
    pieces,
    short_turns,
    sorted_pieces,
)
from guardian.core.report.timeline import bar_edges
from guardian.stores.firestore.keeping import FirestoreKeeping
from guardian.web.endpoint import LargeAnswer, answer
from tests.support.api_client import bearer, calling, opened

LOOP = threading.main_thread()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=60,
)


@given(VALUES, st.booleans())
def test_json_is_written_and_read_as_the_library_does(value, ascii_only):
    text = json_text(value, ensure_ascii=ascii_only, separators=(",", ":"))
    assert text == json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    assert json_value(text) == json.loads(text)


@pytest.mark.parametrize("value", [{1: 2}, {None: [1] * 30}, {"a": {True: 1}}, [{"a": [1] * 30}] * 30])
def test_odd_keys_are_written_as_the_library_does(value):
    assert json_text(value) == json.dumps(value)


@pytest.mark.parametrize("number", [0, 1, 20, 21, 2000, 4001])
def test_what_is_let_go_leaves_nothing_in_its_lists(number):
    rows, few = [{} for _ in range(number)], [{"inner": [1]}]
    let_go([{"report": {"users": rows, "few": few, "text": "x"}}])
    assert (rows, few) == ([], [])


def test_what_cannot_be_changed_is_not_let_go():
    kept = {"paths": [1, 2]}
    let_go([MappingProxyType(kept)])
    assert kept == {"paths": [1, 2]}


@pytest.mark.parametrize("rows", [0, 1, 1999, 2000, 2001, 5000])
def test_the_pieces_of_an_array_are_all_of_its_rows(rows):
    table = np.arange(rows * 3).reshape(rows, 3)
    assert list(pieces(table)) == table.tolist()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers()), max_size=30), st.integers(1, 8))
def test_what_is_sorted_in_pieces_is_in_the_order_of_the_library_alike_ones_too(values, size):
    def first(value):
        return value[0]

    assert sorted_pieces(values, first, size) == sorted(values, key=first)


async def test_work_is_done_in_a_thread_of_guardians_own_and_its_error_is_raised():
    assert (await off_loop(threading.current_thread)).name.startswith("guardian-work")
    with pytest.raises(ZeroDivisionError):
        await off_loop(lambda: 1 / 0)


@pytest.mark.parametrize("on", [True, False])
async def test_the_collector_rests_meanwhile_and_is_then_as_the_host_app_had_it(on):
    (gc.enable if on else gc.disable)()
    try:
        with no_collection():
            assert not await off_loop(gc.isenabled)
            assert not gc.isenabled()
        assert gc.isenabled() is on
        with pytest.raises(ZeroDivisionError):
            await off_loop(lambda: 1 / 0)
        assert gc.isenabled() is on
    finally:
        gc.enable()


def test_a_collector_that_the_host_app_switches_on_meanwhile_stays_on_whichever_work_ends_first():
    gc.disable()
    try:
        first, second = no_collection(), no_collection()
        first.__enter__()
        gc.enable()
        second.__enter__()
        assert not gc.isenabled()
        first.__exit__(None, None, None)
        assert not gc.isenabled()
        second.__exit__(None, None, None)
        assert gc.isenabled()
    finally:
        gc.enable()


@pytest.fixture
def hosts_turns():
    """A host app that lets its threads keep the GIL for 5 ms, as Python does by itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.005)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("work", [off_loop, in_thread])
async def test_threads_take_short_turns_while_work_computes_and_then_as_the_host_app_has_them(work, hosts_turns):
    with short_turns():
        assert await work(sys.getswitchinterval) == pytest.approx(0.0005)
        assert sys.getswitchinterval() == pytest.approx(0.0005)
    assert sys.getswitchinterval() == pytest.approx(0.005)
    with pytest.raises(ZeroDivisionError):
        await work(lambda: 1 / 0)
    assert sys.getswitchinterval() == pytest.approx(0.005)


async def test_threads_take_short_turns_while_the_state_is_read_and_written(tmp_path, hosts_turns):
    async with opened(tmp_path) as app:
        assert await app.state.transact(lambda db: sys.getswitchinterval()) == pytest.approx(0.0005)
    assert sys.getswitchinterval() == pytest.approx(0.005)


def test_turns_that_the_host_app_sets_meanwhile_stay_and_so_do_shorter_ones(hosts_turns):
    first, second = short_turns(), short_turns()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(0.0005)  # the other work still computes
    sys.setswitchinterval(0.002)
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(0.002)
    sys.setswitchinterval(0.0002)
    shorter = sys.getswitchinterval()
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(shorter)
    assert sys.getswitchinterval() == pytest.approx(shorter)


def test_of_several_turns_the_shortest_counts_until_it_is_no_longer_wanted(hosts_turns):
    computing, answering = short_turns(), short_turns(0.0001)
    with computing:
        with answering:
            assert sys.getswitchinterval() == pytest.approx(0.0001)
            with short_turns():
                assert sys.getswitchinterval() == pytest.approx(0.0001)
        assert sys.getswitchinterval() == pytest.approx(0.0005)
    assert sys.getswitchinterval() == pytest.approx(0.005)


@pytest.mark.parametrize("us", [700, 999, 2001, 4999, 100_000])
def test_the_host_apps_turns_do_not_shrink_with_each_work(us, hosts_turns):
    sys.setswitchinterval(us / 1e6 + 5e-7)
    before = sys.getswitchinterval()
    for _ in range(5):
        with short_turns():
            pass
    assert sys.getswitchinterval() == before


def test_a_forked_process_has_the_host_apps_turns(hosts_turns):
    with short_turns():
        child = os.fork()
        if child == 0:
            os._exit(0 if sys.getswitchinterval() > 0.004 else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("held", [short_turns, no_collection])
def test_a_forked_process_goes_on_after_the_work_in_which_it_was_forked(hosts_turns, held):
    child = -1
    try:
        with held():
            child = os.fork()
            if child == 0:
                with held():  # its own, with nothing of its parent's
                    pass
        if child == 0:
            os._exit(0 if gc.isenabled() and sys.getswitchinterval() > 0.004 else 1)
    finally:
        if child == 0:  # it raised
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def unfrozen():
    """Nothing is frozen, as in most processes; the tests' own objects are again afterwards."""
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


def is_young(thing):
    return any(each is thing for each in gc.get_objects(generation=0))


def test_the_collector_does_not_look_at_what_a_lot_of_work_has_left(unfrozen):
    with no_collection():
        much = [[] for _ in range(100_000)]
    assert not is_young(much[0])
    assert gc.get_count()[0] < 10_000
    with no_collection():
        little = [[] for _ in range(100)]
    assert is_young(little[0])


def test_what_the_host_app_has_frozen_stays_frozen(unfrozen):
    gc.freeze()
    frozen = gc.get_freeze_count()
    with no_collection():
        much = [[] for _ in range(100_000)]
    assert len(much) == 100_000
    assert gc.get_freeze_count() >= frozen - 100  # some may have ended meanwhile


async def test_a_forked_process_has_a_thread_of_its_own():
    await off_loop(int)
    child = os.fork()
    if child == 0:
        os._exit(0 if not guardian.core.off_loop._threads else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def threads(monkeypatch):
    """The threads in which what takes long was done, by its name."""
    seen = {}

    def watch(module, name):
        real = getattr(module, name)

        def noted(*args, **kwargs):
            seen.setdefault(name, set()).add(threading.current_thread())
            return real(*args, **kwargs)

        monkeypatch.setattr(module, name, noted)

    for module, name in (
        (guardian.application.usage, "build_report"), (guardian.application.usage, "_write_whole"),
        (guardian.mail.service, "render"), (guardian.mail.service, "build_message"),
        (guardian.stores.sqlite.state, "pack"), (guardian.stores.sqlite.state, "unpack"),
    ):  # fmt: skip
        watch(module, name)
    return seen


async def test_a_report_is_made_written_and_rendered_off_the_loop(tmp_path, threads):
    async with opened(tmp_path) as app:
        await send_report_now(app, hours=6)
        at = datetime(2026, 3, 2, tzinfo=UTC)
        await app.state.claim_period("s", at, at, report={"users": []}, mails=(), now=at)
        assert (await app.state.report(1)).report == {"users": []}
    assert set(threads) == {
        "build_report", "_write_whole", "render", "build_message", "pack", "unpack",
    }  # fmt: skip
    assert all(LOOP not in found for found in threads.values())
    assert not any(each.name.startswith("guardian-state") for each in threads["unpack"])  # other answers need that one


async def test_the_description_of_the_api_is_built_once_and_off_the_loop(tmp_path, monkeypatch):
    guardian.web.api.described.cache_clear()
    built, real = [], guardian.web.api.describe
    monkeypatch.setattr(
        guardian.web.api, "describe", lambda all_: built.append(threading.current_thread()) or real(all_)
    )
    async with opened(tmp_path) as app, calling(app) as client:
        first, second = [(await client.get("/openapi.json")).json() for _ in range(2)]
    assert first == second
    assert first["paths"]["/api/usage/summary"]["get"]["parameters"]  # what is kept is not freed with an answer
    assert len(built) == 1
    assert LOOP not in built


async def test_a_large_answer_is_written_off_the_loop(tmp_path, monkeypatch):
    seen, real = [], guardian.web.api.LargeAnswer
    monkeypatch.setattr(
        guardian.web.api, "LargeAnswer", lambda *it: seen.append(threading.current_thread()) or real(*it)
    )
    async with opened(tmp_path) as app, calling(app) as client:
        assert (await client.get("/api/usage/summary?hours=6", headers=bearer())).status_code == 200
    assert LOOP not in seen
    assert seen


async def test_a_large_answer_goes_out_in_pieces_and_says_how_long_it_is():
    sent, content = [], {"users": [{"email": f"{n}@example.com"} for n in range(10_000)]}

    async def send(message):
        sent.append(message)

    await LargeAnswer(content)({"type": "http"}, None, send)
    head, *bodies = sent
    parts = [each["body"] for each in bodies]
    assert b"".join(parts) == json.dumps(content, separators=(",", ":")).encode()
    assert (b"content-length", str(sum(map(len, parts))).encode()) in head["headers"]
    assert max(map(len, parts)) < 66_000
    assert [each.get("more_body", False) for each in bodies] == [True] * (len(bodies) - 1) + [False]
    small = answer({"users": []})
    assert {name for name, _ in small.raw_headers} == {name for name, _ in head["headers"]}


def test_a_long_text_of_json_comes_in_pieces():
    parts = list(json_pieces({"users": [{"email": "x" * 100}] * 5_000}))
    assert len(parts) > 5
    assert max(map(len, parts)) < 70_000


async def test_what_firestore_is_asked_is_done_with_short_turns_while_the_collector_rests(hosts_turns):
    store = FirestoreKeeping("firestore://nobody-asks-it")
    assert await store._do(lambda: (gc.isenabled(), sys.getswitchinterval() < 0.001)) == (False, True)


async def test_a_store_may_keep_what_it_read_for_a_report(tmp_path, monkeypatch):
    async with opened(tmp_path / "state") as app:
        start, end = app.clock() - timedelta(hours=2), app.clock()
        kept = await app.repository.activity(bar_edges(start, end, UTC))

        async def activity(*_, **__):
            return kept

        monkeypatch.setattr(app.repository, "activity", activity)
        first, second = [await app.usage.generate_report(2) for _ in range(2)]
        assert [user["email"] for user in first["users"]] == ["ada@example.com", "bob@example.com"]
        assert second == first
