"""More time than a part of the product gives itself, so that a busy machine decides no test. Tests of a limit set it
themselves."""

from contextlib import suppress
from importlib import import_module

SECONDS = 300.0
TRACKER = {
    "tracker.keeper": "IDENTIFY_SECONDS",
    "tracker.lifespan": "FLUSH_SECONDS",
    "tracker.firestore.client": "SECONDS",
    "guardian.stores.firestore.client": "SECONDS",
    "guardian.stores.firestore.documents": "SECONDS",
}
"""Where the limits of the tracker are, and those of a call to Firestore."""
WEB = dict.fromkeys(("guardian.web.health", "guardian.web.links", "guardian.web.metrics"), "READ_SECONDS")
"""Where those of answers are that come soon, whatever the database does."""


def be_patient(limits):
    """Raise these limits from now on. Modules that take one from where it is must be imported later."""
    with suppress(ImportError):  # `make test-matrix` has only the tracker
        for module, name in limits.items():
            found = import_module(module)
            assert hasattr(found, name), f"{module} has no {name}"
            setattr(found, name, SECONDS)


def wait_for_recorders():
    """Raise the limits of a recorder's flush and of its end."""
    from tracker import recorder

    usual = recorder.pace
    recorder.pace = lambda database: usual(database)._replace(ending=SECONDS)
    recorder.Recorder.flush.__defaults__ = (SECONDS,)
