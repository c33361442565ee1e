"""`guardian check --app`: what it says of real apps, and that it only looks at them."""

import json
import sys
import threading
from pathlib import Path

import pytest

from guardian.cli import main

APP = """
print("noise of the module")
from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from tracker import UsageTrackingMiddleware

app = FastAPI(lifespan=lambda app: 1 / 0, openapi_url=None)
app.add_middleware(CORSMiddleware)
TRACKER
api = APIRouter(prefix="/api")

@api.get("/items/{item_id:int}")
@api.post("/items")
def items(item_id: int = 0):
    raise SystemExit("a handler was called")

@app.get("/health")
def health():
    raise SystemExit("a handler was called")

@app.websocket("/live/{room}")
async def live(websocket):
    raise SystemExit("a handler was called")

app.include_router(api)

def create_app():
    return app

async def create_later():
    return app

def broken():
    secret = {}
    return secret["KEY"]

async def bare(scope, receive, send):
    raise SystemExit("the app was called")

tracked_bare = UsageTrackingMiddleware(bare, "bare.db")
import guardian
mixed = FastAPI(openapi_url=None)
mixed.add_middleware(UsageTrackingMiddleware, database="guardian.db")
mixed.mount("/legacy/{x}", bare)
mixed.mount("/guardian", guardian.app("guardian.toml"))
outer = FastAPI(openapi_url=None)
outer.mount("/in/{tenant}", app)
"""
ADDED = 'app.add_middleware(UsageTrackingMiddleware, database="guardian.db"MORE)'
SETTINGS = 'critical_features = ["items"]\n'


@pytest.fixture
def look(tmp_path, monkeypatch, capsys, no_variables):
    """What `check --app` says of the app with this middleware: exit code, {subject: [(level, text)]}, routes."""
    monkeypatch.chdir(tmp_path)

    def looked(target="shop:app", *arguments, more="", added=ADDED, settings=SETTINGS):
        (tmp_path / "shop.py").write_text(APP.replace("TRACKER", added.replace("MORE", more)))
        (tmp_path / "guardian.toml").write_text('admins = ["ann@corp.ch"]\n' + settings)
        monkeypatch.delitem(sys.modules, "shop", raising=False)
        with pytest.raises(SystemExit) as ended:
            main(["check", "--app", target, "--json", *arguments])
        sys.modules.pop("shop", None)
        told = json.loads(capsys.readouterr().out)
        found = {}
        for each in told["findings"]:
            found.setdefault(each["subject"], []).append((each["level"], each["text"].replace(f"{tmp_path}/", "")))
        return ended.value.code, found, told["routes"]

    return looked


def rows(routes):
    return [(" ".join(each["methods"]), each["route"], each["feature"], each["skipped"]) for each in routes]


ROUTES = [
    ("POST", "/api/items", "items", ""),
    ("GET", "/api/items/{item_id}", "items", ""),
    ("GET", "/health", "health", "skip"),
    ("WEBSOCKET", "/live/{room}", "live", ""),
]


@pytest.mark.parametrize(
    "call", [["shop:app"], ["shop:create_app()"], ["shop:create_app", "--factory"], ["shop:outer"]]
)
def test_each_route_is_said_with_its_feature(look, call):
    code, found, routes = look(*call, more=', jwks="https://login.corp.ch/keys", jwt_audience="shop"')
    assert code == 0
    assert rows(routes) == ROUTES
    assert found["app"][0] == ("ok", f"{call[0]} is tracked: 3 routes recorded, 1 skipped")
    assert ("ok", "records into guardian.db, which Guardian reads") in found["app"]
    assert found["identity"] == [("ok", "users are known by bearer tokens checked with jwks")]
    assert "features" not in found
    partly = "only what is mounted under /in/{tenant} is recorded, and without that prefix: add the middleware to"
    assert any(text.startswith(partly) for _, text in found["app"]) == (call == ["shop:outer"])


def test_names_that_are_configured_are_those_that_are_said(look):
    _, _, routes = look(
        more=', features={"POST /api/items": "order", "/live/*": "talk"}, skip=["/api/items/{item_id}"]'
    )
    assert rows(routes) == [
        ("POST", "/api/items", "order", ""),
        ("GET", "/api/items/{item_id}", "items", "skip"),
        ("GET", "/health", "health", "skip"),
        ("WEBSOCKET", "/live/{room}", "talk", ""),
    ]


def test_methods_that_share_a_template_have_names_of_their_own_where_that_is_set(look):
    more = ', feature_names="method", features={"GET /api/items": "list"})\napp.get("/api/items")(lambda: 1'
    _, _, routes = look(more=more)
    assert [row[:3] for row in rows(routes)][:3] == [
        ("GET", "/api/items", "list"),
        ("POST", "/api/items", "items_post"),
        ("GET", "/api/items/{item_id}", "items"),
    ]


def test_the_templates_that_an_app_without_a_router_names_are_its_routes(look):
    added = ADDED + "\nasync def db(scope, receive, send): ...\n"
    added += 'db = UsageTrackingMiddleware(db, "guardian.db", routes=["/{db}/{table:path}", "/-/query"])'
    _, found, routes = look("shop:db", added=added, settings='critical_features = ["query"]')
    assert rows(routes) == [("", "/-/query", "query", ""), ("", "/{db}/{table}", "db_table", "")]
    assert found["app"][0] == ("ok", "shop:db is tracked: 2 routes recorded")


def test_nothing_is_left_behind(look, tmp_path):
    before = threading.enumerate()
    look()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["guardian.toml", "shop.py"]
    assert [each for each in threading.enumerate() if "tracker" in each.name and each not in before] == []
    assert str(tmp_path) not in sys.path


def test_an_app_without_the_middleware_gets_the_line_to_add(look):
    code, found, routes = look(added="")
    assert code == 1
    assert found["app"] == [(
        "error",
        "shop:app has no UsageTrackingMiddleware that can be seen, so nothing of it is recorded: add from tracker "
        'import UsageTrackingMiddleware and app.add_middleware(UsageTrackingMiddleware, database="guardian.db")',
    )]  # fmt: skip
    assert rows(routes) == [(*row[:3], "not tracked") for row in ROUTES]
    _, found, routes = look("shop:bare")
    assert 'and bare = UsageTrackingMiddleware(bare, database="guardian.db")' in found["app"][0][1]
    assert routes == []


def test_of_an_app_without_a_router_it_says_what_cannot_be_known(look):
    _, found, _ = look("shop:tracked_bare")
    assert found["app"][0] == (
        "warning",
        "shop:tracked_bare is tracked, but has no routes that can be read, so nothing is known of its features: set "
        'routes=["/the/{template}", …] where it has no router, else call name_feature(request, "name")',
    )
    assert found["app"][1][1].startswith("the app records into another file: bare.db, seen from this folder: set")


def test_what_is_mounted_without_a_router_is_one_feature_and_guardians_own_pages_are_none(look):
    _, found, routes = look("shop:mixed")
    assert rows(routes) == [("", "/guardian/*", "guardian", "Guardian's own"), ("", "/legacy/{x}/*", "legacy", "")]
    assert [text for level, text in found["app"] if level == "warning"] == [
        "the routes under /legacy/{x}/* are not known, since bare has no router that can be read: all of it is one "
        "feature, unless the app calls name_feature"
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("other/guardian.db", "the app records into another file: other/guardian.db, seen from this folder: set data"),
        ("/srv/guardian.db", "the app records into another file: /srv/guardian.db: set database="),
        ("firestore://shop", "the app records into another database: firestore://shop: set database="),
        ("sqlite:///guardian.db", "records into guardian.db, which Guardian reads"),
        ("linked.db", "records into linked.db, which Guardian reads"),
        ("postgresql://u:secret@h/d", "UsageTrackingMiddleware: database is an address of postgresql://, and only an"),
    ],
)
def test_another_database_than_the_daemons_is_seen(look, tmp_path, given, said):
    (tmp_path / "linked.db").symlink_to("guardian.db")
    _, found, _ = look(added=ADDED.replace("guardian.db", given))
    assert any(text.startswith(said) for _, text in found["app"]), found["app"]


@pytest.mark.parametrize(
    ("arguments", "level", "said"),
    [
        ("", "warning", "everybody will be anonymous, unless the app itself sets request.state.user or scope['user']"),
        (", identify=print", "ok", "users are known by the app's own function (identify)"),
        (")\nfrom tracker import note_user\nstr(1", "ok", "users are known by note_user, which the app imports"),
        (
            ")\nfrom starlette.middleware.sessions import SessionMiddleware as S\napp.add_middleware(S, secret_key='x'",
            "warning",
            "everybody will be anonymous, though the app has sessions: set session_user_key to the key that holds",
        ),
        (', gateway_header="X-User"', "ok", "users are known by the header of a trusted gateway (gateway_header)"),
        (
            ")\nfrom starlette.middleware.authentication import AuthenticationMiddleware as A\n"
            "app.add_middleware(A, backend=None",
            "ok",
            "users are known by request.user, which AuthenticationMiddleware sets",
        ),
    ],
)
def test_what_is_configured_of_the_identity_is_said(look, arguments, level, said):
    _, found, _ = look(more=arguments)
    assert [(each, text[: len(said)]) for each, text in found["identity"]] == [(level, said)]


def test_keys_of_a_provider_without_an_audience_are_warned_of(look):
    _, found, _ = look(more=', jwks="https://login.corp.ch/keys"')
    assert found["identity"][1] == (
        "warning",
        "jwt_audience is not set, so tokens that name an audience are refused, as most providers' do: set it to the "
        "audience of this app's tokens",
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (', jwt_key="short"', "32"),
        (', skip="/health"', "skip"),
        (', features={"items": "x"}', "features['items']"),
        (', jwt_kee="x"', "jwt_kee is not an argument of UsageTrackingMiddleware: did you mean jwt_key?"),
        (', jwks="http://login.corp.ch/keys"', "jwks"),
    ],
)
def test_a_setting_of_the_middleware_that_is_wrong_is_said(look, more, said):
    code, found, routes = look(more=more)
    assert code == 1
    assert any(level == "error" and said in text for level, text in found["app"])
    assert "identity" not in found
    assert len(routes) == len(ROUTES)


def test_a_name_that_leads_nowhere_is_said_with_the_nearest(look):
    _, found, _ = look(
        more=', features={"/api/itmes": "x", "GET /health": "h", "/api/*": "items"}',
        settings='critical_features = ["items", "chat_*"]\nschedules = [{when = "2h", features = ["itms"]}]\n'
        '[rules.latency]\nfeature = "lvie"\n[rules.feature_down]\nfeatures = ["l*"]\n',
    )
    assert [text for _, text in found["features"]] == [
        "features has '/api/itmes', which is not a route of the app: did you mean '/api/items'?",
        "critical_features has 'chat_*', which matches no route of the app: name a feature of the list, such as items, "
        "live",
        "rules.latency.feature has 'lvie', which matches no route of the app: did you mean 'live'?",
        "schedules[0].features has 'itms', which matches no route of the app: did you mean 'items'?",
    ]
    _, found, _ = look(more=")\nfrom tracker import name_feature\nstr(1", settings="")
    assert "matches no route of the app, unless the app gives that name by name_feature: " in found["features"][0][1]
    _, found, _ = look(settings="")
    assert found["features"][0][1].startswith("critical_features (by default) has 'chat_*', which matches no route")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("shop", "--app 'shop' is not the name of an app: write it as shop:app"),
        ("./shop.py", "--app './shop.py' is not the name of an app: write it as shop:app"),
        ("src/shop.py:api", "write it as src.shop:api"),
        ("shop:app(1)", "write it as main:app"),
        ("", "write it as main:app"),
        ("shpo:app", "shpo:app: there is no module shpo in "),
        ("shop:ap", "shop:ap: shop has no ap: did you mean app?"),
        ("shop:FastAPI", "shop:FastAPI is no ASGI app but the class FastAPI: name the variable that the server gets"),
        ("shop:create_app", "is a function that is no ASGI app: if it makes the app, write shop:create_app()"),
        ("shop:create_later()", "this factory is a coroutine function: name one that gives the app itself"),
        ("shop:broken()", "shop:broken() cannot be imported: KeyError: 'KEY' (shop.py line "),
        ("ends:app", "ends:app cannot be imported: SystemExit: 3 (ends.py line 2)"),
        ("needs:app", "needs:app cannot be imported: ModuleNotFoundError: No module named 'nosuch' (needs.py line 1)"),
        ("typo:app", "typo:app cannot be imported: SyntaxError: "),
        ("text:app", "text:app is no ASGI app but of the type str: name the variable that the server gets"),
    ],
)  # fmt: skip
def test_an_app_that_cannot_be_had_is_one_sentence_with_the_cure(look, tmp_path, monkeypatch, target, said):
    modules = {
        "ends": "import sys\nsys.exit(3)",
        "needs": "import nosuch",
        "typo": "x = = 1",
        "text": "app = ''",
    }
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    code, found, routes = look(target)
    for name in modules:
        sys.modules.pop(name, None)
    assert (code, routes) == (1, [])
    [(level, text)] = found["app"]
    assert level == "error"
    assert said in text
    assert "\n" not in text


def test_people_get_a_table_and_factory_wants_an_app(tmp_path, monkeypatch, capsys, no_variables):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("guardian.toml").write_text("")
    Path("tables.py").write_text(APP.replace("TRACKER", ADDED.replace("MORE", "")))
    with pytest.raises(SystemExit):
        main(["check", "--app", "tables:app"])
    sys.modules.pop("tables", None)
    told = capsys.readouterr()
    lines = [line.split() for line in told.out.splitlines()]
    assert ["POST", "/api/items", "items"] in lines
    assert ["GET", "/health", "health", "(not", "recorded:", "skip)"] in lines
    assert "noise" not in told.out
    with pytest.raises(SystemExit) as ended:
        main(["check", "--factory"])
    assert ended.value.code == 1
    assert "--factory goes with --app" in capsys.readouterr().err
