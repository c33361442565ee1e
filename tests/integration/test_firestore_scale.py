"""What bench/scale.py counts on paper is what Google's emulator is asked for, at a size that fits here; and where the
events of a release came from is kept there too."""

import asyncio
from datetime import UTC, datetime

import pytest

from guardian.alerting.sample import Released
from guardian.core.time import micros
from guardian.stores.firestore.history import FirestoreHistory
from tests.support.events import event as made
from tests.support.firestore import address_in
from tests.support.scale import scale
from tracker.firestore.address import parse
from tracker.firestore.client import client_of
from tracker.firestore.sink import SLICES, FirestoreSink, Waiting
from tracker.source import Source

pytestmark = pytest.mark.needs_firestore
START = datetime(2026, 3, 2, 9, tzinfo=UTC)
SECOND = 1_000_000


@pytest.fixture
def address(tmp_path):
    return address_in(tmp_path)


@pytest.fixture
def model():
    return scale()


def event(second, user="ann@example.com"):
    return made(micros(START) + int(second * SECOND), user=user)


def batches(instances, requests, seconds, interval=15):
    """What each instance has to store each 15 seconds, where requests come evenly."""
    for instance in range(instances):
        for begin in range(0, seconds, interval):
            count = int(requests / instances * interval)
            yield instance, [event(begin + interval * n / max(count, 1)) for n in range(count)]


@pytest.mark.parametrize("instances, requests", [(1, 10), (4, 4)])
def test_the_model_counts_the_slices_that_are_written(model, address, instances, requests):
    sinks = [FirestoreSink(address, Waiting()) for _ in range(instances)]
    for instance, events in batches(instances, requests, 120):
        assert sinks[instance].write(events) == len(events)
    there = client_of(parse(address)).collection(SLICES).count().get()[0][0].value
    assert there == pytest.approx(model.slices_a_second(model.Load(instances, requests)) * 120, rel=0.05)


@pytest.mark.parametrize("load", [(1, 10), (100, 1_000), (10_000, 100_000)])
def test_ten_times_the_requests_cost_less_than_ten_times_as_much(model, load):
    prices = {**dict.fromkeys(["reads_per_100k", "writes_per_100k", "deletes_per_100k"], 0.05),
              **dict.fromkeys(["free_reads_a_day", "free_writes_a_day", "free_deletes_a_day"], 0),
              "storage_gib_month": 0.15, "free_storage_gib": 0}  # fmt: skip
    one, ten = (model.monthly_cost(model.usage(model.Load(load[0], load[1] * by)), prices) for by in (1, 10))
    assert one < ten < 10 * one


async def test_each_request_has_its_release_and_instance_and_a_new_release_is_told_once(address):
    for second, source in enumerate((Source("2.4.0", "a"), Source("2.4.1", "b"), Source("2.4.1", "c"), Source())):
        FirestoreSink(address, Waiting(source)).write([event(10 * second)])
    history = FirestoreHistory(address)
    first = micros(START)
    sample = await asyncio.to_thread(history.sample, first, first + 60 * SECOND)
    by_second = {
        (int(at) - first) // SECOND: None if code < 0 else sample.sources[code]
        for at, code in zip(sample.at_us.tolist(), sample.source.tolist(), strict=True)
    }
    assert by_second == {0: Source("2.4.0", "a"), 10: Source("2.4.1", "b"), 20: Source("2.4.1", "c"), 30: None}
    releases = await asyncio.to_thread(history.releases, first, first + 60 * SECOND)
    assert releases == [Released("2.4.1", first + 10 * SECOND)]


def test_a_release_begins_with_the_earliest_request_that_any_process_has_seen(address):
    for release, seconds in (("v1", [5]), ("v2", [90, 40, 60])):
        for second in seconds:
            FirestoreSink(address, Waiting(Source(release, "a"))).write([event(second)])
    released = FirestoreHistory(address).releases(0, 2**62)
    assert [(each.release, each.at_us) for each in released] == [("v2", event(40).at_us)]
