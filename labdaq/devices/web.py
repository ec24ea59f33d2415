"""Numbers from the network: pages that are asked for again and again, and pages that never end.

Only ``http`` and ``https`` are spoken, redirections are not followed, and no message may be longer than a limit:
what a server sends is not trusted.
"""

import contextlib
import http.client
import math
import socket
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from labdaq.devices.base import DeviceSource
from labdaq.devices.records import Fields, LineSplitter
from labdaq.errors import EndOfDataError, LayoutError, ResourceError
from labdaq.roles import EventSlot, Parameter

__all__ = ["HttpLines", "HttpPoll", "WebSource"]

_FORMATS = ("json", "csv")


class WebSource(DeviceSource):
    """What all sources from the network have in common: the address, the limits, text to records.

    To be derived from: :class:`HttpPoll`, :class:`HttpLines`, :class:`labdaq.devices.WebSocket`.
    """

    schemes: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()

    def __init__(
        self,
        url: str,
        fields: Sequence[str] | Mapping[str, Any],
        *,
        form: str = "json",
        longest: int = 65536,
        timeout: float = 5.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in self.schemes or not parts.hostname or not _is_plain(url):
            beginnings = " or ".join(f"{name}://" for name in self.schemes)
            raise LayoutError(f"{url!r}: an address begins with {beginnings} and a host")
        if form not in _FORMATS or longest < 1 or not (timeout > 0 and math.isfinite(timeout)):
            raise LayoutError(
                f"form is one of {', '.join(_FORMATS)}, longest and timeout are positive; "
                f"given: {form!r}, {longest}, {timeout}"
            )
        self.url, self.form, self.longest, self.timeout = url, form, longest, timeout
        self.fields = Fields(fields)
        self.dtype = self.fields.dtype
        self.device = f"{parts.scheme} {parts.netloc.rpartition('@')[2]}{parts.path}"  # without a password

    @property
    def header(self) -> dict[str, Any]:
        """What goes with the data."""
        return {"fields": list(self.fields.names), "source": self.device}

    def _record(self, text: str | bytes) -> tuple[float, ...] | None:
        """The record in a message; what holds none is counted."""
        if self.form == "json":
            record = self.fields.of_json(text)
        else:
            record = self.fields.of_text(text if isinstance(text, str) else text.decode("utf-8", "replace"))
        if record is None:
            self._lost("malformed message")
        return record


def _is_plain(url: str) -> bool:
    """Whether there are only signs in an address that an address may have, and a possible port."""
    try:
        urlsplit(url).port  # noqa: B018  # it is looked at when it is asked for
    except ValueError:
        return False
    return url.isascii() and url.isprintable() and " " not in url


class _HttpSource(WebSource):
    """Requests whose connection can be shut from another thread."""

    schemes = ("http", "https")
    _socket: socket.socket | None = None

    def _request(self) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self.timeout)
        try:
            connection.connect()
            self._socket = connection.sock
            self._check()  # it may have been interrupted before there was a socket to shut
            path = parts.path or "/"
            connection.request("GET", f"{path}?{parts.query}" if parts.query else path)
            return connection, self._good(connection.getresponse())
        except BaseException:
            connection.close()
            raise

    def _good(self, response: http.client.HTTPResponse) -> http.client.HTTPResponse:
        if response.status != http.client.OK:
            raise ResourceError(f"{self.device!r} answered {response.status} {response.reason}, not 200 OK")
        return response

    def _wake(self) -> None:
        link = self._socket
        if link is not None:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def _speaking(self, doing: str) -> Iterator[None]:
        try:
            with self._talking(doing):
                yield
        except http.client.HTTPException as error:
            self._check()
            raise ResourceError(
                f"{self.device!r} does not speak HTTP, or broke off ({type(error).__name__})"
            ) from error


class HttpPoll(_HttpSource):
    """A page that is asked for again and again, one record each.

    Parameters
    ----------
    url
        ``http://…`` or ``https://…``.
    fields
        Names of the numbers, which are float64; or a mapping of name to dtype.
    period_s
        Time between two questions (seconds); a parameter that may be changed while data are taken.
    form
        ``"json"``: an object with these names, or an array in their order; ``"csv"``: a line in their order.
    longest
        Bytes of an answer.
    timeout
        Of an answer (seconds).

    Raises
    ------
    LayoutError
        For another kind of address, or a setting that is not possible.
    ResourceError, WaitTimeoutError
        From ``acquire``: there is no answer, or none in time.

    Notes
    -----
    `losses` counts ``malformed message`` and ``message too long``, after which the page is asked for again.

    Examples
    --------
    >>> HttpPoll("http://weather.lab/now.json", ["celsius", "hpa"], period_s=10).device
    'http weather.lab/now.json'
    >>> HttpPoll("file:///etc/passwd", ["x"])
    Traceback (most recent call last):
    labdaq.errors.LayoutError: 'file:///etc/passwd': an address begins with http:// or https:// and a host
    """

    period_s = Parameter(1.0, unit="s", low=0.0, label="time between questions")

    def __init__(
        self, url: str, fields: Sequence[str] | Mapping[str, Any], *, period_s: float = 1.0, **settings: Any
    ) -> None:
        super().__init__(url, fields, **settings)
        self.period_s = period_s
        self._has_asked = False

    def acquire(self, event: EventSlot) -> None:
        """Ask, and fill the record; waits for the period to be over.

        Raises
        ------
        EndOfDataError
            It was interrupted.
        ResourceError, WaitTimeoutError
            There is no answer, or none in time.
        """
        while True:
            self._check()
            if self._has_asked:
                self._pause(self.period_s)
            self._has_asked = True
            with self._speaking("asking"):
                text = self._in_background(self._page)
            if len(text) > self.longest:
                self._lost("message too long")
            elif (record := self._record(text)) is not None:
                event.data[...] = record
                return

    def _page(self) -> bytes:
        connection, response = self._request()
        with contextlib.closing(connection):
            return response.read(self.longest + 1)

    def _connect(self, opened: contextlib.ExitStack) -> None:
        self._has_asked = False
        opened.callback(setattr, self, "_socket", None)


class HttpLines(_HttpSource):
    """A page that never ends: each line is a record.

    Parameters
    ----------
    url, fields, form, longest
        As in :class:`HttpPoll`; `longest` is that of a line.
    timeout
        Of the connection, and of the pause between two lines (seconds).

    Raises
    ------
    LayoutError
        For another kind of address, or a setting that is not possible.
    ResourceError, WaitTimeoutError
        From ``open`` and ``acquire``: there is no answer, or none in time.
    EndOfDataError
        From ``acquire``: the page has ended.

    Notes
    -----
    `losses` counts ``malformed message`` and ``message too long``. Empty lines are left out.

    Examples
    --------
    >>> HttpLines("https://counter.lab/stream", {"count": "i8"}, form="csv").dtype
    dtype([('count', '<i8')])
    """

    def acquire(self, event: EventSlot) -> None:
        """Fill the next record; waits for its line.

        Raises
        ------
        EndOfDataError
            The page has ended, or it was interrupted.
        ResourceError, WaitTimeoutError
            The connection broke, or was silent for too long.
        """
        while True:
            self._check()
            while self._lines:
                line = self._lines.popleft().strip()
                if line and (record := self._record(line)) is not None:
                    event.data[...] = record
                    return
            with self._speaking("reading a line"):
                piece = self._response.read1(65536)
            if not piece:
                self._check()
                raise EndOfDataError(f"{self.device!r} has ended")
            self._lines.extend(self._splitter.feed(piece))
            self._lost("message too long", self._splitter.too_long)
            self._splitter.too_long = 0

    def _connect(self, opened: contextlib.ExitStack) -> None:
        self._lines: deque[str] = deque()
        self._splitter = LineSplitter(self.longest)
        with self._speaking("connecting"):
            connection, self._response = self._request()
        opened.callback(setattr, self, "_socket", None)
        opened.callback(connection.close)
        opened.callback(self._response.close)
