"""Google's own emulator of Firestore, one for all processes of a run: started when a test asks for it first, and
stopped at the end of the run.

The emulator answers queries that the real service refuses, since there is no index for them. So each query that is
made on it is compared with `config/firestore.indexes.json`.
"""

import fcntl
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path

from tests.support.ports import free_port

HOST = "FIRESTORE_EMULATOR_HOST"
RUN = "EMULATOR_OF_THE_RUN"
"""The variable with the folder in which the processes of a run find what one of them has started."""
INDEXES = Path(__file__).parents[2] / "config" / "firestore.indexes.json"
START_SECONDS = 300
CHEAP = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
"""For Java, whose best compiler costs a run of some minutes more than it saves: half the time of the processor."""


@contextmanager
def one_for_all():
    """What is started inside, by this process or by those that it starts, is one emulator; at the end it is stopped."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ[RUN] = folder
        try:
            yield
        finally:
            del os.environ[RUN]
            with suppress(FileNotFoundError, ProcessLookupError):
                os.killpg(json.loads((Path(folder) / "emulator").read_text())["group"], signal.SIGKILL)


@cache
def emulator():
    """Where the emulator listens, HOST:PORT; this process and those that it starts use it from now on."""
    kept = Path(os.environ[RUN]) / "emulator"
    with kept.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed: the others wait for the first
        if not kept.read_text():
            _start(kept)
    place = json.loads(kept.read_text())["place"]
    os.environ[HOST] = place
    _look_at_queries()
    return place


def _start(kept):
    place = f"127.0.0.1:{free_port()}"
    command = ["gcloud", "emulators", "firestore", "start", f"--host-port={place}", "--quiet"]
    java = {**os.environ, "JAVA_TOOL_OPTIONS": f"{os.environ.get('JAVA_TOOL_OPTIONS', '')} {CHEAP}".strip()}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=java)
        kept.write_text(json.dumps({"place": place, "group": process.pid}))
        ends = time.monotonic() + START_SECONDS
        while not _answers(place):
            if process.poll() is not None or time.monotonic() > ends:
                kept.write_text("")
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                log.seek(0)
                raise RuntimeError(f"the emulator of Firestore did not start: {log.read().decode()}")
            time.sleep(0.1)


def _answers(place):
    try:
        with urllib.request.urlopen(f"http://{place}/", timeout=60):
            return True
    except OSError:
        return False


def address_in(folder):
    """The address of a database that no other folder has: each is a project of its own."""
    emulator()
    return f"firestore://t-{blake2b(str(folder).encode(), digest_size=10).hexdigest()}"


def late_first(monkeypatch):
    """Let the first batch of a recorder wait as long as each later one."""
    from tracker import recorder

    usual = recorder.pace
    monkeypatch.setattr(recorder, "pace", lambda database: usual(database)._replace(first=3_600))


# Queries and their indexes


@cache
def indexes():
    """Each composite index: (collection, ((field, ASCENDING or DESCENDING), …))."""
    listed = json.loads(INDEXES.read_text())["indexes"]
    return {
        (each["collectionGroup"], tuple((field["fieldPath"], field["order"]) for field in each["fields"]))
        for each in listed
    }


@cache
def not_indexed():
    """The fields, (collection, field), that have no index of their own."""
    listed = json.loads(INDEXES.read_text())["fieldOverrides"]
    return {(each["collectionGroup"], each["fieldPath"]) for each in listed if not each["indexes"]}


def wanted_index(asked):
    """What a query, as Google's library sends it, needs beside the index of each field: (collection, equal fields,
    ordered ones), None where it needs nothing ("Index types in Cloud Firestore")."""
    plain = type(asked).pb(asked)  # the message inside, which is read in a tenth of the time
    conditions = _conditions(plain.where) if plain.HasField("where") else []
    ordered = [(each.field.field_path, each.direction) for each in plain.order_by]
    return _wanted(plain.from_[0].collection_id, tuple(conditions), tuple(ordered))


_IS = 0
"""Stands for the operators of one side, such as "is null", among the numbers of those of two sides."""


@cache
def _wanted(collection, conditions, ordered):
    """The same, by the fields and the numbers of operators and directions."""
    from google.cloud.firestore_v1.types import StructuredQuery

    operators = StructuredQuery.FieldFilter.Operator
    alike = {_IS, operators.EQUAL, operators.IN, operators.ARRAY_CONTAINS}
    equal = [field for field, operator in conditions if operator in alike]
    between = [field for field, operator in conditions if operator not in alike]
    order = [(field, StructuredQuery.Direction(direction).name) for field, direction in ordered]
    named = [field for field, _ in order]
    order += [(field, "ASCENDING") for field in dict.fromkeys(between) if field not in named]
    order = [(field, how) for field, how in order if field != "__name__" or len(order) > 1]
    fields = {*equal, *(field for field, _ in order)} - {"__name__"}
    if unindexed := sorted(field for field in fields if (collection, field) in not_indexed()):
        raise AssertionError(f"a query on {collection} asks for {unindexed}, which config/ exempts from indexes")
    if len(order) > 1 or (order and equal):
        return collection, frozenset(equal), tuple(order)
    return None


@cache
def missing_index(wanted):
    """Whether no index of the file serves what `wanted_index` gave."""
    collection, equal, order = wanted
    for name, fields in indexes():
        head, tail = fields[: len(equal)], fields[len(equal) :]
        if name == collection and {field for field, _ in head} == equal and _serves(tail, order):
            return False
    return True


def _serves(tail, order):
    turned = tuple((field, "ASCENDING" if how == "DESCENDING" else "DESCENDING") for field, how in order)
    return tail in (order, turned)


def _conditions(where):
    kind = where.WhichOneof("filter_type")
    if kind == "composite_filter":
        return [found for each in where.composite_filter.filters for found in _conditions(each)]
    if kind == "unary_filter":
        return [(where.unary_filter.field.field_path, _IS)]
    return [(where.field_filter.field.field_path, where.field_filter.op)]


def _look_at_queries():
    """Let a query without an index fail in tests as it would at Google's."""
    from google.cloud.firestore_v1.base_query import BaseQuery

    if hasattr(BaseQuery, "_to_protobuf_unlooked"):
        return
    BaseQuery._to_protobuf_unlooked = BaseQuery._to_protobuf

    def looked_at(self):
        asked = self._to_protobuf_unlooked()
        wanted = wanted_index(asked)
        if wanted is not None and missing_index(wanted):
            raise AssertionError(f"config/firestore.indexes.json has no index for {wanted}")
        return asked

    BaseQuery._to_protobuf = looked_at
