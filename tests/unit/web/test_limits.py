"""How many wrong tokens and links one client may try, and that the table of clients stays small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.web import limits
from guardian.web.endpoint import Refusal
from guardian.web.limits import FAILURES, SECONDS, Limiter, client_of


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def held(limiter, client):
    try:
        limiter.check(client)
    except Refusal as refusal:
        return refusal
    return None


def test_after_twenty_failures_a_client_waits_and_says_how_long_and_others_do_not():
    clock = Clock()
    limiter = Limiter(clock)
    for _ in range(FAILURES):
        assert held(limiter, "a") is None
        limiter.failed("a")
    refusal = held(limiter, "a")
    assert (refusal.status, refusal.headers) == (429, {"Retry-After": "3"})
    assert refusal.sentence == "too many wrong tokens or links came from this address: wait 3 s"
    assert held(limiter, "b") is None
    clock.now += SECONDS
    assert held(limiter, "a") is None
    limiter.failed("a")
    assert held(limiter, "a")
    clock.now += 3600
    assert held(limiter, "a") is None


@given(st.lists(st.floats(0, 10), min_size=1, max_size=200))
def test_however_the_tries_are_spread_no_more_get_through_than_the_bucket_holds(pauses):
    clock = Clock()
    limiter, tried = Limiter(clock), 0
    for pause in pauses:
        clock.now += pause
        if held(limiter, "a") is None:
            limiter.failed("a")
            tried += 1
    assert tried <= FAILURES + sum(pauses) / SECONDS + 1e-6


def test_the_table_of_clients_is_bounded(monkeypatch):
    monkeypatch.setattr(limits, "CLIENTS", 100)
    limiter = Limiter(Clock())
    for number in range(1000):
        limiter.failed(str(number))
    assert len(limiter) == 100


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::"),
        ("testclient", "testclient"),
    ],
)
def test_a_client_is_its_address_or_its_network(host, client):
    assert client_of({"client": (host, 1234)}) == client


def test_a_client_without_an_address_is_nobody():
    assert client_of({}) == client_of({"client": None}) == ""
