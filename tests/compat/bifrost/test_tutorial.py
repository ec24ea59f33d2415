"""Bifrost's tutorial: its own lines, run."""

import datetime as dt
import os
import re
import threading

import numpy as np
import pytest

from labdaq.compat import bifrost
from labdaq.packet import Address, HeaderInfo, UDPSocket, UDPTransmit, warm
from tests.compat.bifrost import tutorial

CORE = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


def test_rings(capsys):
    names = {}
    exec(tutorial.RINGS, names)
    written, read = capsys.readouterr().out.split(f"{names['time_tag']}\n")
    assert written.startswith("name: b'a_ring' , space: system\n")
    assert len(re.findall(r"^\d+ @ \[\[.* \.\.\. .*\]\]$", written, re.MULTILINE)) == 20
    lines = read.splitlines()
    assert lines[0] == str(names["hdr"])
    assert [int(line.split()[0]) for line in lines[1:]] == list(range(8))
    shown = dict(re.findall(r"^(\d+) @ (.*)$", written, re.MULTILINE))
    assert [line.partition(" @ ")[2] for line in lines[1:]] == [shown[str(i)] for i in range(12, 20)]


def test_writing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(tutorial.WRITING.replace("core=0", f"core={CORE}"), {})
    before, after = capsys.readouterr().out.split("Output:\n")
    expected = re.findall(r"-> \((?:np\.int8\()?(-?\d+)\)?, (?:np\.int8\()?(-?\d+)\)?\)", before)
    assert len(expected) == 5
    assert after.strip() == str([(int(re_), int(im)) for re_, im in expected])
    assert (tmp_path / "output.dat").stat().st_size == 16 * 10 * 1048


def test_capture(capsys):
    warm()  # compiling takes longer than frames wait for packets that are late
    free = UDPSocket()
    free.bind(Address("127.0.0.1", 0))
    port = free.address.port
    free.close()
    names = {
        "ADP_EPOCH": dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        "FS": 196e6,
        "CHAN_BW": 25000.0,
    }
    exec(tutorial.CAPTURE.replace("10000", str(port)), names)
    names["sock"].timeout = 0.2
    ring = bifrost.ring.Ring(name="capture", space="system")
    ring.resize(4 * 32 * 6 * 20, 8 * 4 * 32 * 6 * 20)  # room for all that is sent: nothing depends on who is quick
    capture = names["CaptureOp"](None, ring, names["sock"], nsrc=4, ntime_gulp=20)
    capture.utc_start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    thread = threading.Thread(target=capture.main)
    thread.start()
    voltages = np.random.default_rng(1).integers(0, 256, (100, 4, 32 * 6), np.uint8)
    found, headers, tags = [], [], []

    def read():
        for sequence in ring.read():
            headers.append(sequence.header.tobytes())
            tags.append(sequence.time_tag)
            found.extend(span.data_view(np.uint8).copy() for span in sequence.read(4 * 32 * 6 * 20))
            capture.shutdown()
            return

    reader = threading.Thread(target=read)
    reader.start()
    with UDPSocket() as sender:
        sender.connect(Address("127.0.0.1", port))
        UDPTransmit("chips_6", sender).send(HeaderInfo(nsrc=4, nchan=6, chan0=2000), 500, 1, 0, 1, voltages)
    reader.join(20)
    thread.join(20)
    names["sock"].close()
    assert not reader.is_alive()
    assert not thread.is_alive()
    ring.close()
    frames = np.concatenate(found, axis=1).reshape(-1, 6, 4, 32)
    assert np.array_equal(frames.transpose(0, 2, 1, 3).reshape(-1, 4, 192), voltages)
    (header,) = [eval(h.replace(b"true", b"True")) for h in headers]
    assert (header["chan0"], header["nchan"], header["nstand"], header["seq0"]) == (2000, 6, 64, 500)
    assert (
        tags
        == [header["time_tag"]]
        == [int((capture.utc_start - names["ADP_EPOCH"]).total_seconds()) * 196000000 + 500 * 7840]
    )
    assert "******** CFREQ: 50062500.0" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["RINGS", "CAPTURE", "WRITING"])
def test_nothing_else_was_changed(name):
    """No line but imports names labdaq."""
    for line in getattr(tutorial, name).splitlines():
        assert "labdaq" not in line or "import" in line
