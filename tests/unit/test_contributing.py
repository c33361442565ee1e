"""What helps people to work on Guardian is true: the files that it names are there, and the checks are the same."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/releasing.md"])
def test_every_path_and_link_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:\.ci|config|docs|guardian|scripts|templates|tests|tracker)/[\w./-]*)`", text)
    linked = [(ROOT / page).parent / target for target in re.findall(r"\]\(([^):#]+)\)", text)]
    assert named
    assert [str(path) for path in [*(ROOT / name for name in named), *linked] if not path.exists()] == []


def test_every_example_is_a_commit_that_touched_files_which_are_still_there():
    def git(*said):
        return subprocess.run(["git", "-C", ROOT, *said], capture_output=True, text=True).stdout

    examples = re.findall(r"`([0-9a-f]{7})`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(examples) >= 8
    if git("rev-parse", "--is-shallow-repository").strip() != "false":
        return  # a checkout without its history: whoever has that runs this test too
    touched = {each: git("show", "--name-only", "--format=", each).split() for each in examples}
    assert [each for each, files in touched.items() if not any((ROOT / file).exists() for file in files)] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/releasing.md"])
def test_every_command_of_make_is_there_and_explained_by_make_help(page):
    targets = set(re.findall(r"^([a-z-]+):.* ## .", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"(?:^ {4,}|`)make ([a-z-]+)", text, flags=re.MULTILINE)
    assert named
    assert set(named) <= targets


def test_make_alone_runs_the_demo_and_help_knows_every_target():
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):", text, flags=re.MULTILINE)
    assert targets[0] == "run"
    assert targets == re.findall(r"^([a-z-]+):.* ## .", text, flags=re.MULTILINE)
    assert set(targets) == set(re.search(r"^\.PHONY: (.*)$", text, flags=re.MULTILINE)[1].split())


def test_the_workflow_runs_both_commands_on_every_python_from_the_oldest_on():
    workflow = (ROOT / ".github/workflows/check.yml").read_text()
    assert re.findall(r"^ +run: (.*)$", workflow, flags=re.MULTILINE) == ["make run DEMO=--once", ".ci/run"]
    tried = [int(minor) for minor in re.findall(r'"3\.(\d+)"', workflow)]
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert tried == list(range(int(oldest.removeprefix(">=3.")), max(tried) + 1))


def test_the_hooks_run_what_ci_runs_and_download_nothing():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"repo: (.*)$", hooks, flags=re.MULTILINE) == ["local"]
    assert set(re.findall(r"language: (.*)$", hooks, flags=re.MULTILINE)) == {"system"}
    entries = re.findall(r"entry: (.*)$", hooks, flags=re.MULTILINE)
    assert ".ci/run" in entries
    lint = [line.removesuffix(" .") for line in (ROOT / ".ci/run").read_text().splitlines() if "ruff" in line]
    assert [entry for entry in entries if "ruff" in entry] == lint
