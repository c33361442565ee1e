"""People who were erased by a version of Guardian from before there were lists of names on Firestore."""

from guardian.stores.firestore.documents import Change
from tracker.firestore.expiry import META
from tracker.firestore.people import PEOPLE


def erased_as_before_lists(documents, person):
    """Erase the person of this document as that version does, which leaves nothing of the index but the epoch; the name
    they have now."""
    name = "erased-0123456789abcdef"
    documents.commit([
        Change(META, "erased", {"epoch": "older"}),
        Change(PEOPLE, person.name, None),
        Change(PEOPLE, name, {**person.fields, "name": name}),
    ])  # fmt: skip
    return name
