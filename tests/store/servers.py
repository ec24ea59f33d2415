"""Stores on a server that tests share."""

from labdaq.store import DataStore
from labdaq.store.redis.serve import RedisServer


def empty_redis(server: RedisServer) -> DataStore:
    """A store on a server, from which everything else was removed."""
    from redis import Redis

    with Redis.from_url(server.url) as link:
        link.flushall()
    return DataStore(server.url)
