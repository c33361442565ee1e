"""The systemd unit: accepted by systemd itself, and hardened."""

import re
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "config" / "guardian.service"


@pytest.fixture
def installed_unit(tmp_path):
    """The unit as it is, but for the program's path: systemd wants the file to exist."""
    text = UNIT.read_text()
    unit = tmp_path / "guardian.service"
    unit.write_text(re.sub(r"/opt/guardian/\.venv/bin/guardian", "/bin/true", text))
    return unit


@pytest.mark.needs_systemd
def test_systemd_accepts_the_unit_without_a_word(installed_unit):
    run = subprocess.run(["systemd-analyze", "verify", "--man=no", installed_unit], capture_output=True, text=True)
    said = [line for line in (run.stdout + run.stderr).splitlines() if "guardian.service" in line]
    assert (run.returncode, said) == (0, [])


@pytest.mark.needs_systemd
def test_systemd_finds_little_exposed(installed_unit):
    run = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", installed_unit],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_unit_tells_systemd_when_it_is_ready_and_alive():
    text = UNIT.read_text()
    for line in ("Type=notify", "WatchdogSec=60", "NoNewPrivileges=yes", "ProtectSystem=strict", "Restart=on-failure"):
        assert line in text.splitlines()
