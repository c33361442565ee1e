"""The connection of a process to Firestore, and what its errors mean in one sentence.

Google's library takes 0.7 seconds and 50 MB to load, so it is loaded by the first thread that asks for a client. A
client does not outlive a fork: each process has its own.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from tracker.firestore.address import Address

SECONDS = 5.0
"""The time limit of one call. Google's library exceeds its own limit when it retries, so retries are switched off."""
_lock = threading.Lock()
_clients: dict[tuple[int, Address], Any] = {}


def client_of(address: Address) -> Any:
    """The synchronous client of this process for a database, made when it is asked for first."""
    key = (os.getpid(), address)
    with _lock:
        if key not in _clients:
            from google.cloud import firestore

            _clients[key] = firestore.Client(project=address.project, database=address.database)
        return _clients[key]


def _begin_as_child() -> None:
    """A forked child does not close its parent's clients: that would wait for threads that do not exist in it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_as_child)


_MEANINGS = {
    "DefaultCredentialsError": "there are no credentials of Google Cloud: run gcloud auth application-default login, "
    "or give the service an account",
    "PermissionDenied": "the account may not use the project {project}: give it the role roles/datastore.user, or "
    "correct the project",
    "Unauthenticated": "Google Cloud does not accept the credentials: renew them",
    "NotFound": "the project {project} has no database {database}: make it by gcloud firestore databases create, or "
    "correct the address",
    "ResourceExhausted": "the quota of Firestore is used up: raise it, or wait until it begins anew",
}
_SILENT = "Firestore does not answer ({kind}): look at the network and at status.cloud.google.com"
_NO_INDEX = "an index is missing in Firestore: run gcloud firestore indexes composite create as docs/cloud-run.md says"


def why(error: BaseException, address: Address) -> str:
    """What an error of Google's library means, in one sentence with the cure, and without any value that was sent."""
    kind, text = type(error).__name__, str(error)
    if isinstance(error, ImportError):
        return "google-cloud-firestore is not installed: run pip install 'usage-guardian-tracker[firestore]'"
    if kind == "PermissionDenied" and ("has not been used in project" in text or "SERVICE_DISABLED" in text):
        return (
            f"Firestore is not switched on in the project {address.project}: "
            "run gcloud services enable firestore.googleapis.com"
        )
    if kind in ("DeadlineExceeded", "RetryError", "ServiceUnavailable"):
        return _SILENT.format(kind=kind)
    if kind == "FailedPrecondition" and "index" in text:
        return _NO_INDEX
    return _MEANINGS.get(kind, f"Firestore refuses ({kind})").format(**address._asdict())
