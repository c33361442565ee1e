"""How many wrong tokens and links one client may try, and that the table of clients stays small."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.web import limits
from guardian.web.endpoint import Refusal
from guardian.web.limits import CLIENTS, FAILURES, SECONDS, Limiter, Quota, client_of


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


def test_a_quota_lets_so_much_happen_in_any_hour():
    now = [0.0]
    quota = Quota(2, lambda: now[0])
    assert [quota.take("ada"), quota.take("ada"), quota.take("bob")] == [0, 0, 0]
    now[0] = 1000.0
    assert quota.take("ada") == 2600
    now[0] = 3599.5
    assert quota.take("ada") == 1
    now[0] = 3600.0
    assert quota.take("ada") == 0


def test_a_quota_remembers_no_more_names_than_there_is_room_for():
    quota = Quota(1, lambda: 0.0)
    for number in range(CLIENTS + 5):
        quota.take(str(number))
    assert len(quota) == CLIENTS
    assert quota.take("0") == 0
    assert quota.take(str(CLIENTS + 4)) > 0


@pytest.mark.parametrize(
    ("peer", "said", "client"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),  # no proxy of ours: what it says counts for nothing
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.7, 10.0.0.9", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "[2001:db8:1:2:3::4]:4711", "2001:db8:1:2::"),
        ("::ffff:10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "unknown"),
    ],
)
def test_a_client_is_who_connects_or_whom_a_configured_proxy_names(peer, said, client):
    scope = {"client": (peer, 1), "headers": [(b"x-forwarded-for", said.encode())]}
    assert client_of(scope, [ip_network("10.0.0.0/8")]) == client
