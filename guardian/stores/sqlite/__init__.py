"""Events and state in one SQLite file. Besides the tracker, this is the only place with SQL."""
