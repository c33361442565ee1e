"""Who may call: every way that a token can be wrong, and that nothing opens where no key is configured."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import SecretStr

from guardian.settings.schema import ApiSettings
from guardian.web.auth import (
    WANTED,
    admin_verifier,
    require_admin_claims,
    require_scheduler_account,
    require_scheduler_token,
    scheduler_verifier,
)
from guardian.web.endpoint import Refusal

KEY = "an admin key of at least 32 bytes!"
TOKEN = "a scheduler token of 32 or more bytes"


def api(**keys):
    return ApiSettings(**{"jwt_key": SecretStr(KEY), **keys})


def token(key=KEY, algorithm="HS256", headers=None, **claims):
    payload = {"sub": "admin@example.com", "role": "admin", "exp": int(time.time()) + 86_400, **claims}
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, key, algorithm=algorithm, headers=headers)


def refused(authorization, settings):
    with pytest.raises(Refusal) as caught:
        require_admin_claims(authorization, admin_verifier(settings), settings)
    return caught.value


@pytest.mark.parametrize("role", ["admin", ["user", "admin"]])
def test_an_admin_is_let_in_with_the_claims_of_the_token(role):
    claims = require_admin_claims(f"Bearer {token(role=role)}", admin_verifier(api()), api())
    assert claims["sub"] == "admin@example.com"


def test_the_scheme_is_read_in_any_case():
    assert require_admin_claims(f"bEARER  {token()}", admin_verifier(api()), api())


def test_another_claim_and_value_can_be_asked_for():
    settings = api(admin_claim="https://example.com/groups", admin_value="ops")
    good = token(role=None, **{"https://example.com/groups": ["ops"]})
    assert require_admin_claims(f"Bearer {good}", admin_verifier(settings), settings)
    assert refused(f"Bearer {token()}", settings).status == 403


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "Token abc", "\x00"])
def test_without_a_bearer_token_the_answer_says_that_one_is_needed(header):
    refusal = refused(header, api())
    assert refusal.status == 401
    assert refusal.sentence == WANTED
    assert refusal.headers == {"WWW-Authenticate": 'Bearer realm="guardian"'}


def _unsigned():
    return jwt.encode({"role": "admin", "exp": int(time.time()) + 86_400}, None, algorithm="none")


@pytest.mark.parametrize(
    "bad",
    [
        "abc",
        "a.b.c",
        "é" * 20,
        "\ud800",
        "x" * 100_000,
        _unsigned(),
        token(exp=None),
        token(exp=int(time.time()) - 86_400),
        token(exp=10**30),
        token(nbf=int(time.time()) + 86_400),
        token(key="another key of at least 32 bytes!!"),
        token(key=KEY * 2, algorithm="HS512"),
    ],
)
def test_a_token_that_does_not_hold_is_401_and_only_the_log_says_why(bad, caplog):
    refusal = refused(f"Bearer {bad}", api())
    assert refusal.status == 401
    assert refusal.sentence == WANTED
    [line] = caplog.messages
    assert line.startswith("A call is refused (401): the ") and bad not in line
    assert 'error="invalid_token"' in refusal.headers["WWW-Authenticate"]


@pytest.mark.parametrize("role", [None, "user", "Admin", "administrator", ["user"], {"admin": True}, True, 1, "admin "])
def test_who_is_no_admin_is_403(role):
    refusal = refused(f"Bearer {token(role=role)}", api())
    assert refusal.status == 403
    assert refusal.sentence == "the token's claim role is not admin: ask for a token that says so"


def test_audience_and_issuer_are_checked_where_configured():
    settings = api(jwt_audience="guardian", jwt_issuer="https://id.example.com")
    good = token(aud="guardian", iss="https://id.example.com")
    assert require_admin_claims(f"Bearer {good}", admin_verifier(settings), settings)
    for bad in (token(), token(aud="other", iss="https://id.example.com"), token(aud="guardian", iss="https://x.com")):
        assert refused(f"Bearer {bad}", settings).status == 401


@pytest.mark.parametrize("header", [None, "Bearer x", f"Bearer {_unsigned()}", f"Bearer {token()}"])
def test_without_a_key_nobody_is_let_in(header):
    settings = ApiSettings()
    refusal = refused(header, settings)
    assert (refusal.status, refusal.sentence) == (503, "no key is configured: set api.jwt_key_file or api.jwks")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_tokens_are_checked_with_a_jwks_file(algorithm, tmp_path):
    private = rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else ec.generate_private_key(ec.SECP256R1())
    family = jwt.algorithms.RSAAlgorithm if algorithm == "RS256" else jwt.algorithms.ECAlgorithm
    public = family.to_jwk(private.public_key(), as_dict=True) | {"kid": "one", "use": "sig", "alg": algorithm}
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public]}))
    settings = ApiSettings(jwks=str(tmp_path / "jwks.json"), jwt_algorithms=[algorithm])
    good = token(key=private, algorithm=algorithm, headers={"kid": "one"})
    assert require_admin_claims(f"Bearer {good}", admin_verifier(settings), settings)["role"] == "admin"
    assert refused(f"Bearer {token()}", settings).status == 401  # HS256, whatever its key


def test_the_scheduler_token_lets_in():
    require_scheduler_token(TOKEN, ApiSettings(scheduler_token=SecretStr(TOKEN)))


@pytest.mark.parametrize("given", [None, "", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\xff" * 40, "\ud800"])
def test_another_scheduler_token_is_401_and_not_repeated(given):
    with pytest.raises(Refusal) as caught:
        require_scheduler_token(given, ApiSettings(scheduler_token=SecretStr(TOKEN)))
    assert caught.value.status == 401
    assert caught.value.sentence == WANTED


@pytest.mark.parametrize("given", [None, "", TOKEN])
def test_without_a_scheduler_token_in_the_settings_nobody_is_let_in(given):
    with pytest.raises(Refusal) as caught:
        require_scheduler_token(given, ApiSettings())
    assert caught.value.status == 503
    assert caught.value.sentence == "no scheduler token is configured: set api.scheduler_token_file"


def test_the_scheduler_token_is_compared_in_constant_time(monkeypatch):
    compared = []
    stand_in = SimpleNamespace(compare_digest=lambda one, other: compared.append((one, other)) or True)
    monkeypatch.setattr("guardian.web.auth.hmac", stand_in)
    require_scheduler_token("anything", ApiSettings(scheduler_token=SecretStr(TOKEN)))
    assert compared == [(b"anything", TOKEN.encode())]


GOOGLE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ACCOUNT = "tick@my-project.iam.gserviceaccount.com"
AUDIENCE = "https://guardian-abc.a.run.app"


@pytest.fixture
def account(tmp_path):
    """Settings that let one service account in, with Google's keys in a file."""
    public = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(GOOGLE.public_key()))
    (tmp_path / "certs.json").write_text(json.dumps({"keys": [{**public, "kid": "g1", "use": "sig", "alg": "RS256"}]}))
    return ApiSettings(
        scheduler_account=ACCOUNT, scheduler_audience=AUDIENCE, scheduler_jwks=str(tmp_path / "certs.json")
    )


def of_google(key=GOOGLE, algorithm="RS256", **claims):
    """An OpenID Connect token as Google makes it for a service account."""
    named = {
        "iss": "https://accounts.google.com", "aud": AUDIENCE, "azp": "1", "sub": "1", "email": ACCOUNT,
        "email_verified": True, "iat": int(time.time()), "role": None,
    }  # fmt: skip
    return "Bearer " + token(key, algorithm, {"kid": "g1"}, **{**named, **claims})


async def test_the_schedulers_account_is_let_in_by_its_token(account):
    await require_scheduler_account(of_google(), scheduler_verifier(account), account)


OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


# Made when the test runs: the processes of a run must find the same tests.
@pytest.mark.parametrize(
    "made",
    [
        lambda: of_google(email="other@my-project.iam.gserviceaccount.com"),
        lambda: of_google(email=None),
        lambda: of_google(email_verified=False),
        lambda: of_google(email_verified="true"),
        lambda: of_google(email_verified=None),
        lambda: of_google(aud="https://another.a.run.app"),
        lambda: of_google(aud=None),
        lambda: of_google(iss="https://evil.example"),
        lambda: of_google(iss=None),
        lambda: of_google(exp=int(time.time()) - 1),
        lambda: of_google(exp=None),
        lambda: of_google(KEY, "HS256"),
        lambda: of_google(OTHER_KEY),
        lambda: "Bearer ",
        lambda: "Bearer x.y.z",
        lambda: "Basic " + of_google().removeprefix("Bearer "),
    ],
)
async def test_any_other_token_is_401_and_says_nothing_of_why(made, account, caplog):
    with pytest.raises(Refusal) as caught:
        await require_scheduler_account(made(), scheduler_verifier(account), account)
    assert (caught.value.status, caught.value.sentence) == (401, WANTED)
    assert "A call is refused (401)" in caplog.text


@pytest.mark.parametrize("given", [{"scheduler_account": ACCOUNT}, {"scheduler_audience": AUDIENCE}])
def test_an_account_without_an_audience_is_refused_and_the_reverse(given):
    with pytest.raises(ValueError, match="is set without scheduler_"):
        ApiSettings(**given)


async def test_a_call_that_started_the_process_waits_for_the_keys(account, tmp_path):
    keys, asked = (tmp_path / "certs.json").read_bytes(), threading.Event()

    class Certs(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.wait(60)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(keys)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Certs) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/certs"
        settings = account.model_copy(update={"scheduler_jwks": url})
        verifier = scheduler_verifier(settings)
        with pytest.raises(Refusal):
            await require_scheduler_account(of_google(), verifier, settings, patience=0.01)
        asked.set()
        await require_scheduler_account(of_google(), verifier, settings, patience=60)
        server.shutdown()
