"""Numbers from the network: messages of a WebSocket."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labdaq.devices.extras import needed
from labdaq.devices.web import WebSource
from labdaq.errors import DataError, EndOfDataError, ResourceError
from labdaq.roles import EventSlot

__all__ = ["WebSocket"]

_LOOK_S = 0.05  # how often a wait for a message looks whether it is interrupted (seconds)


class WebSocket(WebSource):
    """Messages of a WebSocket, one record each.

    Parameters
    ----------
    url
        ``ws://…`` or ``wss://…``.
    fields, form, longest
        As in :class:`labdaq.devices.HttpPoll`; `longest` is that of a message.
    hello
        Messages to send when it is open, such as what to subscribe to.
    timeout
        Of the connection (seconds). Messages may be waited for for ever.

    Raises
    ------
    LayoutError
        For another kind of address, or a setting that is not possible.
    ResourceError, WaitTimeoutError
        From ``open``: there is no answer, or none in time.
    DataError
        From ``acquire``: a message was longer than `longest`, after which the connection is closed.
    MissingExtraError
        From ``open``: websockets is not installed.

    Notes
    -----
    `losses` counts ``malformed message``.

    Examples
    --------
    >>> WebSocket("wss://counter.lab/live", ["rate"], hello=["subscribe"]).device
    'wss counter.lab/live'
    """

    schemes = ("ws", "wss")

    def __init__(
        self, url: str, fields: Sequence[str] | Mapping[str, Any], *, hello: Sequence[str] = (), **settings: Any
    ) -> None:
        super().__init__(url, fields, **settings)
        self.hello = tuple(hello)

    def acquire(self, event: EventSlot) -> None:
        """Fill the next record; waits for its message.

        Raises
        ------
        EndOfDataError
            The server has closed in order, or it was interrupted.
        ResourceError
            The connection broke.
        DataError
            A message was too long.
        """
        while True:
            record = self._record(self._message())
            if record is not None:
                event.data[...] = record
                return

    def _message(self) -> str | bytes:
        while True:
            self._check()
            with contextlib.suppress(TimeoutError), self._translated("waiting for a message"):
                message: str | bytes = self._link.recv(timeout=_LOOK_S)
                return message

    @contextlib.contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Errors of websockets in our words."""
        errors = needed("websockets.exceptions", "websockets", "WebSockets")
        try:
            yield
        except errors.ConnectionClosedOK as error:
            raise EndOfDataError(f"{self.device!r} has ended") from error
        except errors.ConnectionClosedError as error:
            if error.sent is not None and error.sent.code == 1009:
                raise DataError(
                    f"{self.device!r} sent more than {self.longest} bytes in one message: set longest"
                ) from error
            raise ResourceError(f"{self.device!r} broke off: {error}") from error
        except errors.WebSocketException as error:
            raise ResourceError(f"{doing}: {self.device!r} does not speak WebSocket ({error})") from error

    def _connect(self, opened: contextlib.ExitStack) -> None:
        client = needed("websockets.sync.client", "websockets", "WebSockets")
        with self._talking("connecting"), self._translated("connecting"):
            limits = {"max_size": self.longest, "open_timeout": self.timeout, "close_timeout": 1.0}
            self._link = opened.enter_context(client.connect(self.url, proxy=None, **limits))
            for message in self.hello:
                self._link.send(message)
