"""Which tokens count, and which settings can be: real signatures, real files, a real server for key sets."""

import base64
import hashlib
import hmac
import json
import logging
import socket
import sys
import threading
import time
import warnings
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker import jwks as key_sets
from tracker.tokens import InvalidToken, TokenVerifier

SECRET = "a secret for tests, of more than thirty-two bytes"
RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
NOW = time.time()


def pem(private):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def claims(**more):
    return {"email": "ada@example.com", "exp": int(NOW) + 86_400} | more


def token(key=SECRET, algorithm="HS256", headers=None, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode(claims(**more), key, algorithm=algorithm, headers=headers)


def part(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header, payload, key=SECRET):
    """A token of any two parts, signed right."""
    text = f"{part(header)}.{part(payload)}"
    sign = jwt.get_algorithm_by_name("HS256").sign(text.encode(), key.encode())
    return f"{text}.{part(sign)}"


def refusal(verifier, text):
    with pytest.raises(InvalidToken) as refused:
        verifier.claims(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("key", "private", "algorithm"),
    [
        (SECRET, SECRET, "HS256"),
        (SECRET.encode(), SECRET, "HS256"),
        (pem(RSA), RSA, "RS256"),
        (pem(EC).encode(), EC, "ES256"),
        (pem(ED), ED, "EdDSA"),
    ],
)
def test_a_token_that_checks_out_gives_its_claims(key, private, algorithm):
    verifier = TokenVerifier(key)
    assert verifier.claims(token(private, algorithm)) == claims()


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "PS256", "RS512"])
def test_other_algorithms_of_the_family_can_be_chosen(algorithm):
    private = SECRET if algorithm.startswith("HS") else RSA
    key = SECRET if algorithm.startswith("HS") else pem(RSA)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", getattr(jwt, "InsecureKeyLengthWarning", Warning))
        assert TokenVerifier(key, algorithms=[algorithm]).claims(token(private, algorithm)) == claims()
    assert refusal(TokenVerifier(key), token(private, algorithm)).startswith("the token is not signed with ")


UNSIGNED, UNSIGNED_TOO = (f"{part({'alg': alg})}.{part(claims())}." for alg in ("none", "NoNe"))
LONE = "\ud800"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the token is not valid"),
        ("a.b.c", "the token is not valid"),
        ("....", "the token is not valid"),
        (LONE, "the token is not valid"),
        (token() + LONE, "the token is not valid"),
        ("\x00" * 50, "the token is not valid"),
        ("a" * 8_193, "the token has more than 8192 characters"),
        (token(note="x" * 9_000), "the token has more than 8192 characters"),
        (UNSIGNED, "the token is not signed with HS256"),
        (UNSIGNED_TOO, "the token is not signed with HS256"),
        (token(RSA, "RS256"), "the token is not signed with HS256"),
        (token("another secret, which has thirty-two bytes too"), "the token is not signed with the key that is known"),
        (token()[:-4] + "AAAA", "the token is not signed with the key that is known"),
        (token(exp=int(NOW) - 1), "the token has expired"),
        (token(nbf=int(NOW) + 86_400), "the token is not valid yet"),
        (token(iat=int(NOW) + 86_400), "the token is not valid yet"),
        (token(exp=10**30), "the token's expiry is not a time"),
        (token(exp=1e300), "the token's expiry is not a time"),
        (token(exp=str(int(NOW) + 600)), "the token is not valid"),
        (token(exp="soon"), "the token is not valid"),
        (token(exp=None), "the token has no claim 'exp'"),
        (token(exp=[1]), "the token is not valid"),
        (token(exp={}), "the token is not valid"),
        (token(exp=True), "the token has expired"),
        (signed({"alg": "HS256"}, b'{"exp": NaN}'), "the token's expiry is not a time"),
        (signed({"alg": "HS256"}, b'{"exp": Infinity}'), "the token's expiry is not a time"),
        (signed({"alg": "HS256"}, b'{"exp": 1' + b"0" * 5_000 + b"}"), "the token is not valid"),
        (signed({"alg": "HS256"}, b"[" * 5_000), "the token is not valid"),
        (signed({"alg": "HS256"}, {"email": "ada@example.com"}), "the token has no claim 'exp'"),
        (signed({"alg": "HS256"}, [1]), "the token is not valid"),
        (signed({"alg": "HS256"}, b"\xff\xfe"), "the token is not valid"),
        (signed(["HS256"], claims()), "the token is not valid"),
        (signed({"alg": ["HS256"]}, claims()), "the token is not signed with HS256"),
        (signed({"alg": "HS256", "crit": ["exp"]}, claims()), "the token is not valid"),
        (signed({"alg": "HS256", "kid": 5}, claims()), "the token is not valid"),
        (signed({"alg": "HS256"}, claims(nbf="x")), "the token is not valid"),
        (signed({"alg": "HS256"}, claims(aud="another")), "the token is for the audience 'another'"),
    ],
)  # fmt: skip
def test_any_other_token_is_refused_with_one_sentence(text, sentence):
    assert refusal(TokenVerifier(SECRET), text) == sentence


def test_a_public_key_is_never_taken_for_a_secret():
    public = pem(RSA)
    header, payload = {"alg": "HS256", "typ": "JWT"}, claims()
    text = f"{part(header)}.{part(payload)}"
    forged = f"{text}.{part(hmac.digest(public.encode(), text.encode(), hashlib.sha256))}"
    assert refusal(TokenVerifier(public), forged) == "the token is not signed with RS256 or ES256 or EdDSA"


@pytest.mark.parametrize(
    ("wanted", "given", "sentence"),
    [
        ({"audience": "api"}, {"aud": "api"}, None),
        ({"audience": "api"}, {"aud": ["web", "api"]}, None),
        ({"audience": "api"}, {"aud": "web"}, "the token is for the audience 'web'"),
        ({"audience": "api"}, {}, "the token has no claim 'aud'"),
        ({"audience": "api"}, {"aud": {"api": 1}}, "the token is for another audience"),
        ({"audience": "api"}, {"aud": [1]}, "the token is for another audience"),
        ({}, {"aud": "api"}, "the token is for the audience 'api'"),
        ({"issuer": "https://id.example.com"}, {"iss": "https://id.example.com"}, None),
        ({"issuer": "https://id.example.com"}, {"iss": "https://evil.example.com"}, "the token is from another issuer"),
        ({"issuer": "https://id.example.com"}, {}, "the token has no claim 'iss'"),
        ({"require": ("exp", "sub")}, {"sub": "7"}, None),
        ({"require": ("exp", "sub")}, {}, "the token has no claim 'sub'"),
    ],
)
def test_audience_issuer_and_required_claims_are_checked(wanted, given, sentence):
    verifier = TokenVerifier(SECRET, **wanted)
    if sentence is None:
        assert verifier.claims(token(**given)) == claims(**given)
    else:
        assert refusal(verifier, token(**given)) == sentence


def test_a_token_ends_by_the_clock_that_was_given():
    now = [NOW]
    verifier = TokenVerifier(SECRET, clock=lambda: now[0])
    good = token(exp=int(NOW) + 60)
    assert verifier.claims(good)
    now[0] = int(NOW) + 60
    assert refusal(verifier, good) == "the token has expired"


VERIFIER = TokenVerifier(SECRET)


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(st.text(), st.tuples(st.binary(), st.binary(), st.binary()).map(lambda parts: ".".join(map(part, parts))))
)
def test_no_text_raises_anything_but_invalid_token(text):
    refusal(VERIFIER, text)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(st.sampled_from(["kid", "crit", "b64", "typ", "jku", "jwk"]), _JSON),
    st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "aud", "iss", "sub", "jti", "email"]), _JSON) | _JSON,
)
def test_no_signed_content_raises_anything_but_invalid_token(header, payload):
    try:
        got = VERIFIER.claims(signed({"alg": "HS256"} | header, payload))
    except InvalidToken:
        return
    assert NOW < got["exp"] < 253_402_300_800


FOR_SECRETS = "does not go with a secret: use HS256, HS384, HS512"
SHORT = "the key has 31 bytes: a secret needs at least 32"
PUBLIC = "a public key: use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA"

# In Python's own words, which changed.
OF_A_NUL = "embedded null byte" if sys.version_info < (3, 13) else "stat: embedded null character in path"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "give either a key or jwks to check tokens with"),
        ({"key": SECRET, "jwks": "keys.json"}, "give either a key or jwks to check tokens with"),
        ({"key": "x" * 31}, SHORT),
        ({"key": SECRET, "algorithms": ["RS256"]}, f"algorithm 'RS256' {FOR_SECRETS}"),
        ({"key": SECRET, "algorithms": ("HS256", "ES256")}, f"algorithm 'ES256' {FOR_SECRETS}"),
        ({"key": SECRET, "algorithms": ["none"]}, f"algorithm 'none' {FOR_SECRETS}"),
        ({"key": pem(RSA), "algorithms": "HS256"}, f"algorithm 'HS256' does not go with {PUBLIC}"),
        ({"key": pem(RSA), "algorithms": ["RS256", "HS256"]}, f"algorithm 'HS256' does not go with {PUBLIC}"),
        ({"jwks": "keys.json", "algorithms": ["HS256"]}, f"algorithm 'HS256' does not go with {PUBLIC}"),
        ({"key": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
         "the key is not a PEM public key (-----BEGIN PUBLIC KEY-----)"),
        ({"jwks": "http://id.example.com/keys"},
         "jwks = 'http://id.example.com/keys' would be fetched without TLS: use https"),
        ({"jwks": "/nowhere/keys.json"}, "jwks = '/nowhere/keys.json' cannot be read: No such file or directory"),
        ({"jwks": "a\0b"}, f"jwks = 'a\\x00b' cannot be read: {OF_A_NUL}"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused_with_one_sentence(given, sentence):
    with pytest.raises(ValueError) as refused:
        TokenVerifier(**given)
    assert str(refused.value) == sentence


def test_a_private_key_or_one_in_der_is_refused():
    private = RSA.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    with pytest.raises(ValueError, match="is not a PEM public key"):
        TokenVerifier(private)
    with pytest.raises(ValueError, match="not in PEM"):
        TokenVerifier(RSA.public_key().public_bytes(serialization.Encoding.DER, form))


# Key sets


def entry(private, kid, **more):
    algorithm = {RSA: "RS256", OTHER_RSA: "RS256", EC: "ES256", ED: "EdDSA"}[private]
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(private.public_key(), as_dict=True)
    return made | ({} if kid is None else {"kid": kid}) | more


def key_set(*entries):
    return json.dumps({"keys": entries}).encode()


def by(private, kid, algorithm="RS256"):
    return token(private, algorithm, headers={} if kid is None else {"kid": kid})


def test_a_key_set_checks_each_token_with_the_key_it_names(tmp_path):
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(entry(RSA, "one"), entry(EC, "two"), entry(ED, "three")))
    verifier = TokenVerifier(jwks=file)
    for private, kid, algorithm in ((RSA, "one", "RS256"), (EC, "two", "ES256"), (ED, "three", "EdDSA")):
        assert verifier.claims(by(private, kid, algorithm)) == claims()
    assert refusal(verifier, by(OTHER_RSA, "one")) == "the token is not signed with the key that is known"
    assert refusal(verifier, by(RSA, "four")) == "the token is signed with a key that is not known"
    assert refusal(verifier, by(RSA, None)) == "the token is signed with a key that is not known"
    assert refusal(verifier, by(RSA, "two")) == "the token is not valid"


def test_a_token_without_a_key_id_is_checked_with_the_only_key(tmp_path):
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(entry(RSA, "one")))
    assert TokenVerifier(jwks=str(file)).claims(by(RSA, None)) == claims()


def test_a_key_serves_only_the_algorithm_that_it_names(tmp_path):
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(entry(RSA, "bound", alg="RS256"), entry(OTHER_RSA, "free")))
    verifier = TokenVerifier(jwks=file, algorithms=["RS256", "PS256"])
    assert verifier.claims(by(RSA, "bound"))
    assert verifier.claims(by(OTHER_RSA, "free", "PS256"))
    assert refusal(verifier, by(RSA, "bound", "PS256")) == "the token is signed with a key that is not known"


SECRET_ENTRY = {"kty": "oct", "kid": "s", "k": part(SECRET.encode())}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is not a set of keys (RFC 7517)"),
        (b"[]", "is not a set of keys (RFC 7517)"),
        (b"[" * 100_000, "is not a set of keys (RFC 7517)"),
        (b"\xff", "is not a set of keys (RFC 7517)"),
        (b'{"keys": 3}', "holds no public key that can check a signature"),
        (b'{"keys": []}', "holds no public key that can check a signature"),
        (key_set(SECRET_ENTRY), "holds no public key that can check a signature"),
        (key_set(entry(RSA, "e", use="enc")), "holds no public key that can check a signature"),
        (key_set(3, {"kty": "XX"}, {"kty": "RSA", "n": 3}, entry(RSA, "a", alg=[]) | {"n": "!"}),
         "holds no public key that can check a signature"),
        (key_set(entry(RSA, ["list"])), "holds no public key that can check a signature"),
        (b" " * 1_000_001, "has more than 1000000 bytes"),
    ],
)  # fmt: skip
def test_a_file_without_keys_is_refused(tmp_path, text, why):
    file = tmp_path / "keys.json"
    file.write_bytes(text)
    with pytest.raises(ValueError) as refused:
        TokenVerifier(jwks=file)
    assert str(refused.value) == f"jwks = {str(file)!r} {why}"


def test_a_file_is_read_again_when_it_changes_and_kept_while_it_is_bad(tmp_path, caplog):
    file = tmp_path / "keys.json"
    file.write_bytes(key_set(entry(RSA, "one")))
    verifier = TokenVerifier(jwks=file)
    file.write_bytes(b"half of it")
    assert verifier.claims(by(RSA, "one"))
    assert verifier.claims(by(RSA, "one"))
    assert [record.getMessage() for record in caplog.records] == [
        f"jwks = {str(file)!r} is not a set of keys (RFC 7517); the keys read before are kept."
    ]
    file.write_bytes(key_set(entry(OTHER_RSA, "two")))
    assert verifier.claims(by(OTHER_RSA, "two"))
    assert refusal(verifier, by(RSA, "one")) == "the token is signed with a key that is not known"
    file.unlink()
    assert verifier.claims(by(OTHER_RSA, "two"))


class Issuer:
    """An HTTP server on loopback that answers with `content`, after `gate` was opened."""

    def __init__(self):
        self.content, self.status, self.asked, self.gate = key_set(entry(RSA, "one")), 200, [], threading.Event()
        self.gate.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.gate.wait(10)
                outer.asked.append(self.path)
                if outer.status == 0:
                    self.connection.close()
                    return
                self.send_response(outer.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys?client=secret"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def issuer():
    made = Issuer()
    yield made
    made.gate.set()
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock of the key sets, in seconds."""
    now = [1000.0]
    monkeypatch.setattr(key_sets.time, "monotonic", lambda: now[0])
    return now


def fetched():
    """Wait until no thread fetches any more."""
    deadline = time.perf_counter() + 60
    while any(thread.name == "usage-tracker-jwks" for thread in threading.enumerate()):
        assert time.perf_counter() < deadline, "the thread does not end"
        threading.Event().wait(0.005)


def test_a_url_is_fetched_in_the_background_and_never_while_a_token_is_checked(issuer, clock):
    issuer.gate.clear()
    verifier = TokenVerifier(jwks=issuer.url)
    assert refusal(verifier, by(RSA, "one")) == "the keys of jwks could not be fetched yet"
    assert issuer.asked == []
    issuer.gate.set()
    fetched()
    assert verifier.claims(by(RSA, "one")) == claims()
    assert issuer.asked == ["/keys?client=secret"]


def test_an_unknown_key_has_the_set_fetched_again_at_most_once_a_minute(issuer, clock):
    verifier = TokenVerifier(jwks=issuer.url)
    fetched()
    issuer.content = key_set(entry(OTHER_RSA, "two"))
    clock[0] += 59
    for _ in range(20):
        refusal(verifier, by(OTHER_RSA, "two"))
    fetched()
    assert len(issuer.asked) == 1
    clock[0] += 1
    for _ in range(20):
        refusal(verifier, by(OTHER_RSA, "unknown"))
    fetched()
    assert len(issuer.asked) == 2
    assert verifier.claims(by(OTHER_RSA, "two"))


def test_a_key_that_was_withdrawn_ends_within_an_hour(issuer, clock):
    verifier = TokenVerifier(jwks=issuer.url)
    fetched()
    issuer.content = key_set(entry(OTHER_RSA, "two"))
    issuer.gate.clear()
    clock[0] += 3599
    assert verifier.claims(by(RSA, "one"))
    clock[0] += 1
    assert verifier.claims(by(RSA, "one"))  # the last one, since nothing waits for the answer
    issuer.gate.set()
    fetched()
    assert refusal(verifier, by(RSA, "one")) == "the token is signed with a key that is not known"


@pytest.mark.parametrize(
    ("status", "content", "why"),
    [
        (302, b"", "Found"),
        (500, b"", "Internal Server Error"),
        (200, b"<html>", "is not a set of keys (RFC 7517)"),
        (200, b" " * 1_000_001, "has more than 1000000 bytes"),
        (0, b"", "Remote end closed connection without response"),
        (799, b"", "the status 799"),
    ],
)
def test_a_url_that_fails_is_logged_by_its_host_and_asked_again(issuer, clock, caplog, status, content, why):
    good, issuer.status, issuer.content = issuer.content, status, content
    with caplog.at_level(logging.WARNING, "tracker"):
        verifier = TokenVerifier(jwks=issuer.url)
        fetched()
    assert [record.getMessage() for record in caplog.records] == [
        f"The keys at 127.0.0.1 could not be fetched ({why}): tokens signed with a key that is not known are refused."
    ]
    assert issuer.asked == ["/keys?client=secret"]  # no redirect was followed
    issuer.status, issuer.content = 200, good
    clock[0] += 10
    refusal(verifier, by(RSA, "one"))
    fetched()
    assert verifier.claims(by(RSA, "one")) == claims()


class Spoken:
    """A server on loopback that answers each request with what `answer` yields, and hangs up."""

    def __init__(self, answer):
        self.asked, self._answer, self._socket = 0, answer, socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/keys"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with suppress(OSError), connection:
            connection.recv(65_536)
            self.asked += 1
            for part in self._answer():
                connection.sendall(part)

    def close(self):
        self._socket.close()


@pytest.fixture
def spoken():
    made = []

    def serve(answer):
        made.append(Spoken(answer))
        return made[-1]

    yield serve
    for each in made:
        each.close()


@pytest.mark.parametrize(
    "start",
    [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
)
def test_a_server_that_drips_is_left_after_fifteen_seconds(spoken, clock, caplog, start):
    def drip():
        yield b"HTTP/1.1 200 OK\r\n" + start
        while True:
            clock[0] += 1  # a byte a second, each well within the time that one may take
            yield b"1"

    server = spoken(drip)
    with caplog.at_level(logging.WARNING, "tracker"):
        TokenVerifier(jwks=server.url)
        fetched()
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("The keys at 127.0.0.1 could not be fetched (timed out): ")


def test_while_a_fetch_is_under_way_no_other_is_begun(issuer, clock):
    issuer.gate.clear()
    verifier = TokenVerifier(jwks=issuer.url)
    clock[0] += key_sets.EMPTY_SECONDS
    for _ in range(20):
        refusal(verifier, by(RSA, "one"))
    assert sum(thread.name == "usage-tracker-jwks" for thread in threading.enumerate()) == 1
    issuer.gate.set()
    fetched()
    assert len(issuer.asked) == 1
    assert verifier.claims(by(RSA, "one"))


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 503 hunter2 is down\r\nContent-Length: 0\r\n\r\n", "Service Unavailable"),
        (b"HTTP/1.1 999 hunter2\r\nContent-Length: 0\r\n\r\n", "the status 999"),
        (b"hunter2\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/9.9 hunter2\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nhunter2: " + b"h" * 70_000 + b"\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhunter2\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhunter2", "is not a set of keys (RFC 7517)"),
        (b"HTTP/1.1 200 OK\r\n\r\nhunter2", "is not a set of keys (RFC 7517)"),
    ],
)
def test_nothing_that_the_server_of_a_key_set_says_is_logged(spoken, clock, caplog, answer, why):
    server = spoken(lambda: [answer])
    with caplog.at_level(logging.WARNING, "tracker"):
        TokenVerifier(jwks=server.url)
        fetched()
    assert [record.getMessage() for record in caplog.records] == [
        f"The keys at 127.0.0.1 could not be fetched ({why}): tokens signed with a key that is not known are refused."
    ]
