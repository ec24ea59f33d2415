"""One writer per stream of a Redis server: a claim, which expires unless it is renewed.

Who claimed last is written down in the stream, so one that was suspended for too long goes on as if nothing had
been, unless somebody else came; then none of its points is taken any more.
"""

import json
import os
import secrets
import socket
from typing import Any

from labdaq.errors import BusyError, DataError, LabdaqError, ScanNotFoundError, StateError
from labdaq.store.redis.replies import author_of, count_of
from labdaq.store.redis.scripts import CLAIM, RELEASE, RENEW, SEAL, stream_keys

__all__ = ["CLAIM_S", "Claim", "failure"]

CLAIM_S = 10.0
"""How long a claim lasts that is not renewed (seconds)."""


class Claim:
    """The right to append to a stream; the methods are the commands that take it and give it back.

    Attributes
    ----------
    token : str
        Of this very claim.
    """

    def __init__(self, key: str) -> None:
        self.token = secrets.token_hex(16)
        self._keys = stream_keys(key)
        self._author = json.dumps({"token": self.token, "host": socket.gethostname(), "pid": os.getpid()})

    def taking(self) -> tuple[Any, ...]:
        """Take it, if nobody else has it."""
        return self._command(CLAIM, self._author, round(CLAIM_S * 1000))

    def renewal(self) -> tuple[Any, ...]:
        """Keep it."""
        return self._command(RENEW, self._author, round(CLAIM_S * 1000))

    def release(self) -> tuple[Any, ...]:
        """Give it back."""
        return self._command(RELEASE)

    def seal(self, length: int) -> tuple[Any, ...]:
        """Seal the stream, which has so many points, and give the claim back."""
        return self._command(SEAL, length)

    def _command(self, script: str, *arguments: Any) -> tuple[Any, ...]:
        return "EVAL", script, len(self._keys), *self._keys, self.token, *arguments


def failure(reply: list[Any], name: str, lost: int = 0, start: int = 0) -> LabdaqError:
    """What to say when a script did not do it.

    Parameters
    ----------
    lost
        Points that will never arrive.
    start
        Index of the next point that was to be sent.
    """
    why, *more = reply
    also = f"; {lost} points that were on their way are lost" if lost else ""
    if why == b"gone":
        return ScanNotFoundError(f"stream {name!r} was deleted with its scan, or its server came back without it{also}")
    if why == b"sealed":
        return StateError(f"stream {name!r} is sealed: it takes no more points{also}")
    if why == b"busy":
        return BusyError(f"stream {name!r} is being written by {author_of(more[0])}{also}")
    if why == b"damaged":
        return DataError(
            f"{bytes(more[0]).decode()}, of stream {name!r}, is not as labdaq writes it: delete its scan, with "
            f"force=True, or put the key right with redis-cli{also}"
        )
    if why == b"torn":
        return DataError(f"stream {name!r} holds points on the server that nobody sent there{also}")
    return DataError(
        f"stream {name!r} has {count_of(more[0])} points on the server, of {start} that were there: it came back "
        f"without the last ones, or somebody tampered with them{also}"
    )
