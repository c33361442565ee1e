"""The stores that the contract is tried on: a second one is a folder in `guardian/stores/` and a line here."""

from hypothesis import HealthCheck, settings

from guardian.stores.opening import backend
from tests.support.firestore import address_in
from tests.support.memory import Database

STORES = {
    "sqlite": lambda folder: backend(folder / "guardian.db").open,
    "memory": lambda folder: Database(place=str(folder / "guardian.db")).open,
    "firestore": lambda folder: backend(address_in(folder)).open,
}
"""By name: what opens the database in a folder, again and again, as `Stores`; it takes the book of people."""


def law_on(store, *, examples):
    """On how many databases a law is tried: on Firestore a quarter, since its emulator takes seconds for one. What once
    failed there stands beside the law as an `@example`."""
    most = examples // 4 if store == "firestore" else examples
    return settings(max_examples=most, deadline=None, suppress_health_check=list(HealthCheck))
