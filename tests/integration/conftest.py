"""Time for the parts that answer within a second, so that a busy machine decides no test."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def time_to_look():
    """The health check gives up reading after less than a second, which the tests' own processes may take. Those of
    that limit set it themselves."""
    try:
        from guardian.web import health
    except ImportError:  # `make test-matrix` has only the tracker
        return
    health.READ_SECONDS = 60
