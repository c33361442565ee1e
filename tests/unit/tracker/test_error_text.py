"""Which words of an error are kept: the author's, and never a client's."""

import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import textwrap
import types
from pathlib import Path

import fastapi.exceptions
import hypothesis.core
import pytest
import starlette.routing
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.websockets import WebSocket

import tracker.tokens
from tracker import note_error
from tracker.error_text import MAX_TEXT, AuthoredTexts, candidate_text, reason_phrase


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "Not Found"),
        (413, "Content Too Large"),
        (418, "I'm a Teapot"),
        (422, "Unprocessable Content"),
        (429, "Too Many Requests"),
        (499, "Client Error"),
        (500, "Internal Server Error"),
        (599, "Server Error"),
        (999, "Server Error"),
    ],
)
def test_every_status_has_words(status, words):
    assert reason_phrase(status) == words


# What an answer may say

JSON, TEXT = b"application/json", b"text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("content_type", "chunk", "text"),
    [
        (JSON, b'{"detail": "File too large"}', "File too large"),
        (JSON, b'{"error": "quota used up"}', "quota used up"),
        (JSON, b'{"message": "no such thread"}', "no such thread"),
        (JSON, b'{"message": "third", "error": "second", "detail": "first"}', "first"),
        (JSON, b'{"error": {"code": 7, "message": "no such thread"}}', "no such thread"),
        (JSON, b'{"detail": {"error": {"message": "deep"}}}', "deep"),
        (JSON, b'{"detail": {"error": {"message": {"detail": "too deep"}}}}', None),
        (JSON, b'{"detail": [{"loc": ["body"], "msg": "missing"}]}', None),
        (JSON, b'{"detail": [], "message": "after"}', "after"),
        (JSON, b'{"detail": 3}', None),
        (JSON, b'{"detail": ""}', None),
        (JSON, b'{"title": "no key of ours"}', None),
        (JSON, b'"only a string"', "only a string"),
        (JSON, b"[1]", None),
        (JSON, b"null", None),
        (JSON, b'{"detail": "cut o', None),
        (JSON, b"", None),
        (JSON, b"\xff\xfe\x00", None),
        (JSON, b"[" * 4_000, None),
        (JSON, b"9" * 4_096, None),
        (JSON, b'{"detail": "\\ud800"}', "\ud800"),
        (b"application/problem+json; charset=utf-8", b'{"detail": "x"}', "x"),
        (b"Application/JSON", b'{"detail": "x"}', "x"),
        (b"application/jsonlines", b'{"detail": "x"}', None),
        (TEXT, b"Not Found", "Not Found"),
        (TEXT, b"", None),
        (TEXT, b"\xff", None),
        (TEXT, b"x" * 200, "x" * 200),
        (TEXT, b"x" * 201, None),
        (JSON, json.dumps({"detail": "x" * 201}).encode(), None),
        (b"text/html", b"<p>no</p>", None),
        (b"", b"no", None),
        (None, b"no", None),
        (TEXT, None, None),
    ],
)
def test_a_small_error_answer_says_one_text(content_type, chunk, text):
    assert candidate_text(content_type, chunk) == text


@given(st.sampled_from([JSON, TEXT, None]) | st.binary(max_size=20), st.binary(max_size=200))
@example(JSON, b'{"detail": ' * 800)
def test_no_answer_raises(content_type, chunk):
    text = candidate_text(content_type, chunk)
    assert text is None or 0 < len(text) <= MAX_TEXT


def test_a_note_is_kept_in_the_scope_of_what_it_is_said_of():
    async def receive():
        raise AssertionError("nothing is read")

    scope, request, socket = ({"type": kind, "headers": []} for kind in ("http", "http", "websocket"))
    note_error(scope, "one")
    note_error(Request(request, receive), "two")
    note_error(WebSocket(socket, receive, receive), "three")
    assert [kept["guardian.notes"].text for kept in (scope, request, socket)] == ["one", "two", "three"]
    note_error(scope, None)
    assert scope["guardian.notes"].text == "one"


# Which texts are the author's

WRITTEN = {"nested": ("in a tuple", ("deeper in it",))}
FROM_A_CLIENT = "".join(["sword", "fish"])
"""A value that a variable of this module holds, and no literal does."""


def endpoint():
    """Says what it is for."""
    if endpoint in frozenset(("in a set",)):
        return f"cannot parse {endpoint}"

    def inner():
        return "File " + "too large"

    return inner


@pytest.fixture(scope="module")
def texts():
    return AuthoredTexts(clock=lambda: 0.0)


def unwritten(*words):
    """A text that is no literal here, since it is put together when the tests run."""
    return " ".join(words)


@pytest.mark.parametrize(
    "written",
    [
        unwritten("File", "too", "large"),  # folded by the compiler, in a function within a function
        unwritten("in", "a", "tuple"),
        unwritten("deeper", "in", "it"),
        unwritten("in", "a", "set"),
        unwritten("Says", "what", "it", "is", "for."),
        unwritten("cannot", "parse", ""),
    ],
)
def test_a_text_is_kept_that_is_a_literal_of_the_apps_own_code(texts, written):
    assert texts.message(written, 413, endpoint) == written


@pytest.mark.parametrize(
    "candidate",
    [
        unwritten("cannot", "parse", "3"),
        unwritten("cannot", "parse", "{endpoint}"),
        unwritten("file", "TOO", "large"),
        unwritten("File", "too", "large", ""),
        unwritten("x" * 150, "y" * 150),
        FROM_A_CLIENT,
        "",
        None,
        3,
        ["File too large"],
    ],
)
def test_any_other_text_becomes_the_words_of_the_status(texts, candidate):
    assert texts.message(candidate, 413, endpoint) == "Content Too Large"


def literal_of(module):
    """A text that is written in the code of an installed module, and not here."""
    code = compile(Path(module.__file__).read_text(), module.__file__, "exec")
    functions = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    texts = [text for function in functions for text in function.co_consts if isinstance(text, str)]
    return next(text for text in texts if 15 < len(text) <= MAX_TEXT and " " in text)


@pytest.mark.parametrize("its_own_endpoint", [False, True])
@pytest.mark.parametrize("module", [statistics, starlette.routing, fastapi.exceptions, tracker.tokens])
def test_a_literal_of_a_library_is_not_the_authors(texts, module, its_own_endpoint):
    its_own = next(value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__)
    assert texts.message(literal_of(module), 400, its_own if its_own_endpoint else endpoint) == "Bad Request"


def test_a_package_that_an_endpoint_comes_from_is_the_app_even_where_it_is_installed():
    texts, text = AuthoredTexts(clock=lambda: 0.0), literal_of(hypothesis.core)
    assert texts.message(text, 400, endpoint) == "Bad Request"
    assert texts.message(text, 400, hypothesis.find) == text


@given(st.text(max_size=60))
def test_what_a_client_made_up_is_never_kept(texts, text):
    made_up = f"\N{SNOWMAN}{len(text)} {text}"  # no literal begins so
    body = json.dumps({"detail": made_up}).encode()
    assert candidate_text(JSON, body) == made_up
    assert texts.message(candidate_text(JSON, body), 400, endpoint) == "Bad Request"


@given(st.text(max_size=20))
@example("File too large")
@example(FROM_A_CLIENT)
def test_only_what_is_a_literal_is_ever_kept(texts, text):
    kept = texts.message(text, 400, endpoint)
    assert kept == "Bad Request" or (kept == text and text in texts._texts)


def test_modules_that_are_imported_later_are_read(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "late_words.py").write_text("FULL = 'spoken ' 'late'\n")
    texts, late = AuthoredTexts(clock=lambda: 0.0), unwritten("spoken", "late")
    assert texts.message(late, 400) == "Bad Request"
    importlib.import_module("late_words")
    try:
        assert texts.message(late, 400) == late
    finally:
        del sys.modules["late_words"]


class BadLoader:
    def get_code(self, name):
        raise ImportError("there is none")


@pytest.mark.parametrize(
    "attributes",
    [
        {"__file__": "/nowhere/at/all.py"},
        {"__file__": 3},
        {"__file__": __file__, "__spec__": types.SimpleNamespace(loader=BadLoader(), name="bad_module")},
        {"__file__": __file__, "__spec__": types.SimpleNamespace(loader=None, name="bad_module")},
    ],
)
def test_a_module_that_cannot_be_read_does_no_harm(monkeypatch, attributes):
    module = types.ModuleType("bad_module")
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, "bad_module", module)
    monkeypatch.setitem(sys.modules, "not_a_module", None)
    assert AuthoredTexts(clock=lambda: 0.0).message(unwritten("in", "a", "set"), 400, endpoint) == "in a set"


def test_a_program_is_the_apps_own_code_whether_run_as_a_script_or_as_a_module(tmp_path):
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "__init__.py").write_text("")
    (shop / "words.py").write_text("FULL = 'the shop is full'\n")
    (shop / "__main__.py").write_text(
        textwrap.dedent("""
            import sys
            from shop import words
            from tracker.error_text import AuthoredTexts

            CLOSED = "the shop is closed"
            for text in sys.argv[1:]:
                print(AuthoredTexts().message(text, 400))
        """)
    )
    root = Path(tracker.__file__).parent.parent
    said = ["the shop is closed", "the shop is full", "the shop is mine"]
    for program in (["-m", "shop"], [str(shop / "__main__.py")]):
        ran = subprocess.run(
            [sys.executable, *program, *said],
            env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"},
            capture_output=True,
            text=True,
        )
        assert ran.stdout.splitlines() == [*said[:2], "Bad Request"], ran.stderr


def test_reading_an_apps_modules_takes_a_moment_at_a_time(monkeypatch):
    now = [0.0]

    def clock():
        now[0] += 0.04
        return now[0]

    texts = AuthoredTexts(clock)
    late = unwritten("read", "bit", "by", "bit")
    seen = []
    for _ in range(5_000):
        seen.append(texts.message(late, 400, endpoint))
        if texts._seen != (0, 0):
            break
        now[0] += 10
    assert texts._seen != (0, 0), "all was read in the end"
    assert len(seen) > 1
    assert texts.message("in a set", 400, endpoint) == "in a set"


def test_the_module_of_an_endpoint_is_read_at_once_however_slow_the_machine_is():
    hours = iter(range(0, 10**9, 3600))
    texts = AuthoredTexts(clock=lambda: next(hours))
    assert texts.message(unwritten("in", "a", "set"), 400, endpoint) == "in a set"
    assert texts.message(unwritten("File", "too", "large"), 413, endpoint) == "File too large"


def test_the_modules_of_an_endpoints_package_are_read_before_all_others(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_shop").mkdir()
    (tmp_path / "own_shop" / "__init__.py").write_text("")
    (tmp_path / "own_shop" / "words.py").write_text("FULL = 'said by ' 'a shop'\n")
    (tmp_path / "own_shop" / "pages.py").write_text("from own_shop import words\ndef page(): ...\n")
    page = importlib.import_module("own_shop.pages").page
    seconds = iter(range(10**9))
    steps = AuthoredTexts(clock=lambda: next(seconds) * 0.04)  # three modules at a time, and then a rest
    try:
        assert steps.message(unwritten("said", "by", "a", "shop"), 413, page) == "said by a shop"
    finally:
        for name in ("own_shop", "own_shop.words", "own_shop.pages"):
            del sys.modules[name]


class Lazy(types.ModuleType):
    """As importlib.util.LazyLoader leaves a module that nobody has used yet."""

    def __getattribute__(self, name):
        raise AssertionError(f"{name} was asked for: the module would have been executed")


def test_a_module_that_its_host_loads_lazily_is_not_executed(monkeypatch):
    monkeypatch.setitem(sys.modules, "lazy_module", Lazy("lazy_module"))
    assert AuthoredTexts(clock=lambda: 0.0).message(unwritten("in", "a", "set"), 400, endpoint) == "in a set"


def test_a_module_of_importlibs_lazy_loader_is_not_executed(tmp_path, monkeypatch):
    (tmp_path / "heavy.py").write_text("WORDS = 'the words of a lazy module'\nraise SystemExit(WORDS)\n")
    spec = importlib.util.spec_from_file_location("heavy", tmp_path / "heavy.py")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "heavy", module)
    spec.loader.exec_module(module)
    said = " ".join(["the words", "of a lazy module"])
    assert AuthoredTexts(clock=lambda: 0.0).message(said, 400) == said
