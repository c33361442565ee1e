"""`guardian run --log-format json`: whatever is said on stderr is a JSON object a line, the last word too."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lines_of(folder, settings, before=""):
    """What a daemon that cannot go on says on stderr, and its exit code."""
    (folder / "guardian.toml").write_text(settings)
    code = f"{before}\nfrom guardian.cli import main\nmain(['run', '--log-format', 'json'])\n"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GUARDIAN_", "NOTIFY_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=clean | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60
    )
    return done.returncode, [json.loads(line) for line in done.stderr.decode().splitlines()]


def test_each_wrong_setting_is_a_line_of_json(tmp_path):
    code, said = lines_of(tmp_path, 'colour = 1\n[api]\nport = "x"\n')
    assert code == 1
    assert [(each["level"], each["logger"]) for each in said] == [("error", "guardian")] * 2
    assert any('api.port = "x" is not a whole number' in each["message"] for each in said)


def test_a_port_that_is_taken_is_a_line_of_json(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = lines_of(tmp_path, f'schedules = ["daily at 08:00"]\n[api]\nport = {port}\n')
    assert (code, said[-1]["level"]) == (1, "error")
    assert said[-1]["message"] == (
        f"the API cannot listen on 127.0.0.1:{port} (Address already in use): stop what uses the port, or set api.port"
    )


BROKEN = """
import threading, warnings
import guardian.web.daemon
def fault(*args):
    warnings.warn("a library warns")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    raise RuntimeError("a fault of ours")
guardian.web.daemon._stop_by_signal = fault
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_fault_a_warning_and_a_fault_of_a_thread_are_lines_of_json_with_the_traceback(tmp_path):
    code, said = lines_of(tmp_path, "[api]\nenabled = false\n", BROKEN)
    assert code == 1
    warned, thread, fault = said[-3:]
    assert (warned["level"], "a library warns" in warned["message"]) == ("warning", True)
    assert thread["error"].endswith("ZeroDivisionError: division by zero")
    assert fault["error"].endswith("RuntimeError: a fault of ours")
    assert fault["message"] == "Guardian ends by a fault of its own"
