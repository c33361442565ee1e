"""The stores on Firestore, for apps on many machines. Only loaded for a Firestore address."""
