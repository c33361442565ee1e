"""From where a request came: whom a proxy may name, what is cut, and what is never looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.clients import MAX_USER_AGENT, Clients, cleaned
from tracker.event import Client


def scope(peer="198.51.100.7", *forwarded, agent=None):
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    headers += [] if agent is None else [(b"User-Agent", agent)]
    return {"client": None if peer is None else (peer, 4711), "headers": headers}


def found(address, peer, *forwarded, proxies=()):
    client = Clients(address, None, proxies)(scope(peer, *forwarded))
    return None if client is None else client.address


@pytest.mark.parametrize(
    ("peer", "full", "truncated"),
    [
        ("198.51.100.7", "198.51.100.7", "198.51.100.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:198.51.100.7", "198.51.100.7", "198.51.100.0"),
        ("fe80::1%eth0", "fe80::1", "fe80::"),
        ("testclient", None, None),
        ("", None, None),
        (None, None, None),
        (7, None, None),
    ],
)
def test_an_address_is_kept_whole_or_without_its_end(peer, full, truncated):
    assert (found("full", peer), found("truncated", peer)) == (full, truncated)


PROXIES = ["10.0.0.0/8", "2001:db8:ffff::/48"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),  # whoever is no proxy of ours may say anything
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.66, 203.0.113.9"], "203.0.113.9"),  # the client sent a header of its own
        ("10.0.0.1", ["192.0.2.66", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["192.0.2.66, 203.0.113.9, 10.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.2.3.4", "10.9.9.9"], "203.0.113.9"),
        ("10.0.0.1", ["10.5.5.5, 10.2.3.4"], "10.5.5.5"),  # all of them are ours: the first one asked
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [" "], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8:ffff::1", ["2001:db8:1::5"], "2001:db8:1::5"),
        ("10.0.0.1", ["203.0.113.9:51234"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8:1::5]:443"], "2001:db8:1::5"),
        ("10.0.0.1", ['"[2001:db8:1::5]"'], "2001:db8:1::5"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, ::ffff:10.1.1.1"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, unknown"], None),
        ("10.0.0.1", ["203.0.113.9,"], None),
        ("10.0.0.1", ["hunter2\xff"], None),
        ("10.0.0.1", [", ".join(["10.1.1.1"] * 51)], None),
        (None, ["203.0.113.9"], None),
        ("testclient", ["203.0.113.9"], None),
    ],
)
def test_the_client_is_the_last_that_no_trusted_proxy_is(peer, forwarded, client):
    assert found("full", peer, *forwarded, proxies=PROXIES) == client


def test_without_proxies_no_header_counts():
    assert found("full", "10.0.0.1", "203.0.113.9") == "10.0.0.1"


def test_a_proxy_behind_a_unix_socket_is_named_so():
    assert found("full", None, "203.0.113.9", proxies=["unix"]) == "203.0.113.9"
    assert found("full", "10.0.0.1", "203.0.113.9", proxies=["unix"]) == "10.0.0.1"


def test_proxies_may_be_named_as_mapped_addresses():
    assert found("full", "10.0.0.1", "203.0.113.9", proxies=["::ffff:10.0.0.0/104"]) == "203.0.113.9"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (b"Mozilla/5.0 (X11; Linux)", "Mozilla/5.0 (X11; Linux)"),
        (b"  curl/8.0\r\n\x00\x1b[31m ", "curl/8.0[31m"),
        (b"a\xa0b\xadc\x85", "abc"),
        (b"x" * 5_000, "x" * MAX_USER_AGENT),
        (b"\x00\x01", None),
        (b"", None),
    ],
)
def test_a_user_agent_is_kept_short_and_clean(header, kept):
    assert cleaned(header) == kept
    client = Clients(None, "full")(scope(agent=header))
    assert client == (None if kept is None else Client(None, kept))


@given(st.one_of(st.none(), st.text()), st.lists(st.text(st.characters(max_codepoint=255)), max_size=3), st.binary())
def test_nothing_that_a_client_sends_raises(peer, forwarded, agent):
    Clients("truncated", "full", ["10.0.0.0/8", "unix"])(scope(peer, *forwarded, agent=agent))


@pytest.mark.parametrize("strange", [{"client": 7}, {"headers": 7}, {"headers": [7]}, {"client": []}, {}])
def test_a_scope_that_is_none_costs_the_client_alone(strange):
    assert Clients("full", "full", ["unix"])(strange) is None


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (("on", None), "client_address = 'on' must be \"truncated\" or \"full\", or be left out"),
        ((True, None), "client_address = True must be \"truncated\" or \"full\", or be left out"),
        ((None, True), 'user_agent = True must be "full", or be left out'),
        ((None, "truncated"), "user_agent = 'truncated' must be \"full\", or be left out"),
        (("full", None, "10.0.0.1"), "trusted_proxies = '10.0.0.1' must be a list of addresses, as in ['10.0.0.0/8']"),
        (("full", None, 7), "trusted_proxies = 7 must be a list of addresses, as in ['10.0.0.0/8']"),
        ((None, "full", ["10.0.0.1"]), "trusted_proxies is set, but no client_address to find with them"),
        (("full", None, ["nginx"]), "trusted_proxies has 'nginx', which is no address, no network and not 'unix': "
         "write it as '10.0.0.0/8'"),
        (("full", None, [7]), "trusted_proxies has 7, which is no address, no network and not 'unix': "
         "write it as '10.0.0.0/8'"),
        (("full", None, ["0.0.0.0/0"]), "trusted_proxies has '0.0.0.0/0', which is everybody: name the proxies alone"),
        (("full", None, ["::ffff:0:0/96"]), "trusted_proxies has '::ffff:0:0/96', which is everybody: name the proxies "
         "alone"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_one_sentence(settings, sentence):
    with pytest.raises(ValueError) as refused:
        Clients(*settings)
    assert str(refused.value) == sentence
