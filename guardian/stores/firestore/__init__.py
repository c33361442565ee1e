"""The stores in Firestore, for apps on many machines; loaded only where the database's address says so."""
