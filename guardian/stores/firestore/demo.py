"""A Firestore database for a demonstration: on Google's emulator, unless a real project is explicitly allowed."""

from __future__ import annotations

import os
import urllib.request

from guardian.core.storage import StorageError
from guardian.stores.firestore.backend import FirestoreBackend
from guardian.stores.firestore.documents import NEW, Change, Documents
from tracker.firestore.address import parse
from tracker.firestore.expiry import META

EMULATOR = "FIRESTORE_EMULATOR_HOST"
_MARK = "demo"
"""The document that marks a database as one that a demonstration may empty."""
_SECONDS = 30.0


def begin_demo(database: str, *, real: bool) -> None:
    """Make sure that the database is empty, and mark it. What an earlier demonstration left on an emulator is removed.
    Raises ValueError with the cure for a real project without `real`, and for a database with other data; StorageError
    if it does not answer.
    """
    try:
        address = parse(database)
    except ValueError as error:
        raise ValueError(f"--{error}; without it, the demo makes a file") from None
    host = os.environ.get(EMULATOR, "")
    if not host and not real:
        raise ValueError(
            f"{database} is a real project of Google Cloud, since {EMULATOR} is not set: start an emulator "
            "(gcloud emulators firestore start) and set it, or say --real-project if the demo may write there"
        )
    documents = Documents(address)
    if FirestoreBackend(database).exists():
        if not host or documents.get(META, _MARK) is None:
            raise ValueError(f"{database} holds other data: name a project or a database that is empty")
        _clear(host, address.project, address.database)
    documents.commit([Change(META, _MARK, {}, NEW)])


def _clear(host: str, project: str, name: str) -> None:
    """Delete all documents of an emulator database, through an endpoint that only the emulator has."""
    url = f"http://{host}/emulator/v1/projects/{project}/databases/{name}/documents"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=_SECONDS):
            pass
    except OSError as error:
        raise StorageError(f"the emulator at {host} does not answer ({type(error).__name__}): start it") from error
