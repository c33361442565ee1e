"""Who may call from outside to have a round done or a report sent: the configured account alone, whatever comes."""

import base64
import json
import logging
import time
from contextlib import asynccontextmanager

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from guardian.web import auth
from guardian.web.limits import FAILURES
from tests.support.api_client import SCHEDULER, TOKEN, calling, opened

ENDPOINTS = ["/api/guardian/tick", "/api/guardian/scheduled-report"]
GOOGLE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANOTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
PEM = GOOGLE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = GOOGLE.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
JWK = {**json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(GOOGLE.public_key())), "kid": "g1", "alg": "RS256"}
ACCOUNT = "tick@my-project.iam.gserviceaccount.com"
AUDIENCE = "https://guardian-abc.a.run.app"


def claims(**given):
    now = int(time.time())
    known = {
        "iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "1", "sub": "1", "email": ACCOUNT,
        "email_verified": True, "iat": now, "exp": now + 3_600, **given,
    }  # fmt: skip
    return {name: value for name, value in known.items() if value is not None}


def signed(key=GOOGLE, algorithm="RS256", header=None, **given):
    return jwt.encode(claims(**given), key, algorithm=algorithm, headers={"kid": "g1", **(header or {})})


def by_hand(header, payload, secret=None):
    """A token as no library makes it: with any header, signed by HMAC with any bytes, or not at all."""
    import hashlib
    import hmac

    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    body = b".".join(part(json.dumps(each).encode()) for each in (header, payload))
    mac = b"" if secret is None else hmac.new(secret, body, hashlib.sha256).digest()
    return (body + b"." + part(mac)).decode()


def confused(secret):
    """Signed with the public key as if it were a secret."""
    return by_hand({"alg": "HS256", "typ": "JWT", "kid": "g1"}, claims(), secret)


REFUSED = {
    "another account": lambda: signed(email="other@my-project.iam.gserviceaccount.com"),
    "the account in other letters": lambda: signed(email=ACCOUNT.upper()),
    "a list of accounts": lambda: signed(email=[ACCOUNT]),
    "no account": lambda: signed(email=None),
    "an address that nobody verified": lambda: signed(email_verified=False),
    "verified in words only": lambda: signed(email_verified="true"),
    "verified by a number": lambda: signed(email_verified=1),
    "not said whether it was verified": lambda: signed(email_verified=None),
    "another audience": lambda: signed(aud="https://another.a.run.app"),
    "the audience with a slash more": lambda: signed(aud=AUDIENCE + "/"),
    "no audience": lambda: signed(aud=None),
    "an empty list of audiences": lambda: signed(aud=[]),
    "another issuer": lambda: signed(iss="https://evil.example"),
    "an issuer that begins like Google": lambda: signed(iss="https://accounts.google.com.evil.example"),
    "no issuer": lambda: signed(iss=None),
    "expired": lambda: signed(exp=int(time.time()) - 1),
    "expires never": lambda: signed(exp=None),
    "expires in words": lambda: by_hand({"alg": "HS256"}, claims(exp="never"), b"x" * 32),
    "not valid yet": lambda: signed(nbf=int(time.time()) + 3_600),
    "issued in the future": lambda: signed(iat=int(time.time()) + 3_600),
    "alg none": lambda: by_hand({"alg": "none", "kid": "g1"}, claims()),
    "alg None": lambda: by_hand({"alg": "None", "kid": "g1"}, claims()),
    "no alg": lambda: by_hand({"kid": "g1"}, claims()),
    "the public key as a secret, PEM": lambda: confused(PEM),
    "the public key as a secret, PEM without its end": lambda: confused(PEM.strip()),
    "the public key as a secret, DER": lambda: confused(DER),
    "the public key as a secret, JSON": lambda: confused(json.dumps(JWK).encode()),
    "the modulus as a secret": lambda: confused(JWK["n"].encode()),
    "an empty secret": lambda: confused(b""),
    "the right key, another algorithm": lambda: signed(algorithm="RS384"),
    "PS256": lambda: signed(algorithm="PS256"),
    "ES256 with a key of its own": lambda: signed(CURVE, "ES256"),
    "somebody else's key": lambda: signed(ANOTHER),
    "an unknown kid": lambda: signed(ANOTHER, header={"kid": "g2"}),
    "a key in the header": lambda: signed(ANOTHER, header={"kid": "g2", "jwk": JWK}),
    "a kid that is a path": lambda: by_hand({"alg": "HS256", "kid": "../../dev/null"}, claims(), b""),
    "a kid that is a list": lambda: by_hand({"alg": "RS256", "kid": ["g1"]}, claims(), b""),
    "critical fields": lambda: signed(header={"crit": ["x"], "x": 1}),
    "a signature cut off": lambda: signed().rpartition(".")[0] + ".",
    "another body under the signature": lambda: ".".join(
        part for part in (signed().split(".")[0], signed(email="x@example.com").split(".")[1], signed().split(".")[2])
    ),
    "nothing": lambda: "",
    "no token": lambda: "x.y.z",
    "a very long one": lambda: "a" * 20_000,
    "other letters": lambda: "tökén.ä.ö",
}


@asynccontextmanager
async def guarded(folder, keys=None, **api):
    """An application that lets the account in, with Google's keys in a file, or at the address `keys`."""
    folder.mkdir(exist_ok=True)
    (folder / "certs.json").write_text(json.dumps({"keys": [JWK]}))
    known = {
        "scheduler_account": ACCOUNT,
        "scheduler_audience": AUDIENCE,
        "scheduler_jwks": keys or str(folder / "certs.json"),
        **api,
    }
    async with opened(folder, api=known) as app, calling(app) as client:
        yield app, client


async def test_the_accounts_token_opens_both(tmp_path):
    async with guarded(tmp_path) as (_, client):
        for url in ENDPOINTS:
            assert (await client.post(url, headers={"Authorization": f"Bearer {signed()}"})).status_code == 200


@pytest.mark.parametrize("url", ENDPOINTS)
async def test_any_other_token_is_refused_by_the_same_words_and_nothing_runs(tmp_path, url, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr("guardian.web.limits.FAILURES", 1_000)
    async with guarded(tmp_path) as (app, client):
        wrong, said = {}, set()
        for what, make in REFUSED.items():
            token = make()
            answer = await client.post(url, headers={"Authorization": f"Bearer {token}".encode()})
            if answer.status_code != 401:
                wrong[what] = answer.status_code
            said.add(answer.text)
            assert token[:20] not in caplog.text or len(token) < 20
        assert wrong == {}
        assert [json.loads(each) for each in said] == [{"error": auth.WANTED}]
        assert app.token is None and app.health == {}
        assert await app.state.reports(limit=5) == []
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("url", ENDPOINTS)
@pytest.mark.parametrize("given", ["", " ", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\u00e4" * 40, "é" * 3])
async def test_a_shared_token_that_is_empty_short_or_another_is_refused(tmp_path, url, given):
    async with opened(tmp_path) as app, calling(app) as client:
        headers = {"X-Guardian-Scheduler-Token": given.encode()}
        assert (await client.post(url, headers=headers)).status_code == 401
        assert (await client.post(url, headers=SCHEDULER)).status_code == 200


@pytest.mark.parametrize("url", ENDPOINTS)
async def test_where_the_keys_cannot_be_had_that_is_said_and_counts_as_nobodys_failure(
    tmp_path, url, monkeypatch, caplog
):
    monkeypatch.setattr(auth, "KEYS_SECONDS", 0)
    async with guarded(tmp_path, keys="http://127.0.0.1:9/certs") as (_, client):
        for _ in range(FAILURES + 5):
            answer = await client.post(url, headers={"Authorization": f"Bearer {signed()}"})
            assert answer.status_code == 503
    assert answer.json()["error"].startswith("the keys of api.scheduler_jwks could not be fetched yet")
    assert "The keys at 127.0.0.1 could not be fetched" in caplog.text


@pytest.mark.parametrize("url", ENDPOINTS)
async def test_wrong_tokens_of_others_from_the_same_address_do_not_keep_the_scheduler_out(tmp_path, url, caplog):
    async with guarded(tmp_path, scheduler_token=TOKEN) as (_, client):
        for headers in ({"Authorization": "Bearer x.y.z"}, {"X-Guardian-Scheduler-Token": "x" * 40}):
            answers = [(await client.post(url, headers=headers)).status_code for _ in range(FAILURES + 5)]
            assert answers[-1] == 429
        assert caplog.text.count("A call is refused (401)") < 2 * FAILURES, "a flood of them does not fill the log"
        for headers in (SCHEDULER, {"Authorization": f"Bearer {signed()}"}):
            assert (await client.post(url, headers=headers)).status_code == 200
