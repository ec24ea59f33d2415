"""A real Redis server for tests, where one is installed."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from labdaq.errors import NotFoundError
from labdaq.store.redis.serve import RedisServer, find_redis_server

__all__ = ["redis_server"]


@contextlib.contextmanager
def redis_server(**options: Any) -> Iterator[RedisServer]:
    """A server of its own on a free port, with the options of `RedisServer`; skips the test where there is none."""
    pytest.importorskip("redis", reason="the package redis is not installed")
    try:
        find_redis_server()
    except NotFoundError as error:
        pytest.skip(str(error))
    with RedisServer(**options) as server:
        yield server
