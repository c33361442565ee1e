"""The table of threats names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_threat_names_a_test_that_exists():
    table = (ROOT / "docs" / "security.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    rows = [row for row in rows if not row.startswith("| ---")]
    named = [re.findall(r"`(test_\w+)`", row) for row in rows]
    assert len(rows) >= 15
    assert all(named), "a row without a test"
    sources = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    known = set(re.findall(r"def (test_\w+)", sources))
    assert {name for names in named for name in names} - known == set()
