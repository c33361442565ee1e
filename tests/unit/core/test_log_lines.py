import json
import logging
import sys

from guardian.core.log_lines import JsonLines


def line(message, *args, error=None):
    return JsonLines().format(logging.LogRecord("guardian.web", logging.ERROR, "x.py", 1, message, args, error))


def test_a_line_of_the_log_is_one_json_object():
    found = line("The port %d is taken\nby another", 80)
    assert "\n" not in found
    assert json.loads(found).items() >= {
        "level": "error", "logger": "guardian.web", "message": "The port 80 is taken\nby another",
    }.items()  # fmt: skip
    assert json.loads(found)["time"].endswith("+00:00")


def test_a_traceback_stays_on_the_line():
    try:
        raise ValueError("no")
    except ValueError:
        found = line("It failed", error=sys.exc_info())
    assert "\n" not in found and json.loads(found)["error"].endswith("ValueError: no")
