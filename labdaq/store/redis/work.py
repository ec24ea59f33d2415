"""Work that several machines share: jobs that one publishes, and that the members of a group take and give back.

A job is a few bytes; what they mean is the business of who uses this. Each group gets every job; of its members one
gets it. It is the member's until it commits it with a result, both in one step. A member that gives no sign of life
for `DEAD_MS` loses its jobs to others; if it comes back, what it commits of them counts only if it was quicker.
"""

import json
import re
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from labdaq.errors import BusyError, DataError, EndOfDataError, LayoutError, NotFoundError, ResourceError
from labdaq.store.redis import work_scripts as scripts
from labdaq.store.redis.link import Link

__all__ = ["DEAD_MS", "Claimed", "Job", "WorkMember", "WorkPublisher", "checked_name"]

DEAD_MS = 3000
"""Who gives no sign of life for so long is dead."""
_PUBLISHER_DEAD_MS = 10_000  # then another may take its place
_PUBLISHER_GONE_S = 60.0  # then members wait no longer
_LIFE_MS = 3_600_000
"""What nobody looks after is removed by the server after this time."""
_MOST_ABOUT_NBYTES = 1 << 16
_PATIENCE_S = 10.0
_NAME = re.compile(r"[\w.-]{1,100}")
_STRANGE = (ValueError, TypeError, LookupError, AttributeError)


class Job(NamedTuple):
    """What is to be done."""

    number: int
    """From 0, in the order of publication."""
    head: bytes
    data: bytes
    parameters: bytes = b""


class Claimed(NamedTuple):
    """A job that a member has."""

    id: bytes
    job: Job
    deliveries: int
    """1: nobody else has tried it."""


def checked_name(name: str) -> str:
    """The name of a place or group.

    Raises
    ------
    LayoutError
        It cannot be one.
    """
    if not _NAME.fullmatch(str(name)):
        raise LayoutError(f"name={name!r:.110}: up to 100 letters, digits, points, hyphens and underscores")
    return name


class _Place:
    """What publisher and members have in common."""

    def __init__(self, url: str, name: str) -> None:
        self.name = checked_name(name)
        self._place = f"labdaq:work:{name}"
        self._prefix = f"{self._place}:"
        self.link = Link(url, _PATIENCE_S)
        self._about = self._jobs = ""

    def _enter(self, session: str) -> None:
        self._about, self._jobs = scripts.session_keys(self._prefix, session)
        self._base = f"{self._prefix}{session}:"

    def close(self) -> None:
        """Give the connections back."""
        self.link.close()


class WorkPublisher(_Place):
    """Publishes jobs at a place, and collects their results.

    Parameters
    ----------
    url, name
        The Redis server, and the place.
    about
        What members have to know: JSON values.
    capacity
        Most jobs that are there at a time.
    groups
        Groups that are known beforehand; others get what is still there when they come.

    Raises
    ------
    BusyError
        Another publisher uses the place.
    ResourceError
        The server cannot be reached, or refuses.
    """

    def __init__(
        self, url: str, name: str, about: dict[str, Any], *, capacity: int, groups: Sequence[str] = ()
    ) -> None:
        text = json.dumps(about, allow_nan=False)
        if len(text) > _MOST_ABOUT_NBYTES:
            raise LayoutError(f"what is said of the work at {name!r} has {len(text)} bytes: say less")
        super().__init__(url, name)
        self._capacity = capacity
        session = secrets.token_hex(8)
        self._enter(session)
        self._last: dict[str, str] = {}
        arguments = [self._prefix, session, text, _LIFE_MS, _PUBLISHER_DEAD_MS, *map(checked_name, groups)]
        try:
            said = self.link.run(scripts.BEGIN, [self._place, self._about, self._jobs], arguments)
        except BaseException:
            self.close()
            raise
        if said != b"ok":
            self.close()
            raise BusyError(f"another process publishes work as {name!r} at {self.link.url}: choose another name")

    def put(self, jobs: Sequence[Job] = ()) -> tuple[int, int]:
        """Publish jobs, as many as there is room for; without any, only say that the publisher lives.

        Returns
        -------
        int, int
            How many of these were taken, and how many are there now that some group is not done with.
        """
        parts = [part for job in jobs for part in (job.number + 1, job.head, job.data, job.parameters)]
        taken, length = self.link.run(
            scripts.PUT, [self._place, self._about, self._jobs], [self._capacity, _LIFE_MS, *parts]
        )
        return int(taken), int(length)

    def members(self, group: str) -> int:
        """How many members of a group live."""
        seconds, micros = self.link.call("TIME")
        since = int(seconds) * 1000 + int(micros) // 1000 - DEAD_MS
        return int(self.link.call("ZCOUNT", f"{self._base}seen:{group}", since, "+inf"))

    def results(self, group: str, block_s: float) -> list[tuple[int, bytes, str]]:
        """Results that have come: the number of the job, what the member gave, and who it was.

        Parameters
        ----------
        block_s
            How long to wait for the first, in seconds; 0 does not wait.
        """
        key, last = f"{self._base}done:{group}", self._last.get(group, "0-0")
        block = ("BLOCK", max(1, round(block_s * 1000))) if block_s > 0 else ()
        read = ("XREAD", "COUNT", 256, *block, "STREAMS", key, last)
        trim = ("XTRIM", key, "MINID", _after(last))
        entries = _entries(self.link.pipeline([trim, read], block_s=block_s)[1])
        found = []
        for identity, fields in entries:
            self._last[group] = identity.decode()
            try:
                number = int(fields[b"j"].split(b"-")[0]) - 1
                found.append((number, fields[b"r"], fields[b"m"].decode(errors="replace")))
            except _STRANGE:
                found.append((-1, b"", "?"))  # not of ours
        return found

    def take_back(self, group: str, count: int) -> list[int]:
        """Numbers of jobs that no member has, or whose member is dead: they count as done."""
        ids = self.link.run(scripts.TAKE_BACK, [self._jobs], [group, "publisher", DEAD_MS, count])
        return [int(identity.split(b"-")[0]) - 1 for identity in ids]

    def end(self) -> None:
        """No more jobs will come: members end when all are done."""
        self.link.run(scripts.END, [self._about])

    def abandon(self) -> None:
        """Nobody wants the results any more: everything is removed, and members end."""
        self.link.call("DEL", self._about, self._jobs)


class WorkMember(_Place):
    """A member of a group at a place.

    Parameters
    ----------
    url, name
        The Redis server, and the place.
    group
        Of which it is a member.
    timeout
        Seconds to wait for the publisher.

    Raises
    ------
    NotFoundError
        Nobody publishes there.
    ResourceError
        The server cannot be reached, or refuses.
    """

    def __init__(self, url: str, name: str, group: str, *, timeout: float = 0.0) -> None:
        super().__init__(url, name)
        self.group = checked_name(group)
        self.member = f"{secrets.token_hex(6)}"
        self._looked = time.monotonic()
        try:
            self._session, self.about = self._joined(time.monotonic() + timeout)
        except BaseException:
            self.close()
            raise
        self._enter(self._session)
        self._keys = [self._jobs, f"{self._base}seen:{group}", f"{self._base}done:{group}"]
        self.renew(())

    def _joined(self, deadline: float) -> tuple[str, dict[str, Any]]:
        while True:
            found = self.link.run(scripts.JOIN, [self._place], [self._prefix, self.group, _PUBLISHER_DEAD_MS])
            if found and (found[2] == b"0" or time.monotonic() >= deadline):
                return found[0].decode(), _about_of(found[1], self.name)
            if time.monotonic() >= deadline:
                raise NotFoundError(f"nobody publishes work as {self.name!r} at {self.link.url}")
            time.sleep(0.1)

    def fetch(self, count: int, block_s: float) -> list[Claimed]:
        """Take jobs: those of members that died first.

        Raises
        ------
        EndOfDataError
            All jobs are done, and no more will come; or the publisher is gone.
        """
        try:
            return self._fetch(count, block_s)
        except ResourceError as error:
            if "NOGROUP" in str(error):
                raise EndOfDataError(f"the work at {self.name!r} was given up") from error
            raise

    def _fetch(self, count: int, block_s: float) -> list[Claimed]:
        now = time.monotonic()
        if now - self._looked > DEAD_MS / 3000:
            self._looked = now
            old = self.link.run(scripts.CLAIM, [self._jobs], [self.group, self.member, DEAD_MS, count])
            if old:
                return [_claimed(identity, _fields(fields), int(times)) for identity, fields, times in old]
            self._check_end()
        read = ("XREADGROUP", "GROUP", self.group, self.member, "COUNT", count, "BLOCK")
        command = (*read, max(1, round(block_s * 1000)), "STREAMS", self._jobs, ">")
        reply = self.link.pipeline([command], block_s=block_s)[0]
        return [_claimed(identity, fields, 1) for identity, fields in _entries(reply)]

    def _check_end(self) -> None:
        """Raise when nobody will publish any more, and nothing is left that could come back from others."""
        (ended, beat), (seconds, _micros) = self.link.pipeline([("HMGET", self._about, "ended", "beat"), ("TIME",)])
        if ended == b"0" and beat is not None and int(seconds) - int(beat) / 1000 < _PUBLISHER_GONE_S:
            return
        if beat is not None:
            stream, groups = self.link.pipeline([("XINFO", "STREAM", self._jobs), ("XINFO", "GROUPS", self._jobs)])
            last = _fields(stream)[b"last-generated-id"]
            for group in map(_fields, groups):
                is_done = not group[b"pending"] and group[b"last-delivered-id"] == last
                if group[b"name"] == self.group.encode() and not is_done:
                    return
        raise EndOfDataError(f"the work at {self.name!r} is over")

    def renew(self, ids: Iterable[bytes]) -> None:
        """Give a sign of life, for oneself and the jobs at hand."""
        self.link.run(scripts.RENEW, self._keys[:2], [self.group, self.member, _LIFE_MS, *ids])

    def commit(self, results: Sequence[tuple[bytes, bytes]]) -> list[bool]:
        """Acknowledge jobs by their ids, each with its result; which of them nobody had done before."""
        if not results:
            return []
        parts = [part for pair in results for part in pair]
        keys = [self._keys[0], self._keys[2]]
        return [n == 1 for n in self.link.run(scripts.COMMIT, keys, [self.group, self.member, _LIFE_MS, *parts])]

    def leave(self) -> None:
        """Say good-bye: what it has goes to others at once when they look."""
        self.link.call("ZREM", self._keys[1], self.member)


def _after(identity: str) -> str:
    """The id after one."""
    first, _, second = identity.partition("-")
    return f"{first}-{int(second) + 1}"


def _about_of(text: bytes, name: str) -> dict[str, Any]:
    try:
        about = json.loads(text)
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or len(text) > _MOST_ABOUT_NBYTES:
        raise DataError(f"what is said of the work at {name!r} is damaged: somebody else uses this key")
    return about


def _entries(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """What XREAD and XREADGROUP give, over the old protocol and the new one."""
    if not reply:
        return []
    found = next(iter(reply.values())) if isinstance(reply, dict) else reply[0][1]
    if found and isinstance(found[0], list) and found[0] and isinstance(found[0][0], list):
        found = found[0]
    return [(identity, _fields(fields)) for identity, fields in found]


def _fields(flat: Any) -> dict[bytes, Any]:
    if isinstance(flat, dict):
        return flat
    return dict(zip(flat[::2], flat[1::2], strict=False)) if flat else {}


def _claimed(identity: bytes, fields: dict[bytes, bytes], deliveries: int) -> Claimed:
    number = int(identity.split(b"-")[0]) - 1
    return Claimed(
        identity, Job(number, fields.get(b"h", b""), fields.get(b"d", b""), fields.get(b"p", b"")), deliveries
    )
