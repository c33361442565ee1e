"""Events in an SQLite file: all of the tracker that knows SQL."""
