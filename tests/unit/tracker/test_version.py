"""The release of an app that was installed as a package, where nobody names it."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tracker.version import version_of

ROOT = Path(__file__).resolve().parents[3]
APP = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from tracker import UsageTrackingMiddleware

app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])
app.add_middleware(UsageTrackingMiddleware, database="guardian.db"{more})
"""
SERVED = """
import importlib
from starlette.testclient import TestClient
{lifespan}
"""
WITH_LIFESPAN = "with TestClient(importlib.import_module('shop_window.main').app) as client: client.get('/')"
WITHOUT = "TestClient(importlib.import_module('shop_window.main').app).get('/')"


CLASS = """
class Route:
    def endpoint(self): ...

class App:
    routes = [Route()]

app = App()
"""


def install(folder, *distributions, package="shop_window", more=""):
    """What pip leaves: the package and, for each (name, version), the record of its files."""
    (folder / package).mkdir(parents=True)
    (folder / package / "__init__.py").write_text("")
    (folder / package / "main.py").write_text(APP.format(more=more))
    for name, version in distributions:
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text(f"{package}/__init__.py,,\n{package}/main.py,,\n")


def released(folder, lifespan, **environ):
    """What a process of its own notes as the release, after one request."""
    path = f"{folder / 'site'}:{ROOT}"
    code = SERVED.format(lifespan=lifespan)
    environ = {"PYTHONPATH": path, "PATH": "/usr/bin:/bin", **environ}
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environ, check=True, timeout=60)
    with closing(sqlite3.connect(folder / "guardian.db")) as db:
        return [row[0] for row in db.execute("SELECT release FROM guardian_source")]


@pytest.mark.parametrize("lifespan", [WITH_LIFESPAN, WITHOUT])
def test_an_app_of_an_installed_package_is_of_its_version(tmp_path, lifespan):
    install(tmp_path / "site", ("shop-window", "1.4.2"))
    assert released(tmp_path, lifespan) == ["1.4.2"]


def test_what_was_named_counts_first(tmp_path):
    install(tmp_path / "site", ("shop-window", "1.4.2"))
    assert released(tmp_path, WITH_LIFESPAN, GIT_SHA="abc") == ["abc"]


@pytest.mark.parametrize("distributions", [[], [("one", "1"), ("two", "2")]])
def test_where_it_is_not_certain_no_release_is_noted(tmp_path, distributions):
    install(tmp_path / "site", *distributions)
    assert released(tmp_path, WITH_LIFESPAN) == [""]


def test_an_app_that_no_module_has_or_several_packages_have_has_no_version(tmp_path, monkeypatch):
    install(tmp_path, ("shop-window", "1.4.2"))
    (tmp_path / "shop_window" / "main.py").write_text(CLASS)
    (tmp_path / "shop_start.py").write_text("from shop_window.main import app\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import shop_window.main

    try:
        assert version_of(shop_window.main.app) == "1.4.2"
        assert version_of(shop_window.main.App()) == ""
        shop_window.main.Route.endpoint.__module__ = "another.package"
        assert version_of(shop_window.main.app) == "", "a library that keeps the app of somebody else"
        shop_window.main.Route.endpoint.__module__ = "shop_window.routes"
        assert version_of(shop_window.main.app) == "1.4.2"
        import shop_start  # noqa: F401

        assert version_of(shop_window.main.app) == ""
    finally:
        for name in ("shop_window", "shop_window.main", "shop_start"):
            sys.modules.pop(name, None)
