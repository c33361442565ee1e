"""The store of events in Firestore: slices of events as documents, for apps on many machines."""
