"""The wire between a live plot and the pages that show it: only the newest, and no faster than they can paint.

Each frame is one message: a description and raw arrays. Pages tell which frame they painted last, twice a second at
most. A page that is behind is sent less, and while too many frames are on their way none is sent; what changed
meanwhile goes along with the next one. A page
that says nothing any more slows the wire down, ever more as time passes, so that what waits for it somewhere stays
small for days. With no page that looks there is no traffic at all.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Wire"]

Columns = Mapping[str, npt.NDArray[Any]]
Send = Callable[[dict[str, Any], list[memoryview]], None]

WINDOW = 45
"""Most frames on their way; two acknowledgements a second allow for 30 frames a second and half a second of delay."""
PATIENCE_S = 3.0
"""A page that is so much quieter than another one is not waited for."""
_SLOWEST_AT_ONCE_S = 0.25
_FEW_BEHIND = 5
_SLOWEST_S = 0.5
_SLOWER = 30.0
_KINDS = {"f": "f4", "i": "i4", "u": "u1"}


class Wire:
    """Frames of named columns to any number of pages; safe to use from any thread.

    Parameters
    ----------
    send
        Sends a description and its buffers to all pages.
    clock
        Seconds that only grow.
    is_asked
        Frames are sent only as the answer to a page that asks.

    Attributes
    ----------
    sent, dropped : int
        Frames that were sent, and those that were not because the pages had not painted the earlier ones.

    Examples
    --------
    >>> sent = []
    >>> wire = Wire(lambda about, buffers: sent.append((about["sources"], [len(b) for b in buffers])))
    >>> wire.offer({"scope": {"y": np.zeros(3)}})  # nobody looks
    False
    >>> wire.heard({"ready": "page 1"})
    >>> sent
    [([['scope', [['y', 'f4', [3]]]]], [12])]
    """

    def __init__(self, send: Send, clock: Callable[[], float] = time.monotonic, *, is_asked: bool = False) -> None:
        self._send, self._clock, self._is_asked = send, clock, is_asked
        self._lock = threading.RLock()
        self._pages: dict[str, tuple[int, float]] = {}
        self._columns: dict[str, dict[str, npt.NDArray[Any]]] = {}
        self._settings: dict[str, dict[str, Any]] = {}
        self._is_new: set[str] = set()
        self._changed: dict[str, dict[str, Any]] = {}
        self._sent_s = -np.inf
        self._pace_s = 0.0
        self.sent = self.dropped = 0

    @property
    def is_watched(self) -> bool:
        """Whether any page looks."""
        return bool(self._pages)

    @property
    def pages(self) -> tuple[str, ...]:
        """Names of the pages that look."""
        with self._lock:
            return tuple(self._pages)

    @property
    def in_flight(self) -> int:
        """Frames that were sent and that the slowest page has not painted."""
        with self._lock:
            return self.sent - min((painted for painted, _ in self._pages.values()), default=self.sent)

    def offer(self, sources: Mapping[str, Columns], settings: Mapping[str, Mapping[str, Any]] | None = None) -> bool:
        """Send columns of sources, and properties of models; or keep them for the next frame.

        Arrays are copied, real numbers as float32.

        Returns
        -------
        bool
            Whether they were sent.
        """
        with self._lock:
            for name, columns in sources.items():
                self._columns.setdefault(name, {}).update({key: _packed(one) for key, one in columns.items()})
                self._is_new.add(name)
            for name, changes in (settings or {}).items():
                known = self._settings.setdefault(name, {})
                new = {key: value for key, value in changes.items() if known.get(key) != value}
                known.update(new)
                if new:
                    self._changed.setdefault(name, {}).update(new)
            if not self._pages or self._is_asked or not (self._is_new or self._changed):
                return False
            if self._must_wait():
                self.dropped += 1
                return False
            self._emit(self._is_new, self._changed)
            return True

    def heard(self, said: Mapping[str, Any]) -> None:
        """A page said something: that it is ready, has painted, asks for what is new, or looks no more."""
        with self._lock:
            if "ready" in said:
                self._welcome(str(said["ready"]))
            elif "poll" in said:
                if str(said["poll"]) in self._pages:
                    self._emit(self._is_new, self._changed)
                else:
                    self._welcome(str(said["poll"]))
            elif "gone" in said:
                self._pages.pop(str(said["gone"]), None)
            elif "painted" in said:
                page, painted = str(said.get("page")), int(said["painted"])
                if page not in self._pages:  # it was silent for long, and is back
                    self._welcome(page)
                    return
                self._pages[page] = (min(painted, self.sent), self._clock())
                self._keep_pace(self.sent - painted)

    def forget(self) -> None:
        """Nobody looks any more."""
        with self._lock:
            self._pages.clear()

    def _welcome(self, page: str) -> None:
        self._pages[page] = (self.sent, self._clock())
        self._emit(set(self._columns), self._settings)

    def _keep_pace(self, behind: int) -> None:
        """Go slower when a page paints what was sent long ago, and quicker when it is up to date."""
        if behind > _FEW_BEHIND:
            self._pace_s = min(max(self._pace_s, 0.02) * 1.5, _SLOWEST_S)
        else:
            self._pace_s = self._pace_s * 0.85 if self._pace_s > 0.01 else 0.0

    def _must_wait(self) -> bool:
        now = self._clock()
        if now - self._sent_s < self._pace_s:
            return True
        newest = max(heard for _, heard in self._pages.values())
        for page in [page for page, (_, heard) in self._pages.items() if newest - heard > PATIENCE_S]:
            del self._pages[page]
        if self.in_flight < WINDOW:
            return False
        silence_s = now - max(heard for _, heard in self._pages.values())
        return now - self._sent_s < max(_SLOWEST_AT_ONCE_S, silence_s / _SLOWER)

    def _emit(self, names: set[str], settings: Mapping[str, Mapping[str, Any]]) -> None:
        if not names and not settings:
            return
        about, buffers = [], []
        for name in sorted(names):
            columns = self._columns[name]
            about.append([name, [[key, one.dtype.str[1:], list(one.shape)] for key, one in columns.items()]])
            buffers += [one.reshape(-1).view(np.uint8).data for one in columns.values()]
        self.sent += 1
        self._sent_s = self._clock()
        frame = {"kind": "frame", "number": self.sent, "sent_ms": time.time() * 1e3, "sources": about}
        self._send(frame | {"settings": [[name, dict(one)] for name, one in settings.items()]}, buffers)
        self._is_new, self._changed = set(), {}


def _packed(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy in the byte order and in one of the types of the page."""
    return np.array(column, dtype="<" + _KINDS.get(np.asarray(column).dtype.kind, "f4"), order="C")
