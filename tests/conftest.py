"""Settings of all tests: nothing may leak, and hypothesis does not take a slow machine for a bug."""

import pytest
from hypothesis import HealthCheck, settings

from labdaq.testing import no_leaks

__all__ = ["no_leaks"]

settings.register_profile("labdaq", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("labdaq")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the tests run that are the better the longer."""
    parser.addoption(
        "--kill-seconds", type=float, default=10.0, help="how long processes are killed at random (default 10 s)"
    )
    parser.addoption(
        "--store-kills", type=int, default=50, help="how many writers of a store are killed at random (default 50)"
    )
