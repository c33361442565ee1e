"""Who a request's user is: each source, the order among them, and what does not count."""

import asyncio
import dataclasses
import enum
import functools
import logging
import sqlite3
import time
import types
import typing
import uuid

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser, UnauthenticatedUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tracker import note_user
from tracker.bearer import Bearer
from tracker.event import ANONYMOUS
from tracker.identity import Identity
from tracker.names import MAX_NAME, clean_name
from tracker.notes import Notes
from tracker.tokens import TokenVerifier

KEY = "a secret for tests, of more than thirty-two bytes"
NOW = time.time()


def bearer(key=KEY, scheme="Bearer", **claims):
    claims = {"email": "token@example.com", "exp": int(NOW) + 86_400} | claims
    return f"{scheme} {jwt.encode(claims, key)}".encode()


def scope(authorization=None, *headers, **more):
    sent = [] if authorization is None else [(b"authorization", authorization)]
    return {"type": "http", "headers": [*sent, *headers], **more}


class Person:
    def __init__(self, **known):
        self.__dict__.update(known)


def signed_in(**known):
    return Person(is_authenticated=True, **known)


class Counted(TokenVerifier):
    """The real one, which counts how often it is asked."""

    asked = 0

    def claims(self, token):
        self.asked += 1
        return super().claims(token)


# What a name may be


class Mail(enum.StrEnum):
    ADA = "Ada@Example.com"


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM \n", "ada@example.com"),
        ("auth0|5F7c", "auth0|5F7c"),
        ("Zoë Müller", "Zoë Müller"),
        # One form: a letter with its accent apart is that letter.
        ("Zoe\u0308@example.com", "zoë@example.com"),
        # Signs that Unicode has only as another way to write one: a Kelvin sign, an Ångström, a Greek question mark.
        ("\u212aarl@example.com", None),
        ("\u212bke@example.com", None),
        ("a\u037eb@example.com", None),
        # Those that merely look alike are others.
        ("ａda@example.com", "ａda@example.com"),
        ("аda@example.com", "аda@example.com"),
        ("ſam@example.com", "ſam@example.com"),
        (Mail.ADA, "ada@example.com"),
        ("x" * 320, "x" * 320),
        ("x" * 321, None),
        ("İ" * 200 + "@", None),
        ("", None),
        ("   ", None),
        ("a\nb", None),
        ("a\x00b", None),
        ("a\x7fb", None),
        ("a\u202eb", None),
        ("a\u2028b", None),
        ("\ud800", None),
        ("ada@example.com\ud800", None),
        ("anonymous", None),
        ("Anonymous ", None),
        (None, None),
        (10**30, None),
        (True, None),
        (b"ada@example.com", None),
        (["ada@example.com"], None),
        ({}, None),
    ],
)
def test_a_name_is_stored_in_one_form_or_not_at_all(given_name, name):
    assert clean_name(given_name) == name
    assert name is None or type(clean_name(given_name)) is str


@given(st.text(st.characters(codec=None)))
@example("\udfff")
def test_every_name_that_is_kept_can_be_stored(text):
    name = clean_name(text)
    if name is not None:
        assert 1 <= len(name) <= MAX_NAME
        assert name.encode()
        assert clean_name(name) == name or name.lower() != name or name.isascii() is False


# Each source


def test_a_request_that_proves_nothing_is_anonymous():
    headers = [
        (b"x-user-email", b"eve@example.com"),
        (b"cookie", b"user=eve@example.com"),
        (b"authorization", b"Bearer x"),
    ]
    assert Identity().user({"type": "http", "headers": headers, "state": {}}) == ANONYMOUS
    assert Identity(tokens=Bearer(TokenVerifier(KEY), print)).user({"type": "http", "headers": headers}) == ANONYMOUS


@pytest.mark.parametrize(
    ("returned", "name"),
    [
        ("Ada@Example.com", "ada@example.com"),
        ("anonymous", ANONYMOUS),
        ("", ANONYMOUS),
        (42, "42"),
        ({"email": "Ada@example.com"}, "ada@example.com"),
        (["ada@example.com"], ANONYMOUS),
        ("\ud800", ANONYMOUS),
        (None, "state@example.com"),
    ],
)
def test_what_identify_returns_is_final_unless_it_is_none(returned, name):
    identity = Identity(identify=lambda scope: returned)
    assert identity.user(scope(state={"user": {"email": "state@example.com"}})) == name


def test_an_identify_that_raises_is_anonymous_and_said_once_without_what_it_said(caplog):
    def identify(scope):
        raise LookupError("the client's secret")

    identity = Identity(identify=identify)
    assert [identity.user(scope()) for _ in range(3)] == [ANONYMOUS] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "The tracker could not tell who a user is (LookupError was raised): it counts as anonymous. This is said once."
    ]
    assert caplog.records[0].exc_info is None


def test_an_identify_that_returns_no_name_is_said_once(caplog):
    identity = Identity(identify=lambda scope: ["secret"])
    assert [identity.user(scope()) for _ in range(3)] == [ANONYMOUS] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "The tracker could not tell who a user is (identify returned list, which is not a name of 1 to 320 "
        "characters): it counts as anonymous. This is said once."
    ]


async def identify_later(scope):
    return "ada@example.com"


class Later:
    async def __call__(self, scope):
        return "ada@example.com"

    async def method(self, scope):
        return "ada@example.com"


@pytest.mark.parametrize("identify", [identify_later, functools.partial(identify_later), Later(), Later().method])
async def test_an_async_identify_is_known_and_asked(identify):
    identity = Identity(identify=identify)
    assert identity.waits
    given = await identity.ask(scope(), 1)
    assert identity.user(scope(), given=given) == "ada@example.com"


async def test_an_async_identify_that_takes_too_long_or_raises_counts_as_none(caplog):
    async def never(scope):
        await asyncio.Event().wait()

    async def raises(scope):
        raise LookupError("the client's secret")

    state = {"user": {"email": "state@example.com"}}
    for identify in (never, raises):
        identity = Identity(identify=identify)
        given = await identity.ask(scope(), 0.01)
        assert identity.user(scope(state=state), given=given) == "state@example.com"
    assert [record.getMessage().partition("(")[2].partition(")")[0] for record in caplog.records] == [
        "identify took longer than 0.01 seconds",
        "LookupError was raised",
    ]


@pytest.mark.filterwarnings("error")
def test_a_plain_identify_that_returns_an_awaitable_is_awaited_from_then_on():
    identity = Identity(identify=lambda scope: identify_later(scope))
    assert not identity.waits
    assert identity.user(scope()) == ANONYMOUS
    assert identity.waits


class Nameless(BaseUser):
    """As Starlette's documentation has it: some properties are left to raise NotImplementedError."""

    is_authenticated = True


class Named(Nameless):
    display_name = "Ada"


@pytest.mark.parametrize(
    ("user", "name"),
    [
        (SimpleUser("Ada@Example.com"), "ada@example.com"),
        (UnauthenticatedUser(), ANONYMOUS),
        (Nameless(), ANONYMOUS),
        (Named(), "Ada"),
        (signed_in(email="mail@example.com", identity="7", username="u", display_name="d"), "mail@example.com"),
        (signed_in(identity="7", username="u", display_name="d"), "u"),
        (signed_in(identity="7", display_name="d"), "7"),
        (signed_in(email=None, identity=7, display_name="d"), "7"),
        (signed_in(username="x", upn="ada@example.com"), "ada@example.com"),
        (signed_in(email="\ud800"), ANONYMOUS),
        (signed_in(), ANONYMOUS),
        (Person(email="ada@example.com"), "ada@example.com"),
        ({"sub": "auth0|7"}, "auth0|7"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (signed_in(username="user"), ANONYMOUS),  # marimo's placeholder
        (SimpleUser("user"), ANONYMOUS),
        (Person(email="eve@example.com", is_authenticated=False), ANONYMOUS),
        (Person(email="eve@example.com", is_authenticated=lambda: False), ANONYMOUS),
        (Person(email="eve@example.com", is_authenticated="no"), ANONYMOUS),
        (None, ANONYMOUS),
        ("Ada@example.com", "ada@example.com"),
    ],
)
def test_the_user_in_the_scope_counts_where_it_is_authenticated(user, name):
    assert Identity().user(scope(user=user)) == name


@pytest.mark.parametrize(
    ("state", "name"),
    [
        ({"claims": {"email": "Ada@example.com", "sub": "7"}}, "ada@example.com"),
        ({"claims": {"sub": "auth0|7"}}, "auth0|7"),
        ({"claims": {"email": "eve@example.com", "email_verified": False, "sub": "auth0|7"}}, "auth0|7"),
        ({"claims": {"email": "eve@example.com", "email_verified": "false"}}, ANONYMOUS),
        ({"claims": {"email": "ada@example.com", "email_verified": True}}, "ada@example.com"),
        ({"claims": {"email": True, "sub": "\ud800"}}, ANONYMOUS),
        ({"claims": {}, "user": {"email": "ada@example.com"}}, "ada@example.com"),
        ({"user": Person(email="Ada@example.com")}, "ada@example.com"),
        ({"user": types.MappingProxyType({"email": "ada@example.com"})}, "ada@example.com"),
        ({"user": "ada@example.com"}, "ada@example.com"),
        ({"user": 42}, "42"),
        ({"user": None, "claims": None}, ANONYMOUS),
        ({"email": "ada@example.com"}, "ada@example.com"),
        ({"current_user": Person(id=7, username="ada")}, "ada"),
        ({"user": {"id": 7}, "email": "ada@example.com"}, "ada@example.com"),
        ({"claims": {"email": "eve@example.com", "email_verified": "False", "sub": "7"}}, "7"),
        ({"claims": {"email": "eve@example.com", "email_verified": "0"}}, ANONYMOUS),
        ({"claims": {"email": "eve@example.com", "email_verified": " No "}}, ANONYMOUS),
        ({"claims": {"email": "ada@example.com", "email_verified": "yes"}}, "ada@example.com"),
        ({"claims": {"preferred_username": "eve@example.com", "email_verified": False, "sub": "7"}}, "7"),
        ({"claims": {"preferred_username": "ada@example.com", "oid": "7", "sub": "8"}}, "ada@example.com"),
        ({"claims": {"upn": "ada@example.com", "sub": "8"}}, "ada@example.com"),
        ({"claims": {"sub": 7}}, "7"),
        ({}, ANONYMOUS),
        (None, ANONYMOUS),
        (3, ANONYMOUS),
    ],
)
def test_claims_count_that_the_app_itself_put_into_the_state(state, name):
    assert Identity().user(scope(state=state)) == name


TOKENS = Bearer(TokenVerifier(KEY), lambda why: None)


def bearers(verifier, **settings):
    """An identity by tokens alone, and the list of why they were refused."""
    why = []
    return Identity(tokens=Bearer(verifier, why.append, **settings)), why


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (bearer(email="Ada@Example.com"), "ada@example.com"),
        (bearer(scheme="bearer"), "token@example.com"),
        (bearer(scheme="BEARER"), "token@example.com"),
        (bearer(email=None, sub="7"), "7"),
        (bearer(email=None), ANONYMOUS),
        (bearer(email="\ud800"), ANONYMOUS),
        (bearer(email=[1]), ANONYMOUS),
        (bearer(email="eve@example.com", email_verified=False), ANONYMOUS),
        (bearer(exp=int(NOW) - 1), ANONYMOUS),
        (bearer(exp=10**30), ANONYMOUS),
        (bearer(key="another secret, which has thirty-two bytes too"), ANONYMOUS),
        (bearer(scheme="Basic"), ANONYMOUS),
        (bearer(note="x" * 9_000), ANONYMOUS),
        (b"Bearer", ANONYMOUS),
        (b"Bearer ", ANONYMOUS),
        (b"", ANONYMOUS),
        (b"Bearer \xff\xfe", ANONYMOUS),
        (b"\x00" * 100, ANONYMOUS),
    ],
)
def test_a_bearer_token_counts_where_it_checks_out(authorization, name, caplog):
    identity = Identity(tokens=TOKENS)
    assert [identity.user(scope(authorization)) for _ in range(2)] == [name, name]
    assert caplog.records == []


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([(b"x-user-email", b" Ada@Example.com")], "ada@example.com"),
        ([(b"x-user-email", "zoë@example.com".encode())], "zoë@example.com"),
        ([(b"x-user-email", b"a@example.com"), (b"x-user-email", b"b@example.com")], ANONYMOUS),
        ([(b"x-user-email", b"\xff@example.com")], ANONYMOUS),
        ([(b"x-user-email", b"")], ANONYMOUS),
        ([(b"x-user", b"eve@example.com")], ANONYMOUS),
        ([], ANONYMOUS),
    ],
)
def test_a_gateway_header_counts_where_one_is_named(headers, name, caplog):
    assert Identity(gateway_header="X-User-Email").user(scope(None, *headers)) == name
    assert Identity().user(scope(None, *headers)) == ANONYMOUS
    assert caplog.records == []


def test_the_first_source_that_knows_the_user_counts():
    full = scope(
        bearer(),
        (b"x-user-email", b"gateway@example.com"),
        user=signed_in(email="user@example.com"),
        state={"claims": {"email": "claims@example.com"}, "user": {"email": "state@example.com"}},
    )
    chosen = {"from": "identify@example.com"}
    identity = Identity(identify=lambda scope: chosen["from"], tokens=TOKENS, gateway_header="x-user-email")
    order = [identity.user(full)]
    chosen["from"] = None
    order.append(identity.user(full))
    full["user"] = UnauthenticatedUser()
    order.append(identity.user(full))
    del full["state"]["claims"]
    order.append(identity.user(full))
    del full["state"]
    order.append(identity.user(full))
    del full["headers"][0]
    order.append(identity.user(full))
    del full["headers"][0]
    order.append(identity.user(full))
    assert [name.partition("@")[0] for name in order] == [
        "identify", "user", "claims", "state", "token", "gateway", "anonymous",
    ]  # fmt: skip


def test_a_gateway_is_asked_where_a_token_does_not_check_out():
    identity = Identity(tokens=TOKENS, gateway_header="x-user-email")
    assert identity.user(scope(b"Bearer x", (b"x-user-email", b"ada@example.com"))) == "ada@example.com"


# Tokens that are known


def test_a_token_is_verified_once_and_again_after_five_minutes():
    now, tokens = [NOW], Counted(KEY)
    identity, _ = bearers(tokens, clock=lambda: now[0])
    request = scope(bearer())
    assert {identity.user(request) for _ in range(10)} == {"token@example.com"}
    assert tokens.asked == 1
    now[0] += 299
    identity.user(request)
    assert tokens.asked == 1
    now[0] += 1
    assert identity.user(request) == "token@example.com"
    assert tokens.asked == 2


def test_a_known_token_ends_with_its_expiry():
    now = [NOW]
    tokens = Counted(KEY, clock=lambda: now[0])
    identity, _ = bearers(tokens, clock=lambda: now[0])
    request = scope(bearer(exp=int(NOW) + 60))
    assert identity.user(request) == "token@example.com"
    now[0] = int(NOW) + 59.9
    assert identity.user(request) == "token@example.com"
    now[0] = int(NOW) + 60
    assert identity.user(request) == ANONYMOUS
    assert tokens.asked == 2


def test_a_refused_token_is_asked_for_again_after_ten_seconds():
    now, tokens = [NOW], Counted(KEY)
    identity, why = bearers(tokens, clock=lambda: now[0])
    for _ in range(10):
        assert identity.user(scope(b"Bearer made-up")) == ANONYMOUS
    assert tokens.asked == 1
    now[0] += 10
    identity.user(scope(b"Bearer made-up"))
    assert tokens.asked == 2
    assert why == ["the token is not valid"] * 11


def test_a_flood_of_made_up_tokens_neither_grows_the_memory_nor_pushes_known_ones_out():
    tokens = Counted(KEY)
    found = Bearer(tokens, lambda why: None)
    identity = Identity(tokens=found)
    good = scope(bearer())
    identity.user(good)
    for number in range(5_000):
        identity.user(scope(b"Bearer %d" % number + b"x" * 4_000))
    identity.user(scope(b"Bearer " + b"x" * 60_000))
    assert sum(map(len, found._refused.entries)) <= 2_010_000
    assert max(map(len, found._refused.entries)) <= 8_199
    asked = tokens.asked
    assert identity.user(good) == "token@example.com"
    assert tokens.asked == asked


def test_known_tokens_are_bounded():
    found = Bearer(TokenVerifier(KEY), print)
    identity = Identity(tokens=found)
    for number in range(2_200):
        claims = {"email": f"u{number}@example.com", "more": "x" * 2_000}
        assert identity.user(scope(bearer(**claims))) == f"u{number}@example.com"
    assert sum(map(len, found._known.entries)) <= 2_010_000


# Where tokens are found, and whom they name


COOKIE = bearer()[7:]


@pytest.mark.parametrize(
    ("settings", "more", "name"),
    [
        ({"cookie": "access_token"}, {"headers": [(b"cookie", b"a=b; access_token=" + COOKIE)]}, "token@example.com"),
        # As FastAPI's tutorials set it.
        ({"cookie": "t"}, {"headers": [(b"cookie", b't="Bearer ' + COOKIE + b'"')]}, "token@example.com"),
        ({"cookie": "t"}, {"headers": [(b"cookie", b"xt=" + COOKIE)]}, ANONYMOUS),
        ({}, {"headers": [(b"cookie", b"t=" + COOKIE)]}, ANONYMOUS),
        ({"cookie": "t"}, {"headers": [(b"authorization", b"Basic YTpi"), (b"cookie", b"t=" + COOKIE)]},
         "token@example.com"),
        ({"query": "token"}, {"type": "websocket", "query_string": b"a=1&token=" + COOKIE}, "token@example.com"),
        ({"query": "token"}, {"type": "http", "query_string": b"token=" + COOKIE}, ANONYMOUS),
        ({}, {"type": "websocket", "query_string": b"token=" + COOKIE}, ANONYMOUS),
        ({"subprotocol": True}, {"type": "websocket", "subprotocols": ["bearer", COOKIE.decode()]},
         "token@example.com"),
        ({"subprotocol": True}, {"type": "websocket", "subprotocols": ["base64url.bearer." + COOKIE.decode()]},
         "token@example.com"),
        ({}, {"type": "websocket", "subprotocols": [COOKIE.decode()]}, ANONYMOUS),
    ],
)  # fmt: skip
def test_a_token_is_found_where_the_app_says_that_it_is(settings, more, name):
    identity, _ = bearers(TokenVerifier(KEY), **settings)
    assert identity.user(scope() | more) == name


@pytest.mark.parametrize(
    ("claims", "order", "name"),
    [
        ({"email": None, "preferred_username": "Ada@Example.com", "sub": "Zk3"}, None, "ada@example.com"),
        ({"email": None, "upn": "ada@example.com", "sub": "Zk3"}, None, "ada@example.com"),
        ({"email": None, "sub": "Zk3", "user_id": "7"}, None, "Zk3"),
        ({"email": None, "user_id": 7}, None, "7"),
        ({"sub": "Zk3"}, "sub", "Zk3"),
        ({"https://app/mail": "ada@example.com"}, ["https://app/mail", "sub"], "ada@example.com"),
        ({"sub": "Zk3"}, ["nothing"], ANONYMOUS),
    ],
)
def test_the_claims_that_name_the_user_have_an_order_that_can_be_set(claims, order, name):
    order = (order,) if isinstance(order, str) else order
    identity, _ = bearers(TokenVerifier(KEY), claims=order)
    assert identity.user(scope(bearer(**claims))) == name


def test_why_a_token_counts_for_nothing_is_told_each_time():
    identity, why = bearers(TokenVerifier(KEY), claims=["email"])
    sent = [
        bearer(aud="account"), bearer(aud=["a", "b"]), bearer(exp=1), bearer(key="x" * 40), bearer(email=None),
        b"Bearer x",
    ]  # fmt: skip
    assert [identity.user(scope(each)) for each in sent] == [ANONYMOUS] * 6
    assert why == [
        "the token is for the audience 'account'",
        "the token is for the audience 'a' or 'b'",
        "the token has expired",
        "the token is not signed with the key that is known",
        "the token names nobody in email",
        "the token is not valid",
    ]


# The order among sources


def test_an_address_of_a_token_beats_a_name_that_is_none():
    two = [scope(bearer(email=f"{who}@example.com"), user=SimpleUser("claude-desktop")) for who in ("ada", "bob")]
    assert [Identity(tokens=TOKENS).user(each) for each in two] == ["ada@example.com", "bob@example.com"]


def test_what_the_app_noted_counts_before_all_but_identify():
    request = scope(bearer(), user=signed_in(email="user@example.com"))
    note_user(request, Person(username="ada", email="Ada@Example.com"))
    notes = request["guardian.notes"]
    assert Identity(tokens=TOKENS).user(request, notes) == "ada@example.com"
    assert Identity(identify=lambda scope: "x@example.com").user(request, notes) == "x@example.com"
    note_user(request, None)
    assert Identity(tokens=TOKENS).user(request, notes) == "user@example.com"


class Property:
    def __init__(self, name):
        self._name = name

    @property
    def email(self):
        return self._name


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ("Ada@Example.com", "ada@example.com"),
        (7, "7"),
        (Property("ada@example.com"), "ada@example.com"),
        ({"id": 3, "mail": "x"}, "3"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ("a\u202eb", ANONYMOUS),
        (object(), ANONYMOUS),
    ],
)
def test_what_may_be_noted_as_a_user(user, name):
    request = scope()
    note_user(request, user)
    told = []
    assert Identity(tell=lambda *what: told.append(what)).user(request, request["guardian.notes"]) == name
    assert [kind for kind, _ in told] == (["name_refused"] if name == ANONYMOUS else [])


@pytest.mark.parametrize(
    ("session", "key", "name"),
    [
        ({"user_id": 7}, "user_id", "7"),
        ({"user": {"email": "ada@example.com"}}, "user", "ada@example.com"),
        ({"user": {"email": "ada@example.com"}}, "user.email", "ada@example.com"),
        ({"user": "x"}, "user.email", ANONYMOUS),
        ({"user_id": 7}, None, ANONYMOUS),
        (None, "user_id", ANONYMOUS),
    ],
)
def test_a_session_counts_under_the_key_that_is_named(session, key, name):
    assert Identity(session_key=key).user(scope(session=session)) == name


@pytest.mark.parametrize(
    ("status", "more", "name"),
    [
        (401, {"user": signed_in(email="ada@example.com")}, ANONYMOUS),
        (401, {"state": {"user": "ada@example.com"}}, ANONYMOUS),
        (401, {"headers": [(b"authorization", bearer())]}, "token@example.com"),
        (403, {"user": signed_in(email="ada@example.com")}, "ada@example.com"),
        (403, {"user": Person(email="ada@example.com")}, ANONYMOUS),
        (200, {"user": Person(email="ada@example.com")}, "ada@example.com"),
    ],
)
def test_an_unauthenticated_answer_has_no_user(status, more, name):
    assert Identity(tokens=TOKENS).user(scope() | more, Notes(), status) == name


# Reading costs nothing


class Proxied:
    """As werkzeug's LocalProxy and Django's SimpleLazyObject: it pretends to be what it loads."""

    loads = 0

    def __init__(self, target):
        object.__setattr__(self, "_target", target)

    @property
    def __class__(self):
        Proxied.loads += 1
        return type(self._target)

    def __getattr__(self, name):
        Proxied.loads += 1
        return getattr(object.__getattribute__(self, "_target"), name)


class Cached:
    @functools.cached_property
    def email(self):
        return "ada@example.com"


def test_what_an_app_hands_over_itself_is_read_though_it_is_lazy():
    rows = sqlite3.connect(":memory:")
    rows.row_factory = sqlite3.Row
    row = rows.execute("SELECT 7 AS id, 'ada@example.com' AS email").fetchone()
    for user in (Cached(), Proxied(Person(email="ada@example.com")), row):
        request = scope()
        note_user(request, user)
        assert Identity().user(request, request["guardian.notes"]) == "ada@example.com"


def test_a_proxy_that_lies_in_the_scope_is_not_loaded():
    Proxied.loads = 0
    for more in ({"user": Proxied("ada@example.com")}, {"state": {"user": Proxied(Person(email="ada@example.com"))}}):
        assert Identity().user(scope(**more)) == ANONYMOUS
    assert Proxied.loads == 0


class RowUser(BaseUser):
    """The usual pattern of AuthenticationMiddleware: properties that ask a row of a database."""

    is_authenticated = True

    def __init__(self, row):
        self.row = row

    @property
    def email(self):
        raise AssertionError("a SELECT")


def test_of_a_user_that_wraps_a_row_only_what_the_row_has_loaded_is_read():
    assert Identity().user(scope(user=RowUser(Lazy(email="ada@example.com")))) == "ada@example.com"
    assert Identity().user(scope(user=RowUser(Lazy()))) == ANONYMOUS


def test_somebody_noted_without_a_name_counts_for_nothing_and_hides_nobody():
    request, told = scope(user=signed_in(email="ada@example.com")), []
    note_user(request, object())
    identity = Identity(tell=lambda *what: told.append(what))
    assert identity.user(request, request["guardian.notes"]) == "ada@example.com"
    assert told == [("name_refused", "note_user was given somebody with none of the usual names")]


def test_a_request_without_a_scope_takes_notes_that_nobody_reads():
    note_user(types.SimpleNamespace(META={}), "ada@example.com")
    note_user(None, "ada@example.com")


def test_an_identify_that_raises_leaves_the_others_to_say_who_it_is():
    def identify(scope):
        raise LookupError

    request = scope()
    note_user(request, "bob@example.com")
    assert Identity(identify=identify).user(request, request["guardian.notes"]) == "bob@example.com"


class Lazy:
    """As an object of a database: what is not loaded is asked for when it is read."""

    asked = 0

    def __init__(self, **loaded):
        self.__dict__.update(loaded, _sa_instance_state=object())

    def __getattr__(self, name):
        Lazy.asked += 1
        raise AssertionError(name)

    @property
    def email(self):
        Lazy.asked += 1
        raise AssertionError("a SELECT")


@dataclasses.dataclass(slots=True)
class Slotted:
    email: str
    id: int = 7


class Pair(typing.NamedTuple):
    email: str


class Loud:
    @property
    def email(self):
        raise AssertionError("code of the app's own")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Lazy(id=7), "7"),
        (Lazy, ANONYMOUS),
        (lambda: Slotted("ada@example.com"), "ada@example.com"),
        (lambda: Pair("ada@example.com"), "ada@example.com"),
        (Loud, ANONYMOUS),
    ],
)
def test_nothing_is_computed_to_name_a_user(make, name):
    user, Lazy.asked = make(), 0
    assert Identity().user(scope(state={"user": user})) == name
    assert Lazy.asked == 0


# Nothing raises

_VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.binary() | st.lists(st.text(), max_size=2)
_NESTED = _VALUES | st.dictionaries(st.sampled_from(["claims", "user", "email", "sub"]), _VALUES)


@given(
    st.lists(st.tuples(st.sampled_from([b"authorization", b"x-user-email"]), st.binary()), max_size=3),
    st.dictionaries(st.sampled_from(["user", "state"]), _NESTED | st.dictionaries(st.sampled_from(["user"]), _NESTED)),
    _VALUES,
)
def test_nothing_that_is_in_a_scope_raises(headers, more, identified):
    logging.getLogger("tracker").disabled = True
    try:
        identity = Identity(identify=lambda scope: identified, tokens=TOKENS, gateway_header="x-user-email")
        name = identity.user({"type": "http", "headers": headers, **more})
    finally:
        logging.getLogger("tracker").disabled = False
    assert name == ANONYMOUS or clean_name(name)


# Starlette's own authentication


class Backend(AuthenticationBackend):
    async def authenticate(self, conn):
        if "x-let-me-in" in conn.headers:
            return AuthCredentials(["authenticated"]), SimpleUser("Ada@Example.com")


@pytest.mark.parametrize(("headers", "name"), [([(b"x-let-me-in", b"1")], "ada@example.com"), ([], ANONYMOUS)])
async def test_the_user_of_starlettes_authentication_middleware(headers, name):
    seen = {}

    class Outermost:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)
            seen["user"] = Identity().user(scope)

    async def hello(request):
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", hello)])
    app.add_middleware(AuthenticationMiddleware, backend=Backend())
    app.add_middleware(Outermost)

    async def send(message):
        await asyncio.sleep(0)

    async def receive():
        return {"type": "http.request", "body": b""}

    await app({"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": headers}, receive, send)
    assert seen["user"] == name


async def test_what_an_endpoint_puts_on_request_state_counts():
    async def hello(request):
        request.state.user = Person(email="Ada@Example.com")
        return PlainTextResponse("hello")

    request = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": [], "state": {}}

    async def send(message):
        await asyncio.sleep(0)

    await Starlette(routes=[Route("/", hello)])(request, None, send)
    assert Identity().user(request) == "ada@example.com"
