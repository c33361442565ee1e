"""Each kind of rule has all its parts, and nothing outside its file asks which kind a rule is of."""

import ast
from pathlib import Path

import pytest

from guardian.alerting.kinds import KINDS
from guardian.settings import rules

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "guardian" / "alerting" / "kinds"


def test_every_kind_that_can_be_set_is_in_the_table_in_the_same_order():
    assert list(KINDS) == list(rules.KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_one_file_of_its_own_with_its_docs(kind):
    tree = ast.parse((FOLDER / f"{kind}.py").read_text())
    assert f"`{kind}`" in ast.get_docstring(tree)
    assert f"\n### `{kind}`\n" in (ROOT / "docs" / "alerts.md").read_text()


def test_no_other_file_lies_among_the_kinds():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*KINDS, "__init__", "kind", "traffic"}
