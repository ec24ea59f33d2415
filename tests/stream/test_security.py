"""Who may connect: nobody from elsewhere without keys, and with keys those on the list."""

import os
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest

from labdaq.errors import BusyError, LayoutError, NotFoundError, ResourceError, StateError, WaitTimeoutError
from labdaq.stream import InputStream, OutputStream, StreamKeys, streams
from labdaq.stream.folder import runtime_folder


@pytest.fixture
def folder(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="lq") as short:  # names of sockets have at most 107 bytes
        path = Path(short) / "run"
        monkeypatch.setenv("LABDAQ_RUNTIME", str(path))
        yield path


def test_keys_on_the_list_and_others():
    ours, theirs, others = StreamKeys.new(), StreamKeys.new(), StreamKeys.new()
    with OutputStream().configure(dtype="i8", keys=ours, allowed=[theirs.public]) as out:
        with InputStream().connect(out, keys=theirs, server=ours.public) as inp:
            out.send(np.arange(3))
            assert inp.recv(30)[0] == 3
        with pytest.raises(WaitTimeoutError, match="keys are wrong"):
            InputStream().connect(out, keys=others, server=ours.public, timeout=0.3)
        with pytest.raises(WaitTimeoutError):
            InputStream().connect(out, keys=theirs, server=others.public, timeout=0.3)
        with pytest.raises(WaitTimeoutError):
            InputStream().connect(out, timeout=0.3)
        assert out.statistics().turned_away >= 1
        assert [reader.connected for reader in out.statistics().readers] == [False]


def test_secret_keys_are_not_shown():
    keys = StreamKeys.new()
    assert keys.secret not in repr(keys)
    with pytest.raises(LayoutError, match="40 characters") as caught:
        StreamKeys(keys.public, "too short a secret")
    assert "too short" not in str(caught.value)


@pytest.mark.parametrize("interface", ["0.0.0.0", "*", "192.168.1.5", "::", "example.org"])
def test_the_public_is_refused_without_keys(interface):
    with pytest.raises(LayoutError, match="other machines"):
        OutputStream().configure(interface=interface)


def test_half_a_protection_is_none():
    keys = StreamKeys.new()
    with pytest.raises(LayoutError, match="belong together"):
        OutputStream().configure(keys=keys)
    with pytest.raises(LayoutError, match="takes no keys"):
        OutputStream().configure(protocol="ipc", keys=keys, allowed=[keys.public])
    with pytest.raises(StateError, match="belong together"):
        InputStream().connect("tcp://127.0.0.1:5555", keys=keys)


def test_sockets_of_this_machine_are_private_and_go(folder):
    with OutputStream().configure(protocol="ipc") as out:
        path = Path(out.address.removeprefix("ipc://"))
        assert path.parent == folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == []


def test_sockets_of_the_dead_are_removed(folder):
    left = runtime_folder() / "1-5-0123.ipc"
    left.touch()
    with OutputStream().configure(protocol="ipc"):
        assert not left.exists()
        assert len(list(folder.glob("*.ipc"))) == 1


def test_a_folder_that_others_can_enter_is_refused(folder):
    folder.mkdir(mode=0o755)
    with pytest.raises(ResourceError, match="0700"):
        runtime_folder()


def test_streams_are_found_by_name(folder):
    with OutputStream().configure(name="muon", dtype="i8") as out:
        assert streams() == {"muon": out.address}
        with InputStream().connect("muon") as inp:
            out.send(np.arange(2))
            assert inp.recv(30)[0] == 2
        with pytest.raises(BusyError, match="another name"):
            OutputStream().configure(name="muon")
        with pytest.raises(NotFoundError, match="there are: muon"):
            InputStream().connect("electron")
    assert streams() == {}


def test_names_of_the_dead_are_free(folder):
    runtime_folder()
    (folder / "old.stream").write_text('{"address": "tcp://127.0.0.1:1", "pid": 1, "started": 5}')
    (folder / "broken.stream").write_text("{")
    assert streams() == {}
    with OutputStream().configure(name="old") as out:
        assert streams() == {"old": out.address}


@pytest.mark.parametrize("name", ["../x", "a b", ".hidden", "x" * 65])
def test_what_is_no_name(folder, name):
    with pytest.raises(LayoutError, match="letters"):
        OutputStream().configure(name=name)
    with pytest.raises(LayoutError, match="letters"):
        InputStream().connect(name)


def test_an_address_in_use():
    with OutputStream().configure() as out:
        with pytest.raises(ResourceError, match="no stream can be sent at"):
            OutputStream().configure(port=int(out.address.rsplit(":", 1)[1]))


@pytest.mark.skipif(os.name != "posix", reason="ownership of files")
def test_ipv6_of_this_machine():
    try:
        out = OutputStream().configure(interface="[::1]", dtype="i8")
    except ResourceError:
        pytest.skip("no IPv6 here")
    with out, InputStream().connect(out) as inp:
        out.send(np.arange(2))
        assert inp.recv(30)[0] == 2
