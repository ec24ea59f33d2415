"""Numbers from servers on this machine."""

import threading

import pytest

from labdaq.devices.web import HttpLines, HttpPoll
from labdaq.errors import BusyError, EndOfDataError, LayoutError, ResourceError, WaitTimeoutError
from tests.devices.servers import serving
from tests.devices.slots import PATIENCE, Waiting, acquired


class Pages:
    """A server of pages; each connection gets the next one, the last one for ever."""

    def __init__(self, *pages, chunked=False, status="200 OK", more=""):
        self.pages, self.chunked, self.status, self.more = list(pages), chunked, status, more
        self.requests, self.asked, self.silent = [], threading.Event(), False

    def talk(self, link):
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += link.recv(4096)
        self.requests.append(request.decode())
        self.asked.set()
        if self.silent:
            link.recv(1)
            return
        page = self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]
        head = f"HTTP/1.1 {self.status}\r\n{self.more}"
        if not self.chunked:
            link.sendall(f"{head}Content-Length: {len(page)}\r\n\r\n".encode() + page)
            return
        link.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        for piece in page:
            link.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if self.chunked == "for ever":
            link.recv(1)
        elif self.chunked != "broken":
            link.sendall(b"0\r\n\r\n")


def polling(port, fields=("x",), **settings):
    return HttpPoll(f"http://127.0.0.1:{port}/now?unit=V", fields, **{"period_s": 0.0, "timeout": PATIENCE, **settings})


def lines(port, fields=("x",), **settings):
    return HttpLines(f"http://127.0.0.1:{port}/stream", fields, **{"timeout": PATIENCE, "form": "csv", **settings})


def test_pages_of_json():
    pages = Pages(b'{"x": 1.5, "n": 2, "more": []}', b'{"n": 3, "x": -1}')
    with serving(pages.talk) as port, polling(port, {"x": "f8", "n": "i4"}) as source:
        assert acquired(source).data.item() == (1.5, 2)
        assert acquired(source).data.item() == (-1.0, 3)
    assert pages.requests[0].startswith("GET /now?unit=V HTTP/1.1\r\n")


def test_pages_of_csv():
    pages = Pages(b"1.5, 2\n")
    with serving(pages.talk) as port, polling(port, ["x", "y"], form="csv") as source:
        assert acquired(source).data.item() == (1.5, 2.0)
        assert source.header["fields"] == ["x", "y"]


def test_rubbish_is_counted():
    pages = Pages(b"<html>", b"\xff\xfe", b'{"x": null}', b"[" * 90, b'{"x": 1}' + b" " * 100, b'{"x": 7}')
    with serving(pages.talk) as port, polling(port, longest=100) as source:
        assert acquired(source).data.item() == (7.0,)
        assert source.losses() == {"malformed message": 4, "message too long": 1}


def test_the_period_is_kept_and_can_be_interrupted():
    pages = Pages(b'{"x": 1}')
    with serving(pages.talk) as port, polling(port) as source:
        acquired(source)
        source.period_s = 3600.0
        with Waiting(source) as waiting:
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)
        assert len(pages.requests) == 1


@pytest.mark.parametrize("make", [polling, lines])
def test_a_server_that_is_silent(make):
    pages = Pages(b"")
    pages.silent = True
    with serving(pages.talk) as port, pytest.raises(WaitTimeoutError, match="did not answer in time"):
        with make(port, timeout=0.05) as source:
            acquired(source)


def test_interrupt_while_a_page_is_waited_for():
    pages = Pages(b"")
    pages.silent = True
    with serving(pages.talk) as port, polling(port) as source:
        with Waiting(source) as waiting:
            assert pages.asked.wait(PATIENCE)
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)


@pytest.mark.parametrize("make", [polling, lines])
@pytest.mark.parametrize("status", ["404 Not Found", "301 Moved", "500 Oops"])
def test_other_answers(make, status):
    pages = Pages(b"[1]", status=status, more="Location: file:///etc/passwd\r\n")
    with serving(pages.talk) as port, pytest.raises(ResourceError, match=status):
        with make(port) as source:
            acquired(source)


@pytest.mark.parametrize("make", [polling, lines])
def test_a_server_that_speaks_something_else(make):
    def talk(link):
        link.recv(4096)
        link.sendall(b"220 mail.lab ESMTP\r\n")

    with serving(talk) as port, pytest.raises(ResourceError, match="does not speak HTTP"):
        with make(port) as source:
            acquired(source)


@pytest.mark.parametrize("make", [polling, lines])
def test_nobody_there(make):
    with serving(lambda link: None) as port:
        pass
    with pytest.raises(ResourceError, match="failed"):
        with make(port) as source:
            acquired(source)


def test_lines_of_a_page_that_ends():
    pages = Pages([b"1\n2", b"2\n\nhello\n", b"3\r\n" + b"9" * 80 + b"\n4\n"], chunked=True)
    with serving(pages.talk) as port, lines(port, longest=50) as source:
        assert [acquired(source).data.item()[0] for _ in range(4)] == [1, 22, 3, 4]
        assert source.losses() == {"malformed message": 1, "message too long": 1}
        with pytest.raises(EndOfDataError, match="has ended"):
            acquired(source)


def test_lines_of_json():
    pages = Pages([b'{"x": 1}\n[2]\n'], chunked="for ever")
    with serving(pages.talk) as port, lines(port, form="json") as source:
        assert [acquired(source).data.item()[0] for _ in range(2)] == [1, 2]


def test_a_page_that_breaks_off():
    with serving(Pages([b"1\n"], chunked="broken").talk) as port, lines(port) as source:
        acquired(source)
        with pytest.raises(ResourceError, match="broke off"):
            acquired(source)


def test_interrupt_while_a_line_is_waited_for():
    with serving(Pages([b"1\n"], chunked="for ever").talk) as port, lines(port) as source:
        acquired(source)
        with Waiting(source) as waiting:
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)


def test_one_user_at_a_time():
    with serving(Pages([b"1\n"], chunked="for ever").talk) as port, lines(port):
        with pytest.raises(BusyError, match="is used by"):
            lines(port).open()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x/y",
        "ws://x",
        "http://",
        "x",
        "",
        "//x/y",
        "http://x/a b",
        "http://x:99999/",
        "http://x/\r\nHost: y",
    ],
)
@pytest.mark.parametrize("make", [HttpPoll, HttpLines])
def test_other_addresses(url, make):
    with pytest.raises(LayoutError, match="begins with http:// or https://"):
        make(url, ["x"])


@pytest.mark.parametrize("wrong", [{"form": "xml"}, {"longest": 0}, {"timeout": 0}, {"fields": []}, {"period_s": -1}])
def test_settings_that_are_not_possible(wrong):
    with pytest.raises(LayoutError):
        HttpPoll("http://x/", **{"fields": ["x"], **wrong})


def test_a_password_is_not_told():
    assert HttpPoll("https://me:secret@host:8443/x?key=1", ["x"]).device == "https host:8443/x"
