"""Where things lie, and which way imports go: who has seen the list of folders once knows where a change goes."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORDER = ("core", "settings", "alerting", "stores", "mail", "application", "web", "demo", "cli")
"""Each may import those before it, and the tracker."""


@cache
def text_of(file):
    return file.read_text()


@cache
def nodes_of(file):
    """Every part of a file's code."""
    return list(ast.walk(ast.parse(text_of(file))))


@cache
def modules_outside(*excluded, of=("guardian",)):
    """Every module of these packages outside of these folders."""
    folders = [ROOT / folder for folder in excluded]
    return [
        file
        for package in of
        for file in (ROOT / package).rglob("*.py")
        if not any(file.is_relative_to(folder) for folder in folders)
    ]


def imported(file):
    """What a file imports when it is loaded or when something in it runs: modules, and names in them."""
    typing_only = {
        id(inner)
        for node in nodes_of(file)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in nodes_of(file):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def imports(file):
    """The packages of guardian among them."""
    return {name.split(".")[1] for name in imported(file) if name.startswith("guardian.")}


def test_at_the_top_there_are_only_packages():
    files = {path.name for path in (ROOT / "guardian").iterdir() if path.name != "__pycache__"}
    assert files == {"__init__.py", "__main__.py", "py.typed", *ORDER}  # the marker says that it has types (PEP 561)


@pytest.mark.parametrize("package", ORDER)
def test_imports_go_one_way(package):
    allowed = ORDER[: ORDER.index(package) + 1]
    wrong = {
        f"{file.relative_to(ROOT)} imports guardian.{name}"
        for file in modules_outside(of=(f"guardian/{package}",))
        for name in imports(file)
        if name not in allowed
    }
    assert wrong == set()


def test_no_modules_import_each_other_in_a_circle():
    """Not even when something in them runs. A package's own `__init__` counts as a module like any other."""
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in modules_outside()}
    modules = {name.removesuffix(".__init__"): file for name, file in modules.items()}
    found = {name: set(imported(file)) & modules.keys() - {name} for name, file in modules.items()}
    for wanted in found.values():  # `from package import module` is of the module, not of the package around it
        wanted -= {each.rpartition(".")[0] for each in wanted}
    try:
        assert [*TopologicalSorter(found).static_order()]
    except CycleError as error:
        pytest.fail(" ← ".join(error.args[1]))


def test_every_file_can_be_read_in_one_sitting():
    files = modules_outside(of=("guardian", "tracker"))
    assert [str(file.relative_to(ROOT)) for file in files if len(text_of(file).splitlines()) > 250] == []


def test_the_tracker_imports_nothing_of_guardian():
    assert [file.name for file in modules_outside(of=("tracker",)) if list(imports(file))] == []


@cache
def loaded_by(*modules):
    """What is loaded after the first of these modules was imported in a new interpreter, after the second, and so on:
    the names of all that is loaded, each time."""
    code = (
        "import importlib, json, sys; "
        "print(json.dumps([(importlib.import_module(each), list(sys.modules))[1] for each in sys.argv[1:]]))"
    )
    command = [sys.executable, "-c", code, *modules]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return [frozenset(names) for names in json.loads(done.stdout)]


def test_what_is_pure_loads_neither_a_database_nor_settings():
    pure = (
        "guardian.core.report.build",
        "guardian.core.report.json",
        "guardian.core.report.reading",
        "guardian.core.summary",
        "guardian.alerting.engine",
    )
    loaded = dict(zip(pure, loaded_by(*pure), strict=True))
    assert {module: names & {"sqlite3", "pydantic"} for module, names in loaded.items()} == {m: set() for m in pure}


def test_sql_stands_in_the_folder_of_its_store_and_nowhere_else():
    statement = re.compile(r"\s*(SELECT|INSERT|REPLACE|UPDATE|DELETE FROM|CREATE|ALTER|PRAGMA|BEGIN) ")
    chosen = {"tracker/sink.py imports ['tracker.sqlite.sink']"}
    found = set()
    for file in modules_outside("guardian/stores/sqlite", "tracker/sqlite", of=("guardian", "tracker")):
        for node in nodes_of(file):
            modules = [node.module] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(re.fullmatch(r"sqlite3|aiosqlite|tracker\.sqlite(\..+)?", module or "") for module in modules):
                found.add(f"{file.relative_to(ROOT)} imports {modules}")
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and statement.match(node.value):
                found.add(f"{file.relative_to(ROOT)} has {node.value!r}")
    assert found == chosen


def test_how_the_key_of_a_row_holds_its_time_stands_in_one_place():
    files = modules_outside(of=("guardian", "tracker"))
    shifted = [str(file.relative_to(ROOT)) for file in files if re.search(r"(>>|<<) 10\b", _without_comments(file))]
    assert shifted == []


def _without_comments(file):
    return "\n".join(line for line in text_of(file).splitlines() if not line.strip().startswith(("#", "--")))


@pytest.mark.parametrize("store", ["sqlite", "firestore"])
def test_a_store_is_chosen_in_one_place(store):
    named = {
        str(file.relative_to(ROOT))
        for file in modules_outside(f"guardian/stores/{store}")
        for node in nodes_of(file)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"guardian.stores.{store}")
    }
    assert named == {"guardian/stores/opening.py"}


def test_googles_library_stands_in_the_folders_of_its_store_and_nowhere_else():
    found = set()
    for file in modules_outside("guardian/stores/firestore", "tracker/firestore", of=("guardian", "tracker")):
        for node in nodes_of(file):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if any(re.match(r"google\.(cloud|api_core)|grpc", module) for module in modules):
                found.add(str(file.relative_to(ROOT)))
    assert found == set()


def test_googles_library_is_loaded_when_a_client_is_made_and_not_before():
    *_, loaded = loaded_by("guardian.stores.firestore.backend", "tracker.firestore.sink")
    assert [name for name in loaded if name.startswith(("google.cloud", "google.api_core", "grpc"))] == []


APART = ("tracker.middleware", "tracker.recorder", "guardian.application.root")


def test_the_middleware_is_imported_without_a_database():
    _, loaded, _ = loaded_by(*APART)
    assert "sqlite3" not in loaded


def test_no_database_is_loaded_before_one_is_opened():
    *_, loaded = loaded_by(*APART)
    assert {"sqlite3", "aiosqlite"} & loaded == set()


def test_the_architecture_names_every_package_and_no_module_that_is_not_there():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1:3] for row in text.splitlines() if re.match(r"\| `(guardian|tracker)/", row)]
    named = {package: words for where, words in rows for package in re.findall(r"`([\w/]+)/`", where)}
    inside = {path.parent for top in ("guardian", "tracker") for path in (ROOT / top).rglob("__init__.py")}
    assert set(named) == {str(path.relative_to(ROOT)) for path in inside} - {"guardian"}
    gone = [
        f"{package}: {word}"
        for package, words in named.items()
        for word in re.findall(r"`(\w+)`", words)
        if not (ROOT / package / f"{word}.py").exists()
    ]
    assert gone == []
    others = re.findall(r"`([\w./]+(?:\.py|/))`", text)
    assert [each for each in others if not any((top / each).exists() for top in (ROOT, ROOT / "guardian"))] == []
