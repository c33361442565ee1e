"""Each kind of rule has all its parts, and nothing outside its file asks which kind a rule is of."""

import ast
from pathlib import Path

import pytest

from guardian.alerting.kinds import KINDS
from guardian.settings.rules import rule_models

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "guardian" / "alerting" / "kinds"


def test_every_kind_of_the_table_can_be_set():
    assert list(KINDS) == list(rule_models())


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_one_file_with_its_settings_and_its_judge_and_has_docs_and_tests(kind):
    assert KINDS[kind].settings.__module__ == KINDS[kind].judge.__module__ == f"guardian.alerting.kinds.{kind}"
    assert f"`{kind}`" in ast.get_docstring(ast.parse((FOLDER / f"{kind}.py").read_text()))
    assert f"\n### `{kind}`\n" in (ROOT / "docs" / "alerts.md").read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "unit").rglob("test_verdict*.py"))
    assert f'"{kind}"' in tests


def test_no_other_file_lies_among_the_kinds():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*KINDS, "__init__", "kind", "traffic"}


def asks_for_the_kind(tree):
    """The lines in which a module reads a rule's kind, or names the class of one kind of rule."""
    models = {kind.settings.__name__ for kind in KINDS.values()}
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=value, attr="kind") if ast.unparse(value).endswith("rule"):
                yield node.lineno
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) if name in models:
                yield node.lineno


def test_nothing_outside_the_kinds_asks_which_kind_a_rule_is_of():
    files = [path for path in (ROOT / "guardian").rglob("*.py") if path.parent != FOLDER]
    asked = {
        f"{path.relative_to(ROOT)}:{line}" for path in files for line in asks_for_the_kind(ast.parse(path.read_text()))
    }
    assert asked == set()


@pytest.mark.parametrize(
    "code",
    [
        'if rule.kind == "latency": ...',
        'if b.rule.kind in ("latency", "user_burst"): ...',
        'match rule.kind:\n    case "latency": ...',
        "TITLES[rule.kind](rule)",
        "LEAST.get(self.rule.kind, 0)",
        "isinstance(rule, Latency)",
        "isinstance(rule, rules.Latency)",
        "from guardian.alerting.kinds.latency import Latency",
    ],
)
def test_asking_for_the_kind_is_found(code):
    assert list(asks_for_the_kind(ast.parse(code)))
