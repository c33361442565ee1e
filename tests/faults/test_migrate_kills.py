"""A move that is killed, again and again: the next run goes on, and at the end everything is there once."""

import json
import os
import signal

import pytest

from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.firestore import address_in
from tests.support.moving import fill, looks_as_filled

CHILD = """
import os, signal, sys
from guardian.application.moving import copying
from guardian.cli import main
from guardian.stores.firestore.documents import Documents
from guardian.stores.sqlite.moving import SqliteMoving

left = int(sys.argv[1])
copying._STRETCHES = copying._BUCKETS = 5

def dying(work):
    def counted(*values):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*values)
    return counted

if left:
    Documents.commit = dying(Documents.commit)
    for name in ("put", "put_facts", "put_buckets", "replace"):
        setattr(SqliteMoving, name, dying(getattr(SqliteMoving, name)))
main(["migrate", "--from", sys.argv[2], "--to", sys.argv[3], "--json"])
"""
"""Kills itself before the write of this number is made, 0 for never."""


@pytest.fixture
def migrate(loaded, tmp_path, pair):
    """`migrate(write)` gives the exit code, stdout and stderr of a move that dies before this write, 0 for never."""
    return lambda write=0: loaded(str(write), *pair, cwd=tmp_path, env=dict(os.environ), program=CHILD)


@pytest.fixture(
    params=[
        "sqlite-sqlite",
        pytest.param("sqlite-firestore", marks=pytest.mark.needs_firestore),
        pytest.param("firestore-sqlite", marks=pytest.mark.needs_firestore),
    ]
)
def pair(request, tmp_path):
    return [
        f"sqlite:///{tmp_path}/{n}.db" if kind == "sqlite" else address_in(tmp_path / str(n))
        for n, kind in enumerate(request.param.split("-"))
    ]


async def test_a_move_that_is_killed_four_times_ends_with_everything_once(pair, migrate):
    await fill(pair[0].removeprefix("sqlite:///"), many=120)
    for write in (2, 9, 14, 6):
        code, _, stderr = migrate(write)
        assert code == -signal.SIGKILL, stderr
    code, stdout, stderr = migrate()
    assert code == 0, stderr + stdout
    outcome = json.loads(stdout)
    assert (outcome["resumed"], outcome["differences"]) == (True, [])
    again = json.loads(migrate()[1])
    assert (again["rows"], again["requests"], again["summaries"], again["differences"]) == ({}, 0, 0, [])
    stores = await backend(pair[1].removeprefix("sqlite:///")).open(NO_BOOK)
    try:
        await looks_as_filled(stores)
    finally:
        await stores.close()
