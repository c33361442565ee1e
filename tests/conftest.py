"""What all tests share: how a missing server is reported."""

import os
import shutil

import pytest

NEEDS = {
    "needs_chromium": "chromium",
    "needs_node": "node",
    "needs_postfix": "postfix",
    "needs_systemd": "systemd-analyze",
}


def pytest_collection_modifyitems(items):
    for item in items:
        for marker, program in NEEDS.items():
            if item.get_closest_marker(marker) and shutil.which(program) is None:
                item.add_marker(pytest.mark.skip(reason=f"{program} is not installed"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With GUARDIAN_REFUSE_SKIPS=1, as in CI, a skipped test has failed: what it needs must be there."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("GUARDIAN_REFUSE_SKIPS") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI refuses: {report.longrepr}"
