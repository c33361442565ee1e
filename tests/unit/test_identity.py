"""Who a request's user is: each source, the order among them, and what does not count."""

import asyncio
import enum
import logging
import time
import types

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, SimpleUser, UnauthenticatedUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tracker.event import ANONYMOUS
from tracker.identity import MAX_NAME, Identity, clean_name
from tracker.tokens import TokenVerifier

KEY = "a secret for tests, of more than thirty-two bytes"
NOW = time.time()


def bearer(key=KEY, scheme="Bearer", **claims):
    claims = {"email": "token@example.com", "exp": int(NOW) + 3600} | claims
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
        ("auth0|12345", "auth0|12345"),
        ("Zoë Müller", "zoë müller"),
        (Mail.ADA, "ada@example.com"),
        ("x" * 320, "x" * 320),
        ("x" * 321, None),
        ("İ" * 200, None),
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
        assert clean_name(name) == name or name.lower() != name  # some letters have no one lower case


# Each source


def test_a_request_that_proves_nothing_is_anonymous():
    headers = [
        (b"x-user-email", b"eve@example.com"),
        (b"cookie", b"user=eve@example.com"),
        (b"authorization", b"Bearer x"),
    ]
    assert Identity().user({"type": "http", "headers": headers, "state": {}}) == ANONYMOUS
    assert Identity(tokens=TokenVerifier(KEY)).user({"type": "http", "headers": headers}) == ANONYMOUS


@pytest.mark.parametrize(
    ("returned", "name"),
    [
        ("Ada@Example.com", "ada@example.com"),
        ("anonymous", ANONYMOUS),
        ("", ANONYMOUS),
        (42, ANONYMOUS),
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
        "The tracker could not tell who a user is (identify returned list, which is no name of 1 to 320 characters): "
        "it counts as anonymous. This is said once."
    ]


async def identify_later(scope):
    return "ada@example.com"


def test_an_async_identify_is_refused():
    with pytest.raises(ValueError, match=r"must be a plain function, not async: it is not awaited$"):
        Identity(identify=identify_later)


@pytest.mark.filterwarnings("error")
def test_an_awaitable_that_identify_returns_is_closed():
    assert Identity(identify=lambda scope: identify_later(scope)).user(scope()) == ANONYMOUS


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
        (Named(), "ada"),
        (signed_in(email="mail@example.com", identity="7", username="u", display_name="d"), "mail@example.com"),
        (signed_in(identity="7", username="u", display_name="d"), "7"),
        (signed_in(username="u", display_name="d"), "u"),
        (signed_in(email=None, identity=7, display_name="d"), "d"),
        (signed_in(email="\ud800"), ANONYMOUS),
        (signed_in(), ANONYMOUS),
        (Person(email="eve@example.com"), ANONYMOUS),
        (Person(email="eve@example.com", is_authenticated=False), ANONYMOUS),
        (Person(email="eve@example.com", is_authenticated=lambda: False), ANONYMOUS),
        (Person(email="eve@example.com", is_authenticated="no"), ANONYMOUS),
        (None, ANONYMOUS),
        ("eve@example.com", ANONYMOUS),
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
        ({"claims": {"email": 10**30, "sub": "\ud800"}}, ANONYMOUS),
        ({"claims": {}, "user": {"email": "ada@example.com"}}, "ada@example.com"),
        ({"user": Person(email="Ada@example.com")}, "ada@example.com"),
        ({"user": types.MappingProxyType({"email": "ada@example.com"})}, "ada@example.com"),
        ({"user": "eve@example.com"}, ANONYMOUS),
        ({"user": None, "claims": None}, ANONYMOUS),
        ({"email": "eve@example.com"}, ANONYMOUS),
        ({}, ANONYMOUS),
        (None, ANONYMOUS),
        (3, ANONYMOUS),
    ],
)
def test_claims_count_that_the_app_itself_put_into_the_state(state, name):
    assert Identity().user(scope(state=state)) == name


TOKENS = TokenVerifier(KEY)


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (bearer(email="Ada@Example.com"), "ada@example.com"),
        (bearer(scheme="bearer"), "token@example.com"),
        (bearer(scheme="BEARER"), "token@example.com"),
        (bearer(email=None, sub="7"), "7"),
        (bearer(email=None), ANONYMOUS),
        (bearer(email="\ud800"), ANONYMOUS),
        (bearer(email=10**30), ANONYMOUS),
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
    identity = Identity(tokens=tokens, clock=lambda: now[0])
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
    identity = Identity(tokens=tokens, clock=lambda: now[0])
    request = scope(bearer(exp=int(NOW) + 60))
    assert identity.user(request) == "token@example.com"
    now[0] = int(NOW) + 59.9
    assert identity.user(request) == "token@example.com"
    now[0] = int(NOW) + 60
    assert identity.user(request) == ANONYMOUS
    assert tokens.asked == 2


def test_a_refused_token_is_asked_for_again_after_ten_seconds():
    now, tokens = [NOW], Counted(KEY)
    identity = Identity(tokens=tokens, clock=lambda: now[0])
    for _ in range(10):
        assert identity.user(scope(b"Bearer made-up")) == ANONYMOUS
    assert tokens.asked == 1
    now[0] += 10
    identity.user(scope(b"Bearer made-up"))
    assert tokens.asked == 2


def test_a_flood_of_made_up_tokens_neither_grows_the_memory_nor_pushes_known_ones_out():
    tokens = Counted(KEY)
    identity = Identity(tokens=tokens)
    good = scope(bearer())
    identity.user(good)
    for number in range(5_000):
        identity.user(scope(b"Bearer %d" % number))
    identity.user(scope(b"Bearer " + b"x" * 60_000))
    assert len(identity._refused) <= 2_048
    assert max(map(len, identity._refused)) <= 8_199
    asked = tokens.asked
    assert identity.user(good) == "token@example.com"
    assert tokens.asked == asked


def test_known_tokens_are_bounded():
    identity = Identity(tokens=TOKENS)
    for number in range(2_200):
        assert identity.user(scope(bearer(email=f"u{number}@example.com"))) == f"u{number}@example.com"
    assert len(identity._known) <= 2_048


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
