"""Events and state in one SQLite file: the only place with SQL beside the tracker."""
