"""Run Starlette's and FastAPI's own test suites bare and with every app behind the tracker, and tell the difference.

    python tests/suites/frameworks.py [--only starlette|fastapi] [--modes wrap,shared,add] [--cache FOLDER]

The suites come with the source distributions on the package index; they are unpacked into a temporary folder, or one
that `--cache` keeps for the next time, with an environment each. Nothing of them is kept in this repository. Exits
with 1 where a test fails only behind the tracker. Takes some ten minutes; pytest does not collect it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
NOT_NEEDED = ("mypy", "ty", "ruff", "twine", "pytest-codspeed", "pytest-cov", "pytest-sugar")
"""What the suites' groups ask for and no test needs."""
RATIO = 1.2
"""A suite may take so many times as long behind the tracker."""
SHOWN = 10
"""So many tests are named of those that fail for one reason."""
LIMIT = 1800
"""Seconds that one run of a suite may take."""


class Suite(NamedTuple):
    """A framework's suite: where its tests stand, what they need, and the backends to ask for."""

    extra: str
    group: str
    options: tuple[str, ...]
    backends: tuple[str, ...]


SUITES = {
    # Starlette's tests ask for both backends themselves; FastAPI's leave the client's default.
    "starlette": Suite("full", "dev", (), ("asyncio",)),
    # These start type checkers, or look at the documentation's scripts.
    "fastapi": Suite("standard", "tests", ("--ignore=scripts", "--ignore=tests/benchmarks"), ("asyncio", "trio")),
}


class Run(NamedTuple):
    """One run of a suite: the plugin's report, wall and CPU seconds."""

    report: dict[str, Any]
    wall: float
    cpu: float


def main() -> int:
    """Run what was asked for; 1 where the tracker breaks a test."""
    options = parser().parse_args()
    folder = Path(options.cache or tempfile.mkdtemp(prefix="suites-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    broken = 0
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    try:
        for name in [options.only] if options.only else list(SUITES):
            version = options.starlette if name == "starlette" else options.fastapi
            source, python = prepare(folder, name, version)
            broken += compare(folder, name, source, python, options)
    finally:
        if not options.cache:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if broken else 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", choices=list(SUITES))
    made.add_argument("--modes", default="wrap,shared,add", help="of wrap, shared, add; default: all")
    made.add_argument("--backends", help="of asyncio, trio; default: both where the suite does not choose itself")
    made.add_argument("--cache", help="keep suites and environments in this folder")
    made.add_argument("--starlette", default="", help="a version; default: the newest")
    made.add_argument("--fastapi", default="", help="a version; default: the newest")
    made.add_argument("--tracker", default=str(ROOT), help="the checkout whose tracker is used; default: this one")
    made.add_argument("--select", default="", help="words that pytest gets, such as files")
    made.add_argument("--rounds", type=int, default=1, help="run each that often; the shortest counts")
    return made


def prepare(folder: Path, name: str, version: str) -> tuple[Path, Path]:
    """The unpacked suite and the Python that runs it; made where they are missing. Raises where pip fails."""
    python = folder / f"{name}-env" / "bin" / "python"
    found = sorted(folder.glob(f"{name}-{version or '[0-9]'}*.tar.gz"))
    if not found:
        wanted = f"{name}=={version}" if version else name
        pip(sys.executable, "download", "-q", "--no-deps", "--no-binary", name, "-d", str(folder), wanted)
        found = sorted(folder.glob(f"{name}-*.tar.gz"))
    archive = found[-1]
    source = folder / archive.name.removesuffix(".tar.gz")
    if not source.exists():
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    if not (source / "tests").is_dir():
        sys.exit(f"{archive.name} brings no tests")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(python.parent.parent)], check=True)
        suite = SUITES[name]
        needed = group(tomllib.loads((source / "pyproject.toml").read_text())["dependency-groups"], suite.group)
        pip(str(python), "install", "-q", f"{source}[{suite.extra}]", "pyjwt[crypto]", *needed)
        # The installed package, not the folder's, is what runs: it has its version.
    return source, python


def pip(python: str, *words: str) -> None:
    """Call pip, without its advertisements."""
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", *words], check=True)


def group(groups: dict[str, list[Any]], name: str) -> list[str]:
    """The requirements of a dependency group (PEP 735), but for those that no test needs."""
    found: list[str] = []
    for one in groups[name]:
        if isinstance(one, dict):
            found += group(groups, one["include-group"])
        elif not one.startswith(("starlette", "fastapi")):
            bare = one.split("[")[0].split(">")[0].split("<")[0].split("=")[0].split(";")[0].strip()
            if bare not in NOT_NEEDED:
                found.append(one)
    return found


def compare(folder: Path, name: str, source: Path, python: Path, options: argparse.Namespace) -> int:
    """Print what the tracker changes in one suite; how many tests fail only behind it."""
    suite, broken = SUITES[name], 0
    for backend in options.backends.split(",") if options.backends else suite.backends:
        runs = {}
        for _ in range(options.rounds):
            for mode in ["bare", *options.modes.split(",")]:
                one = run(folder, source, python, mode, backend, suite.options, options)
                if mode not in runs or one.cpu < runs[mode].cpu:
                    runs[mode] = one
        bare = runs.pop("bare")
        print(f"\n{source.name}, {backend}: bare {tally(bare)}, {bare.wall:.1f} s, CPU {bare.cpu:.1f} s; {holds(bare)}")
        if not bare.report["outcomes"]:
            sys.exit("no test was run")
        for mode, one in runs.items():
            worse = only_behind(bare, one)
            again = repeat(worse, folder, source, python, mode, backend, suite.options, options)
            broken += len(again)
            wall, cpu = one.wall / bare.wall, one.cpu / bare.cpu
            print(f"  {mode:7}{tally(one)}, {one.wall:.1f} s = {wall:.2f} times, CPU {cpu:.2f} times"
                  f"{'' if max(wall, cpu) <= RATIO else f', above {RATIO}'}; {holds(one)}")  # fmt: skip
            for text, times in one.report["logged"].items():
                print(f"    logged {times} times: {text}")
            for reason, tests in by_reason(one, worse).items():
                firm = [test for test in tests if test in again]
                print(f"    {len(firm)} FAIL, {len(tests) - len(firm)} flaky: {reason}")
                print("".join(f"      {test}\n" for test in (firm or tests)[:SHOWN]), end="")
    return broken


def by_reason(one: Run, tests: list[str]) -> dict[str, list[str]]:
    """The tests by the last line of why they failed."""
    found: dict[str, list[str]] = {}
    for test in tests:
        reason = one.report["reasons"].get(test, "not run").strip().splitlines()[-1][:200]
        found.setdefault(reason, []).append(test)
    return found


def only_behind(bare: Run, tracked: Run) -> list[str]:
    """The tests that passed bare and do not behind the tracker, or were lost there."""
    before, after = bare.report["outcomes"], tracked.report["outcomes"]
    return [test for test, outcome in before.items() if outcome == "passed" and after.get(test) != "passed"]


def repeat(tests: list[str], *how: Any) -> list[str]:
    """Those of the tests that fail a second time too, run alone."""
    if not tests:
        return []
    again = run(*how, tests=tests).report["outcomes"]
    return [test for test in tests if again.get(test) != "passed"]


def run(folder: Path, source: Path, python: Path, mode: str, backend: str, extra: tuple[str, ...],
        options: argparse.Namespace, *, tests: list[str] | None = None) -> Run:  # fmt: skip
    """Run the suite once in a process of its own. An empty report where it ended before it could write one."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        here = Path(temporary)
        # Only the tracker and the plugin: the repository has a folder `tests` too.
        (here / "path").mkdir()
        (here / "path" / "tracker").symlink_to(Path(options.tracker).resolve() / "tracker")
        (here / "path" / "wrapping.py").symlink_to(HERE / "wrapping.py")
        report = here / "report.json"
        words = tests or [*extra, *(options.select.split() or ["tests"])]
        environment = {
            **os.environ,
            "PYTHONPATH": str(here / "path"),
            "TMPDIR": temporary,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "wrapping", "--guardian", mode,
                   "--guardian-report", str(report), "--guardian-backend", backend, *words]  # fmt: skip
        before = os.times()
        with (folder / f"{source.name}-{backend}-{mode}.log").open("w") as log:
            try:
                subprocess.run(command, cwd=source, env=environment, stdout=log, stderr=log, timeout=LIMIT, check=False)
            except subprocess.TimeoutExpired:
                print(f"  {mode} did not end within {LIMIT} s")
        after = os.times()
        for left in source.glob("guardian.db*"):
            left.unlink()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        read = json.loads(report.read_text()) if report.exists() else {"outcomes": {}, "reasons": {}, "logged": {}}
        return Run(read, after.elapsed - before.elapsed, cpu)


def tally(one: Run) -> str:
    """How many tests ended how."""
    return ", ".join(
        f"{number} {outcome}" for outcome, number in Counter(one.report["outcomes"].values()).most_common()
    )


def holds(one: Run) -> str:
    """Threads and descriptors: at most, and at the end after a collection of garbage."""
    most, left = one.report.get("most", {}), one.report.get("after_collection", {})
    return ", ".join(f"{name} {most.get(name)} at most, {left.get(name)} left" for name in ("threads", "descriptors"))


if __name__ == "__main__":
    sys.exit(main())
