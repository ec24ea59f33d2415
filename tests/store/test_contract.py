"""Every engine keeps the contract of stores."""

import uuid

import pytest

from labdaq.store import DataStore
from labdaq.testing.redis import redis_server
from labdaq.testing.stores import StoreTests
from tests.store.servers import empty_redis


@pytest.fixture(scope="module")
def server():
    with redis_server() as server:
        yield server


class TestMemoryStores(StoreTests):
    @pytest.fixture
    def new_store(self):
        with DataStore(f"memory://{uuid.uuid4()}") as store:
            yield store


class TestEmbeddedStores(StoreTests):
    is_shared_by_processes = True
    batch_nbytes = 4096

    @pytest.fixture
    def new_store(self, tmp_path, monkeypatch):
        monkeypatch.setattr("labdaq.store.embedded.segments.SEGMENT_NBYTES", self.batch_nbytes)
        with DataStore(tmp_path / "store") as store:
            yield store


class TestRedisStores(StoreTests):
    is_shared_by_processes = True

    @pytest.fixture
    def new_store(self, server):
        with empty_redis(server) as store:
            yield store

    @pytest.mark.slow  # a claim that nobody renews lasts for ten seconds
    def test_a_writer_that_was_killed_elsewhere(self, store):
        super().test_a_writer_that_was_killed_elsewhere(store)
