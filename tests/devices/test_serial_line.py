"""Lines of numbers over a real pseudo-terminal."""

import os
import sys
import threading

import pytest

from labdaq.devices.serial_line import SerialLine
from labdaq.errors import (
    BusyError,
    EndOfDataError,
    LayoutError,
    MissingExtraError,
    NotFoundError,
    ResourceError,
)
from tests.devices.servers import serving
from tests.devices.slots import Waiting, acquired

pytest.importorskip("serial")
pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
import tty  # noqa: E402


class Arduino:
    """The other end of the line."""

    def __init__(self):
        self.end, slave = pty.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._slave = slave  # else the line breaks whenever nobody has it open

    def send(self, text):
        os.write(self.end, text if isinstance(text, bytes) else text.encode())

    def received(self, nbytes):
        found = b""
        while len(found) < nbytes:
            found += os.read(self.end, nbytes - len(found))
        return found

    def unplug(self):
        if self.end is not None:
            os.close(self.end)
            os.close(self._slave)
            self.end = None


@pytest.fixture
def arduino():
    arduino = Arduino()
    yield arduino
    arduino.unplug()


def test_lines_to_records(arduino):
    with SerialLine(arduino.port, {"n": "i4", "volt": "f8"}) as source:
        arduino.send("99\n1, 0.5\r\n\n# a comment\n2\t0.25\n3;0.12")
        records = [acquired(source).data.item() for _ in range(2)]
        arduino.send("5\n")
        records.append(acquired(source).data.item())
        assert records == [(1, 0.5), (2, 0.25), (3, 0.125)]  # 99 was under way when it was opened
        assert source.losses() == {}


def test_rubbish_is_counted(arduino):
    with SerialLine(arduino.port, longest=100) as source:
        arduino.send(b"\nhello\n\xff\xfe\x00\n1 2\n" + 150 * b"7" + b"\n4.5\n")
        assert acquired(source).data.item() == (4.5,)
        assert source.losses() == {"malformed line": 3, "line too long": 1}


def test_any_bytes_at_all(arduino):
    import random

    noise = random.Random(1).randbytes(3000)
    with SerialLine(arduino.port) as source:
        feeding = threading.Thread(target=arduino.send, args=(b"\n" + noise + b"\n\n1e3\n",))
        feeding.start()
        while acquired(source).data.item() != (1000.0,):
            pass
        feeding.join()
        assert source.losses()["malformed line"] > 5


def test_setup_and_safe_state(arduino):
    with SerialLine(arduino.port, setup=["RATE 10", "START"], safe=["STOP"]):
        assert arduino.received(14) == b"RATE 10\nSTART\n"
    assert arduino.received(5) == b"STOP\n"


def test_the_safe_state_also_after_a_failure(arduino):
    with pytest.raises(ZeroDivisionError):
        with SerialLine(arduino.port, safe=["STOP"]):
            raise ZeroDivisionError
    assert arduino.received(5) == b"STOP\n"


def test_unplugging(arduino):
    source = SerialLine(arduino.port, safe=["STOP"])
    with pytest.raises(ResourceError, match="reading a line"):
        with source:
            _unplugged_while_acquiring(arduino, source)


def _unplugged_while_acquiring(arduino, source):
    arduino.send("\n1\n")
    acquired(source)
    arduino.unplug()
    acquired(source)


def test_interrupt(arduino):
    with SerialLine(arduino.port) as source:
        with Waiting(source) as waiting:
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)


def test_one_user_at_a_time(arduino):
    with SerialLine(arduino.port) as source:
        with pytest.raises(BusyError, match="is used by"):
            SerialLine(arduino.port).open()
        arduino.send("\n1\n")
        acquired(source)


def test_the_same_port_under_another_name(arduino, tmp_path):
    other = tmp_path / "usb-Arduino-if00"
    other.symlink_to(arduino.port)
    with SerialLine(arduino.port), pytest.raises(BusyError, match="is used by"):
        SerialLine(str(other)).open()


def test_a_line_over_the_network():
    go_on = threading.Event()

    def talk(link):
        go_on.wait()
        link.sendall(b"9\n1.5\n2.5\n")
        link.recv(1)

    with serving(talk) as port, SerialLine(f"socket://127.0.0.1:{port}") as source:
        go_on.set()
        assert [acquired(source).data.item()[0] for _ in range(2)] == [1.5, 2.5]


def test_a_port_that_another_program_has(arduino):
    import serial

    with serial.Serial(arduino.port, exclusive=True):
        with pytest.raises(BusyError, match="another program"):
            SerialLine(arduino.port).open()


def test_no_such_port():
    with pytest.raises(NotFoundError, match="there is no port /dev/nothing9; there are: "):
        SerialLine("/dev/nothing9").open()


def test_no_such_address():
    with pytest.raises(ResourceError, match="nonsense://"):
        SerialLine("nonsense://x").open()


def test_without_pyserial(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(MissingExtraError, match=r"pyserial: pip install 'labdaq\[devices\]'"):
        SerialLine("/dev/ttyACM0").open()


def test_impossible_settings():
    with pytest.raises(LayoutError, match="positive"):
        SerialLine("x", baudrate=0)
