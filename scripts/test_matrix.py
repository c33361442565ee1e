"""The tracker's tests with the oldest and the newest libraries that it promises to work with, on each Python there is.

`make test-matrix` runs it, from any Python 3.11 or newer. Environments lie in .venv-matrix/, one a Python and set of
libraries, and are made once; with --again the newest libraries are looked up anew. Takes some minutes: it is no part
of `make test`. Prints a table, and exits 1 where a test failed.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv-matrix"
TOOLS = ["hypothesis", "pytest>=8", "pytest-asyncio>=1", "websockets", "python-multipart", "httpx2", "uvicorn"]
SETS = {
    # FastAPI 0.110.0 wants Starlette below 0.37; their test client of then wants httpx below 0.28.
    "oldest": ["starlette==0.37.*", "fastapi==0.110.*", "pyjwt[crypto]==2.8.*", "httpx<0.28"],
    "PyJWT 2.11": ["starlette", "fastapi", "pyjwt[crypto]==2.11.*"],  # the last one that does not look at crit
    "PyJWT 2.12": ["starlette", "fastapi", "pyjwt[crypto]==2.12.*"],
    "newest": ["starlette", "fastapi", "pyjwt[crypto]"],
}
RECIPES = [
    "fastapi", "fastapi-users[sqlalchemy]", "aiosqlite", "django", "djangorestframework",
    "djangorestframework-simplejwt", "litestar", "quart", "quart-auth", "fastmcp", "strawberry-graphql",
    "python-socketio", "itsdangerous", "gradio", "nicegui", "pyjwt[crypto]",
]  # fmt: skip
"""The libraries of docs/tracker.md's recipes, whose tests are in tests/recipes."""
SHOWN = ("starlette", "fastapi", "pyjwt", "uvicorn")


def tracker_tests() -> list[str]:
    """The test files that import the tracker and nothing of the daemon, as paths from the checkout's root."""
    found = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path.parent.name in ("recipes", "suites"):
            continue
        imported = _imports(path)
        packages = {name.split(".")[0] for name in imported}
        if "guardian" not in packages and ("tracker" in packages or "tests.integration.tracked_app" in imported):
            found.append(str(path.relative_to(ROOT)))
    return found


def _imports(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def pythons() -> dict[str, str]:
    """Command of each Python to test on, by its version: 3.11 and the newest one, where they are on this machine."""
    places = [shutil.which(f"python3.{minor}") for minor in range(11, 30)]
    places += [str(path) for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python"))]
    found: dict[tuple[int, ...], str] = {}
    for place in [sys.executable, *filter(None, places)]:
        asked = subprocess.run(
            [place, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True
        )
        if asked.returncode == 0:
            found.setdefault(tuple(map(int, asked.stdout.split())), place)
    usable = {version: place for version, place in found.items() if version >= (3, 11)}
    chosen = {min(usable), max(usable)}
    return {".".join(map(str, version)): usable[version] for version in sorted(chosen)}


def environment(name: str, python: str, wanted: list[str], again: bool) -> Path:
    """The Python of an environment with these libraries, made if it is missing. Raises CalledProcessError."""
    folder = HOME / name
    stamp, state = folder / ".installed", sha256("\n".join(wanted).encode()).hexdigest()
    if again or not stamp.exists() or stamp.read_text() != state:
        subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *wanted], check=True)
        stamp.write_text(state)
    return folder / "bin" / "python"


def versions(python: Path) -> list[str]:
    """The versions of the libraries that the table shows."""
    code = f"from importlib.metadata import version; print(*map(version, {SHOWN!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def main() -> int:
    """Run all; how many sets failed, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="make the environments anew")
    parser.add_argument("--only", help="only the sets with this in their name, as '3.11 oldest'")
    chosen = parser.parse_args()
    tests, rows, failed = tracker_tests(), [], False
    there = pythons()
    if len(there) == 1:
        print(f"Only Python {next(iter(there))} is on this machine: nothing newer is tested.")
    for version, place in there.items():
        for name, libraries in {**SETS, "recipes": RECIPES}.items():
            title = f"{version} {name}"
            if chosen.only and chosen.only not in title:
                continue
            python = environment(title.replace(" ", "-").lower(), place, TOOLS + libraries, chosen.again)
            log = HOME / f"{title.replace(' ', '-').lower()}.log"
            print(f"{title} …", flush=True)
            own = ["--confcutdir=tests/recipes", "tests/recipes"]  # nothing of the daemon is there
            with log.open("w") as out:
                done = subprocess.run(
                    [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(own if name == "recipes" else tests)],
                    cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=os.environ | {"PYTHONPATH": str(ROOT)},
                )  # fmt: skip
            verdict = log.read_text().strip().splitlines()[-1].strip("= ")
            rows.append([version, *versions(python), verdict if done.returncode == 0 else f"{verdict}: see {log}"])
            failed |= done.returncode != 0
    table = [["Python", *SHOWN, "tests"], *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    print()
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
