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
from tests.promises.keeping import PromiseKeeper, in_earnest, note_promise, often, saw

__all__ = ["in_earnest", "no_leaks", "often", "saw"]

# A script for another Python, which has the peer.
collect_ignore = ["benchmarks/mimocorb_suite.py"]

settings.register_profile("labdaq", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("labdaq")


def pytest_configure(config: pytest.Config) -> None:
    """Give test processes that are not alone shared memory of their own: none takes the rings of another for a leak."""
    worker, is_long = os.environ.get("PYTEST_XDIST_WORKER"), config.getoption("promises")
    if is_long and config.getoption("times") >= 1 and not worker:
        config.pluginmanager.register(PromiseKeeper())
    leads_workers = bool(config.getoption("numprocesses", None))  # they would take over what is set here
    if (worker or is_long) and not leads_workers and "LABDAQ_SHARED_MEMORY" not in os.environ:
        place = Path(tempfile.mkdtemp(prefix=f"labdaq-tests-{worker or 'long'}-", dir=mapping.folder()))
        os.environ["LABDAQ_SHARED_MEMORY"] = str(place)
        atexit.register(shutil.rmtree, place, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long those tests run that are the better the longer."""
    parser.addoption("--promises", action="store_true", help="put promises to the test for long, and write their page")
    parser.addoption("--times", type=float, default=1.0, help="with --promises: so much longer; a fraction only tries")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of promises say which."""
    for item in items:
        note_promise(item)
