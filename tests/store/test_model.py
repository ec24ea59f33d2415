"""Every engine against a plain model of a store."""

import uuid

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from labdaq.store import DataStore
from labdaq.testing import StoreMachine
from labdaq.testing.redis import redis_server
from tests.store.servers import empty_redis


@pytest.fixture
def memory():
    return lambda: DataStore(f"memory://{uuid.uuid4()}")


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    monkeypatch.setattr("labdaq.store.embedded.segments.SEGMENT_NBYTES", 64)
    return lambda: DataStore(tmp_path / str(uuid.uuid4()))


@pytest.fixture
def redis():
    with redis_server() as server:
        yield lambda: empty_redis(server)


@pytest.mark.parametrize(("engine", "examples"), [("memory", 150), ("embedded", 50), ("redis", 40)])
def test_an_engine_does_what_the_model_does(engine, examples, request):
    open_empty = request.getfixturevalue(engine)

    class Machine(StoreMachine):
        def open_store(self):
            return open_empty()

    run_state_machine_as_test(Machine, settings=settings(max_examples=examples, stateful_step_count=50, deadline=None))
