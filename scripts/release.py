"""Makes a release ready: `make release VERSION=0.2.0`. Without a version it tries the present one, and changes nothing.

Sets the version wherever it stands, dates what CHANGELOG.md has under "Unreleased", builds both wheels into dist/,
installs them with their dependencies where nothing else is, and runs the main job from there. It commits, tags and
uploads nothing: docs/releasing.md says what a person does before and after.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
DAEMON, TRACKER, CHANGES = "pyproject.toml", "tracker/pyproject.toml", "CHANGELOG.md"
_VERSION = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)(?:(a|b|rc)([0-9]+))?")
_OWN = re.compile(r'^(version = )"([^"]+)"', re.MULTILINE)
_PIN = re.compile(r"(usage-guardian-tracker\[jwt\]==)([^\"]+)")


def order(version: str) -> tuple[int, int, int, str, int]:
    """What versions are sorted by: 0.2.0a1 < 0.2.0b1 < 0.2.0rc1 < 0.2.0. Raises ValueError for any other shape."""
    found = _VERSION.fullmatch(version)
    if not found:
        raise ValueError(f"{version} is not a version: write three numbers, as 0.2.0, or 0.2.0rc1 before it")
    major, minor, patch, stage, number = found.groups()
    return int(major), int(minor), int(patch), stage or "release", int(number or 0)


def version_of(daemon: str, tracker: str) -> str:
    """The one version in the texts of both pyproject.toml. Raises ValueError where they differ."""
    said = {_OWN.findall(daemon)[0][1], _OWN.findall(tracker)[0][1], _PIN.findall(daemon)[0][1]}
    if len(said) > 1:
        raise ValueError(f"{DAEMON} and {TRACKER} name different versions: {', '.join(sorted(said))}")
    return said.pop()


def released(texts: dict[str, str], version: str, today: date) -> dict[str, str]:
    """The texts of the three files, by name, as they are with this version.

    A version that the projects name already can be released once. Raises ValueError where it is not newer otherwise, or
    where CHANGELOG.md has nothing under "Unreleased".
    """
    before = version_of(texts[DAEMON], texts[TRACKER])
    if order(version) < order(before) or (version == before and f"## {before} (" in texts[CHANGES]):
        raise ValueError(f"{version} is not newer than {before}: name a later one")
    section = re.search(r"^## Unreleased\n(.*?)(?=^## |\Z)", texts[CHANGES], flags=re.MULTILINE | re.DOTALL)
    if section is None or not section[1].strip():
        raise ValueError(f'{CHANGES} has nothing under "## Unreleased": say there what users get')
    dated = f"## Unreleased\n\n## {version} ({today.isoformat()})\n"
    return {
        DAEMON: _PIN.sub(rf"\g<1>{version}", _OWN.sub(rf'\g<1>"{version}"', texts[DAEMON], count=1)),
        TRACKER: _OWN.sub(rf'\g<1>"{version}"', texts[TRACKER], count=1),
        CHANGES: texts[CHANGES].replace("## Unreleased\n", dated, 1),
    }


def _run(*command: str | Path, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GUARDIAN_"))}
    done = subprocess.run([str(each) for each in command], cwd=cwd, env=clean, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _build() -> list[Path]:
    shutil.rmtree(DIST, ignore_errors=True)
    for project in (ROOT / "tracker", ROOT):
        _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", DIST, project, cwd=ROOT)
    return sorted(DIST.glob("*.whl"))


def _try(wheels: list[Path], version: str) -> None:
    """Install the wheels where nothing else is, with what they ask for, and send the demo's report mail from there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "env", with_pip=True)
        programs = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin")
        wanted = [f"{wheel}[demo]" if wheel.name.startswith("usage_guardian-") else wheel for wheel in wheels]
        _run(programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted, cwd=folder)
        said = _run(programs / "guardian", "--version", cwd=folder)
        if not said.startswith(f"guardian {version} (tracker {version},"):
            raise OSError(f"the installed wheels say that they are {said.strip()}, not {version}")
        said = _run(programs / "guardian", "demo", "--once", cwd=folder)
        if "(sent)" not in said:
            raise OSError(f"the demo sent no report mail:\n{said}")


def main() -> int:
    """What the command line asks for; the exit code. What is wrong is said on stderr."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", nargs="?", help="the version to be released; none: try the present one")
    asked = parser.parse_args().version
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in (DAEMON, TRACKER, CHANGES)}
    try:
        version = asked or version_of(texts[DAEMON], texts[TRACKER])
        if asked:
            if _run("git", "status", "--porcelain", cwd=ROOT):
                raise ValueError("the checkout has changes that are not committed: commit or stash them first")
            for name, text in released(texts, version, datetime.now(UTC).date()).items():
                (ROOT / name).write_text(text, encoding="utf-8")
        wheels = _build()
        for wheel in wheels:
            print(f"Built      {wheel.relative_to(ROOT)}")
        _try(wheels, version)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    print("Installed  in an empty environment, and the demo sent its report mail from there")
    if asked:
        print("Next       read the changes, commit and tag them: see docs/releasing.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
