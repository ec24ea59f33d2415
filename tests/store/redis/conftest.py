"""A server of its own for each test, and a store on it."""

import contextlib

import pytest

from labdaq.errors import (
    ResourceError,
)
from labdaq.store import DataStore
from labdaq.testing.redis import redis_server
from tests.store.redis.failing import PATIENCE_S


@pytest.fixture
def server():
    with redis_server() as server:
        yield server


@pytest.fixture
def store(server):
    store = DataStore(server.url, patience_s=PATIENCE_S)
    yield store
    with contextlib.suppress(ResourceError):  # the tests in which points are lost look at it themselves
        store.close()
