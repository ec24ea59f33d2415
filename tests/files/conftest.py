"""A disk that is full: files that may not grow."""

import contextlib
import signal

import pytest


@pytest.fixture
def small_files():
    """A context in which no file may grow beyond a number of bytes."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def limited(size):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)

    return limited
