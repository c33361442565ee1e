"""The stores that the contract is tried on: a second one is a folder in `guardian/stores/` and a line here."""

from guardian.stores.opening import backend
from tests.support.firestore import address_in
from tests.support.memory import Database

STORES = {
    "sqlite": lambda folder: backend(folder / "guardian.db").open,
    "memory": lambda folder: Database(place=str(folder / "guardian.db")).open,
    "firestore": lambda folder: backend(address_in(folder)).open,
}
"""By name: what opens the database in a folder, again and again, as `Stores`; it takes the book of people."""
