"""What all tests share: how a missing server is reported, an environment without settings, and one of each mail that
Guardian can send."""

import asyncio
import ctypes
import gc
import os
import pickle
import shutil
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from tests.support.firestore import one_for_all
from tests.support.forking import GUARDIAN, LIBRARIES, forking
from tests.support.patience import TRACKER, be_patient, wait_for_recorders

be_patient(TRACKER)
wait_for_recorders()

# Python's compiled files are kept, whatever the environment says: each process of the tests, and each program that
# they start, would otherwise compile all modules anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

with suppress(ImportError):  # where only the tracker's tests run, it may be missing
    from hypothesis import HealthCheck, settings

    # Timing never decides a test: other work may have the machine's cores.
    settings.register_profile("guardian", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("guardian")

NEEDS = {
    "needs_chromium": "chromium",
    "needs_firestore": "gcloud",
    "needs_node": "node",
    "needs_openssl": "openssl",
    "needs_postfix": "postfix",
    "needs_systemd": "systemd-analyze",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """One process more than there are cores: many a test waits for a browser or a server."""
    return (os.cpu_count() or 1) + 1


def pytest_configure(config):
    """The first process of a run stops the emulator that the others share."""
    if not hasattr(config, "workerinput"):
        shared = one_for_all()
        shared.__enter__()
        config.add_cleanup(lambda: shared.__exit__(None, None, None))


def pytest_make_parametrize_id(val, argname):
    """A long text is no name for a test: it may hold a time or a signature, and then each process of a run would find
    other tests than the next."""
    return f"long-{argname}" if isinstance(val, str) and len(val) > 70 else None


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """What is made once in a run, whichever of its processes asks first: `made_once("name", make)` gives what `make`
    made, with an empty folder that all of them can read."""
    import fcntl

    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name, make):
        with (folder / f"{name}.pickle").open("a+b") as kept:
            fcntl.flock(kept, fcntl.LOCK_EX)  # until it is closed
            if not kept.seek(0, os.SEEK_END):
                (folder / name).mkdir(exist_ok=True)
                kept.write(pickle.dumps(make(folder / name)))
                kept.flush()
            kept.seek(0)
            return pickle.load(kept)

    return made


@pytest.fixture(scope="session")
def loaded():
    """Forks processes from one that has loaded all of Guardian: a second less for each."""
    with forking(path=[Path(__file__).parents[1]], libraries=[*LIBRARIES, *GUARDIAN]) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def samples_in(made_once):
    """The sample mails in the language of a code: `samples_in("fr")`."""
    from guardian.application.preview.folder import samples_of  # here: `make test-matrix` has only the tracker
    from guardian.application.preview.reports import sample_reports

    @cache
    def samples(code):
        reports = made_once("reports", lambda _: asyncio.run(sample_reports()))
        return made_once(f"samples-{code}", lambda _: samples_of(reports, code))

    return samples


@pytest.fixture(scope="session", autouse=True)
def no_other_process(tmp_path_factory):
    """Guardian looks for an app that records into another file among all that this user runs: here, that would be other
    tests. Those of the look itself say where it looks."""
    try:
        from guardian.application.elsewhere import records_elsewhere
    except ImportError:  # `make test-matrix` has only the tracker
        return
    records_elsewhere.__kwdefaults__["proc"] = tmp_path_factory.mktemp("proc")


@pytest.fixture(scope="session", autouse=True)
def code_read_once():
    """To a recorder, the tests' own modules are its app's, whose texts it reads when there is an error. Their code is
    compiled for one of them, and not for each anew."""
    from tracker import error_text

    plain, known = error_text.code_of, {}

    def read(inside):
        if id(inside) not in known or known[id(inside)][0] is not inside:
            known[id(inside)] = inside, plain(inside)  # holds it, so that no other gets its id
        return known[id(inside)][1]

    error_text.code_of = read


@pytest.fixture
def no_variables(monkeypatch):
    """No settings in the environment."""
    for name in [name for name in os.environ if name.startswith("GUARDIAN_")]:
        monkeypatch.delenv(name)


@cache
def missing(program):
    """What is not installed of what a program needs; None where it can run."""
    if shutil.which(program) is None:
        return program
    if program == "gcloud" and shutil.which("java") is None:
        return "java"  # for the emulator
    if program == "chromium" and sys.platform == "linux":
        try:
            ctypes.CDLL("libatomic.so.1")  # for Playwright's own Node, which steers it
        except OSError:
            return "libatomic1"
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        for marker, program in NEEDS.items():
            if item.get_closest_marker(marker) and (lacking := missing(program)):
                item.add_marker(pytest.mark.skip(reason=f"{lacking} is not installed"))


def pytest_collectstart():
    """Until all tests are found, nothing is garbage: to look for it in vain takes a seventh of that time."""
    gc.disable()


def pytest_collection_finish():
    """Thousands of tests and their modules stay till the end: whoever collects garbage need not look through them. It
    is looked for less often than Python does by itself, which would take a fifteenth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With GUARDIAN_REFUSE_SKIPS=1, as in CI, a skipped test has failed: what it needs must be there."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("GUARDIAN_REFUSE_SKIPS") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI refuses: {report.longrepr}"
