"""The beacon on the network: streams with keys are found, those of this machine are not told, garbage does no harm."""

import json
import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labdaq.errors import DataError, LayoutError
from labdaq.stream import InputStream, OutputStream, StreamKeys
from labdaq.stream.beacon import _GROUP, _PORT, Beacon, FoundStream, find_streams, found_in

HERE = "127.0.0.1"


def shout(message):
    """Say something where beacons speak."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        speaker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(HERE))
        speaker.sendto(message, (_GROUP, _PORT))


def test_a_stream_is_found_and_connected_to_with_its_keys():
    ours, theirs = StreamKeys.new(), StreamKeys.new()
    with OutputStream() as out:
        out.configure(interface="0.0.0.0", keys=ours, allowed=[theirs.public], dtype="i4", shape=(-1,), name="far")
        with Beacon(out, host=HERE, server=ours.public, interface=HERE):
            timer = threading.Timer(0.1, shout, [b"garbage"])
            timer.start()
            found = [one for one in find_streams(1.3, interface=HERE) if one.server == ours.public]
            timer.join()
        assert found == [FoundStream("far", out.address.replace("0.0.0.0", HERE), ours.public)]
        with InputStream().connect(found[0].address, keys=theirs, server=found[0].server) as inp:
            out.send(np.arange(3, dtype="i4"))
            assert inp.recv(30)[0] == 3


def test_streams_of_this_machine_are_not_told():
    with OutputStream() as out:
        with pytest.raises(LayoutError, match="this machine only"):
            Beacon(out.configure(name="near"), interface=HERE)
        with pytest.raises(LayoutError, match="no name"):
            Beacon(out.configure())
        with pytest.raises(LayoutError, match="40 characters"):
            Beacon(out, server="short")


GOOD = {"is": "labdaq-stream-1", "name": "muon", "address": "tcp://10.0.0.5:5555", "server": ""}


@pytest.mark.parametrize(
    "change",
    [{"is": "other"}, {"name": 3}, {"name": "\n"}, {"name": "x" * 65}, {"address": "ipc:///etc/passwd"},
     {"address": ["tcp"]}, {"server": "short"}, {"name": "x" * 2000}],
)  # fmt: skip
def test_what_is_no_beacon(change):
    with pytest.raises(DataError):
        found_in(json.dumps({**GOOD, **change}).encode())


@given(st.binary(max_size=300) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_garbage(message):
    with pytest.raises(DataError):
        found_in(message if isinstance(message, bytes) else message.encode())
