"""Settings of all tests: nothing may leak, and hypothesis does not take a slow machine for a bug."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from labdaq.native import mapping
from labdaq.testing import no_leaks

__all__ = ["no_leaks"]

# A script for another Python, which has the peer.
collect_ignore = ["benchmarks/mimocorb_suite.py"]

settings.register_profile("labdaq", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("labdaq")


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several test processes shared memory of its own: none takes the rings of another for a leak."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and "LABDAQ_SHARED_MEMORY" not in os.environ:
        place = Path(tempfile.mkdtemp(prefix=f"labdaq-tests-{worker}-", dir=mapping.folder()))
        os.environ["LABDAQ_SHARED_MEMORY"] = str(place)
        atexit.register(shutil.rmtree, place, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long the tests run that are the better the longer."""
    parser.addoption(
        "--kill-seconds", type=float, default=10.0, help="how long processes are killed at random (default 10 s)"
    )
    parser.addoption(
        "--store-kills", type=int, default=50, help="how many writers of a store are killed at random (default 50)"
    )
