"""Tokens as the identity providers make them, claim by claim from their own documentation, with keys of our own."""

import json
import time

import pytest

pytest.importorskip("jwt")
pytest.importorskip("cryptography")
pytest.importorskip("starlette")

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tracker import UsageTrackingMiddleware

SECRET = "a secret of the tests, 32 bytes or more"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"

# name: issuer, claims beside iss, iat and exp, the settings that the recipe names, and who it is
SHAPES = {
    # auth0.com/docs/secure/tokens/access-tokens/access-token-profiles: no address, several audiences
    "Auth0 access token": (
        "https://example.eu.auth0.com/",
        {
            "sub": "auth0|5f7c8ec7c33c6c004bbafe82",
            "aud": ["https://api.example.com", "https://example.eu.auth0.com/userinfo"],
            "azp": "my_client_id",
            "scope": "openid profile email",
        },
        {"jwt_audience": "https://api.example.com"},
        "auth0|5f7c8ec7c33c6c004bbafe82",
    ),
    # auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims: a custom claim is a URL
    "Auth0 with a custom claim": (
        "https://example.eu.auth0.com/",
        {"sub": "auth0|5f7c", "aud": "https://api.example.com", "https://example.com/email": "Ann@Example.com"},
        {"jwt_audience": "https://api.example.com", "jwt_user_claim": "https://example.com/email"},
        "ann@example.com",
    ),
    # learn.microsoft.com/entra/identity-platform/access-token-claims-reference, ver 1.0: upn
    "Entra v1": (
        f"https://sts.windows.net/{TENANT}/",
        {
            "aud": "api://6e74172b-be56-4843-9ff4-e66a39bb12e3",
            "appid": "6e74172b",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
            "sub": "rfh6SU21wBcz5uq8bQ0z0xA",
            "upn": "ann@example.com",
            "unique_name": "ann@example.com",
            "ver": "1.0",
        },
        {"jwt_audience": "api://6e74172b-be56-4843-9ff4-e66a39bb12e3"},
        "ann@example.com",
    ),
    # the same page, ver 2.0: preferred_username
    "Entra v2": (
        f"https://login.microsoftonline.com/{TENANT}/v2.0",
        {
            "aud": "6e74172b-be56-4843-9ff4-e66a39bb12e3",
            "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474",
            "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
            "name": "Ann",
            "preferred_username": "ann@example.com",
            "tid": TENANT,
            "ver": "2.0",
        },
        {"jwt_audience": "6e74172b-be56-4843-9ff4-e66a39bb12e3"},
        "ann@example.com",
    ),
    # keycloak.org/docs, server administration, audience support: "account" unless a mapper says otherwise
    "Keycloak": (
        "https://sso.example.com/realms/main",
        {
            "aud": "account",
            "sub": "f:8c1b:42",
            "typ": "Bearer",
            "azp": "web",
            "email_verified": True,
            "preferred_username": "ann",
            "email": "ann@example.com",
        },
        {"jwt_audience": "account"},
        "ann@example.com",
    ),
    "Keycloak without an address": (
        "https://sso.example.com/realms/main",
        {"aud": "account", "sub": "0c1d-7e", "preferred_username": "ann", "email_verified": False},
        {"jwt_audience": "account"},
        "ann",
    ),
    # docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html: no aud
    "Cognito access token": (
        "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example",
        {
            "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "client_id": "xxxxexample",
            "token_use": "access",
            "username": "ann@example.com",
            "jti": "a-b",
        },
        {},
        "ann@example.com",
    ),
    # …/amazon-cognito-user-pools-using-the-id-token.html
    "Cognito ID token": (
        "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_example",
        {
            "sub": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
            "aud": "xxxxexample",
            "token_use": "id",
            "cognito:username": "ann",
            "email": "ann@example.com",
            "email_verified": True,
        },
        {"jwt_audience": "xxxxexample"},
        "ann@example.com",
    ),
    # firebase.google.com/docs/auth/admin/verify-id-tokens: aud is the project's id
    "Firebase": (
        "https://securetoken.google.com/my-project",
        {
            "aud": "my-project",
            "auth_time": 1_700_000_000,
            "user_id": "JKuAbc123",
            "sub": "JKuAbc123",
            "email": "ann@example.com",
            "email_verified": True,
            "firebase": {"identities": {"email": ["ann@example.com"]}, "sign_in_provider": "password"},
        },
        {"jwt_audience": "my-project"},
        "ann@example.com",
    ),
    # the same: somebody who signed up with an address that is not theirs
    "Firebase, address not verified": (
        "https://securetoken.google.com/my-project",
        {"aud": "my-project", "user_id": "JKu", "sub": "JKu", "email": "boss@example.com", "email_verified": False},
        {"jwt_audience": "my-project"},
        "JKu",
    ),
    # supabase.com/docs/guides/auth/jwt-fields
    "Supabase": (
        "https://abcdefghijkl.supabase.co/auth/v1",
        {
            "aud": "authenticated",
            "sub": "123e4567-e89b-12d3-a456-426614174000",
            "email": "ann@example.com",
            "phone": "",
            "role": "authenticated",
            "aal": "aal1",
            "session_id": "session-uuid",
            "is_anonymous": False,
        },
        {"jwt_audience": "authenticated"},
        "ann@example.com",
    ),
    # clerk.com/docs/backend-requests/resources/session-tokens: no aud, no address
    "Clerk": (
        "https://clerk.example.com",
        {"azp": "https://example.com", "sid": "sess_123", "sub": "user_2abc", "v": 2, "nbf": 1_700_000_000},
        {},
        "user_2abc",
    ),
    # jwt.io's most common of all: a number as subject
    "home-made, with a number": ("https://example.com", {"sub": 42}, {}, "42"),
}  # fmt: skip


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def jwks(key, tmp_path):
    """A key set as providers publish it, in a file."""
    published = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [published | {"kid": "k1", "use": "sig", "alg": "RS256"}]}))
    return str(path)


async def home(request):
    return JSONResponse({})


def tracked(database, **settings):
    app = Starlette(routes=[Route("/", home)])
    app.add_middleware(UsageTrackingMiddleware, database=database, **settings)
    return app


@pytest.mark.parametrize("name", SHAPES)
def test_the_person_of_a_providers_token_is_known(name, key, jwks, database, drive, asking, rows):
    issuer, claims, settings, person = SHAPES[name]
    now = int(time.time())
    payload = {"iss": issuer, "iat": now, "exp": now + 600, **claims}
    token = jwt.encode(payload, key, "RS256", headers={"kid": "k1"})
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = jwt.encode(payload, stranger, "RS256", headers={"kid": "k1"})

    async def work(app):
        for sent in (token, forged):
            await asking(app, "GET", "/", headers={"authorization": f"Bearer {sent}"})

    drive(tracked(database, jwks=jwks, jwt_issuer=issuer, **settings), work)
    assert rows("user_email") == [(person,), ("anonymous",)]


def test_a_provider_with_a_secret_needs_no_key_set(database, drive, asking, rows):
    token = jwt.encode(
        {"aud": "authenticated", "sub": "1", "email": "ann@example.com", "exp": time.time() + 60}, SECRET, "HS256"
    )

    async def work(app):
        await asking(app, "GET", "/", headers={"authorization": f"Bearer {token}"})

    drive(tracked(database, jwt_key=SECRET, jwt_audience="authenticated"), work)
    assert rows("user_email") == [("ann@example.com",)]
