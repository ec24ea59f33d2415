"""SCPI instruments, over pyvisa and its simulated instruments."""

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from labdaq.devices.visa import VisaScalars, VisaWaveform
from labdaq.errors import (
    BusyError,
    DataError,
    EndOfDataError,
    LabdaqError,
    LayoutError,
    MissingExtraError,
    NotFoundError,
    ResourceError,
    WaitTimeoutError,
)
from labdaq.roles import parameters_of
from tests.devices.servers import serving
from tests.devices.slots import PATIENCE, Waiting, acquired

pytest.importorskip("pyvisa_sim")

DMM = "TCPIP::dmm.lab::INSTR"
LIBRARY = f"{Path(__file__).with_name('instruments.yaml')}@sim"


def scalars(queries=None, resource=DMM, **settings):
    return VisaScalars(
        resource, queries or {"volt": "MEAS:VOLT?", "celsius": "MEAS:TEMP?"}, library=LIBRARY, **settings
    )


def waveform(query="CURV?", samples=10, **settings):
    return VisaWaveform(DMM, query, samples, library=LIBRARY, **settings)


def test_measured_values():
    with scalars(setup=["VOLT 2.5"]) as source:
        assert acquired(source).data.item() == (2.5, 21.5)
        assert source.header["instrument"] == "ACME,DMM 9,007,1.2"
        source.tell("VOLT 3.25")
        assert acquired(source).data["volt"] == 3.25


def test_the_queue_of_errors():
    with scalars() as source:
        source.errors()  # of the tests before: it is the same simulated instrument
        assert source.errors() == []
        source.tell("NONSENSE 1")
        source.tell("NONSENSE 2")
        assert source.errors() == ['-113,"Undefined header"'] * 2
        assert source.errors() == []


def test_a_setup_that_is_refused():
    source = scalars(setup=["VOLT 1.0", "NONSENSE"])
    with pytest.raises(ResourceError, match="refused its setup: -113"):
        source.open()
    source.setup = ()
    with source:
        acquired(source)


def test_the_safe_state():
    with scalars({"volt": "MEAS:VOLT?"}, setup=["VOLT 5.0"], safe=["VOLT 0.0"]) as source:
        assert acquired(source).data.item() == (5.0,)
        link, said = source._link, []
        write = link.write
        link.write = lambda command: said.append(command) or write(command)
    assert said == ["VOLT 0.0"]


def test_no_answer_in_time():
    with scalars({"x": "NONSENSE?"}, timeout=PATIENCE) as source:
        source._link.timeout = 20
        with pytest.raises(WaitTimeoutError, match=r"NONSENSE.*30\.0 s"):
            acquired(source)
        assert source.ask("MEAS:TEMP?") == "+2.15000E+01"


def test_answers_that_are_no_numbers_are_counted():
    with scalars({"ampere": "MEAS:CURR?"}, period_s=0.001) as source:
        with Waiting(source) as waiting:
            while not source.losses():
                waiting.thread.join(0.001)
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)
        assert set(source.losses()) == {"no number"}


def test_interrupt_ends_a_long_period():
    with scalars() as source:
        acquired(source)
        parameters_of(source)["period_s"].set(3600.0)
        with Waiting(source) as waiting:
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)


@pytest.fixture
def slow_instrument():
    """An instrument in the network that takes its time: its resource, whether it was asked, whether it may answer."""
    pytest.importorskip("pyvisa_py")
    asked, may_answer = threading.Event(), threading.Event()

    def talk(link):
        for line in link.makefile("r"):
            if line.startswith("*IDN?"):
                link.sendall(b"ACME,SLOW,1,1\n")
            elif line.startswith("FAST?"):
                link.sendall(b" 0.5 \n")
            else:
                asked.set()
                may_answer.wait()
                link.sendall(b"1\n")

    with serving(talk) as port:
        yield f"TCPIP::127.0.0.1::{port}::SOCKET", asked, may_answer
        may_answer.set()


def test_interrupt_while_an_answer_is_waited_for(slow_instrument):
    resource, asked, may_answer = slow_instrument
    with VisaScalars(resource, {"x": "SLOW?"}, library="@py", timeout=PATIENCE) as source:
        assert source.identity == "ACME,SLOW,1,1"
        assert source.ask("FAST?") == "0.5"
        with Waiting(source) as waiting:
            assert asked.wait(PATIENCE)
            source.interrupt()
        assert isinstance(waiting.error, EndOfDataError)
        may_answer.set()


def test_no_answer_in_time_over_the_network(slow_instrument):
    with VisaScalars(slow_instrument[0], {"x": "SLOW?"}, library="@py", timeout=PATIENCE) as source:
        source._link.timeout = 20
        with pytest.raises(WaitTimeoutError, match="SLOW"):
            acquired(source)


def test_nobody_there():
    with serving(lambda link: None) as port:
        pass
    with pytest.raises(LabdaqError, match="failed"):
        VisaScalars(f"TCPIP::127.0.0.1::{port}::SOCKET", {"x": "X?"}, library="@py", timeout=0.2).open()


def test_waveforms():
    with waveform(scale=0.5, offset=-1.0, sample_interval_ns=8.0) as source:
        np.testing.assert_array_equal(
            acquired(source).data, 0.5 * np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 11], np.float32) - 1
        )
        assert source.header == {"instrument": "ACME,DMM 9,007,1.2", "unit": "V", "sample_interval_ns": 8.0}


@pytest.mark.parametrize(("big_endian", "first"), [(True, 0x0102), (False, 0x0201)])
def test_the_order_of_bytes(big_endian, first):
    with waveform(samples=5, kind="h", big_endian=big_endian, trigger="VOLT 1.0") as source:
        assert acquired(source).data[0] == first


def test_a_waveform_of_another_length():
    with waveform(samples=11) as source, pytest.raises(DataError, match="10 samples of 'B', not 11"):
        acquired(source)


def test_what_is_no_block():
    with waveform("CURV:BAD?") as source, pytest.raises(DataError, match="no block"):
        acquired(source)


def test_one_user_at_a_time():
    with scalars(), pytest.raises(BusyError, match="is used by"):
        waveform().open()


def test_no_such_instrument():
    with pytest.raises(NotFoundError, match="list_devices"):
        scalars(resource="no resource").open()


def test_no_such_library():
    with pytest.raises(ResourceError, match="no VISA on this machine"):
        VisaScalars(DMM, {"x": "X?"}, library="/nothing@sim").open()


def test_without_pyvisa(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyvisa", None)
    with pytest.raises(MissingExtraError, match="pyvisa"):
        scalars().open()


@pytest.mark.parametrize(
    "make",
    [lambda: scalars(timeout=0), lambda: scalars(period_s=-1), lambda: waveform(samples=0), lambda: waveform(kind="x")],
)
def test_settings_that_are_not_possible(make):
    with pytest.raises(LayoutError):
        make()
