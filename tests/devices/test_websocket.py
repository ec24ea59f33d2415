"""Messages of a WebSocket server on this machine."""

import contextlib
import sys
import threading

import pytest

from labdaq.devices.websocket import WebSocket
from labdaq.errors import BusyError, DataError, EndOfDataError, LayoutError, MissingExtraError, ResourceError
from tests.devices.servers import serving
from tests.devices.slots import PATIENCE, Waiting, acquired

server = pytest.importorskip("websockets.sync.server")


@contextlib.contextmanager
def speaking(talk):
    """A server that calls `talk` with each connection; gives its address."""
    with server.serve(talk, "127.0.0.1", 0) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{running.socket.getsockname()[1]}/live"
        finally:
            running.shutdown()
            thread.join()


def saying(*messages, then="close"):
    def talk(link):
        for message in messages:
            link.send(message)
        if then == "wait":
            with contextlib.suppress(Exception):
                link.recv()
        elif then == "break":
            link.close(1011, "out of paper")

    return talk


def source_of(url, fields=("x",), **settings):
    return WebSocket(url, fields, **{"timeout": PATIENCE, **settings})


def test_messages_to_records_until_it_is_closed():
    with speaking(saying('{"x": 1}', b"[2.5]")) as url, source_of(url) as source:
        assert [acquired(source).data.item()[0] for _ in range(2)] == [1, 2.5]
        with pytest.raises(EndOfDataError, match="has ended"):
            acquired(source)


def test_csv_and_a_hello():
    def echo(link):
        link.send(link.recv())
        link.send(link.recv())

    with speaking(echo) as url, source_of(url, ["x", "y"], form="csv", hello=["1 2", "3 4"]) as source:
        assert [acquired(source).data.item() for _ in range(2)] == [(1, 2), (3, 4)]


def test_rubbish_is_counted():
    with speaking(saying("hello", b"\xff", "{}", '{"x": "a"}', "[3]")) as url, source_of(url) as source:
        assert acquired(source).data.item() == (3.0,)
        assert source.losses() == {"malformed message": 4}


def test_a_message_that_is_too_long():
    with speaking(saying("[1]", "[1]" + " " * 5000, then="wait")) as url, source_of(url, longest=1000) as source:
        acquired(source)
        with pytest.raises(DataError, match="more than 1000 bytes"):
            acquired(source)


def test_a_server_that_breaks_off():
    with speaking(saying(then="break")) as url, source_of(url) as source:
        with pytest.raises(ResourceError, match="out of paper"):
            acquired(source)


def test_interrupt():
    with speaking(saying("[1]", then="wait")) as url, source_of(url) as source:
        acquired(source)
        with Waiting(source) as waiting:
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)


def test_a_server_that_speaks_something_else():
    def talk(link):
        link.recv(4096)
        link.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    with serving(talk) as port, pytest.raises(ResourceError, match="does not speak WebSocket"):
        source_of(f"ws://127.0.0.1:{port}").open()


def test_nobody_there():
    with serving(lambda link: None) as port:
        pass
    with pytest.raises(ResourceError, match="connecting failed"):
        source_of(f"ws://127.0.0.1:{port}").open()


def test_one_user_at_a_time():
    with speaking(saying(then="wait")) as url, source_of(url):
        with pytest.raises(BusyError, match="is used by"):
            source_of(url).open()


def test_without_websockets(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("websockets")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "websockets", None)
    with pytest.raises(MissingExtraError, match=r"labdaq\[devices\]"):
        source_of("ws://x").open()


@pytest.mark.parametrize("url", ["http://x", "ws://", "wsx://x"])
def test_other_addresses(url):
    with pytest.raises(LayoutError, match="begins with ws:// or wss://"):
        WebSocket(url, ["x"])
