"""A Redis server that is started for a while."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from labdaq.errors import LayoutError, NotFoundError, ResourceError, StateError
from labdaq.store import DataStore, JsonStreamEncoder
from labdaq.store.redis.serve import RedisServer, find_redis_server, serve_redis
from labdaq.testing.redis import redis_server

LATE_S = 20.0


@pytest.fixture(autouse=True)
def _needs_a_server(request):
    if "nothing_is_installed" not in request.node.name:
        try:
            find_redis_server()
        except NotFoundError as error:
            pytest.skip(str(error))


def until(condition):
    deadline = time.monotonic() + LATE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.005)


def keep_a_note(url):
    with DataStore(url) as store:
        scan = store.create_scan({"name": "note", "number": 1, "data_policy": "none"})
        stream = scan.create_stream("s", JsonStreamEncoder())
        scan.prepare()
        scan.start()
        stream.send("kept")
        scan.close()


def notes(url):
    with DataStore(url) as store:
        return [store.load_scan(key).streams["s"][0] for key in store.search_existing_scans(name="note")[1]]


def test_it_runs_for_a_while():
    with RedisServer() as server:
        folder, pid = server.folder, server.pid
        assert server.is_running()
        assert psutil.Process(pid).net_connections()[0].laddr == ("127.0.0.1", server.port)
        assert "Ready" in server.log
        assert str(server.port) in repr(server)
        keep_a_note(server.url)
        assert notes(server.url) == ["kept"]
    assert not folder.exists()
    assert not psutil.pid_exists(pid)
    assert not server.is_running()
    server.stop()
    with pytest.raises(StateError, match="stopped"):
        _ = server.pid


@pytest.mark.parametrize(("keep", "expected"), [(True, ["kept"]), (False, [])])
def test_what_is_there_the_next_time(tmp_path, keep, expected):
    folder = tmp_path / 'a "b" \\ ä'
    with RedisServer(folder, keep=keep) as server:
        keep_a_note(server.url)
    assert folder.exists()
    with RedisServer(folder, keep=keep) as server:
        assert notes(server.url) == expected


@pytest.mark.parametrize("password", ["secret", "a b\"c'd\\e#@:/%ä"])
def test_a_password(password):
    with RedisServer(password=password) as server:
        keep_a_note(server.url)
        with pytest.raises(ResourceError, match="refuses"):
            notes(f"redis://127.0.0.1:{server.port}")
        commands = " ".join(psutil.Process(server.pid).cmdline())
        assert password not in commands
        assert password not in repr(server) + server.log


def test_a_limit_of_memory():
    with RedisServer(max_nbytes=2**22) as server, DataStore(server.url) as store:
        names = b"maxmemory", b"maxmemory-policy"
        found = [store.engine._link.call("CONFIG", "GET", name) for name in names]
        found = [next(iter(pair.values())) if isinstance(pair, dict) else pair[1] for pair in found]
        assert found == [b"4194304", b"noeviction"]


def test_a_port_that_is_taken(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ResourceError, match=f"does not start on 127.0.0.1:{port}.*in use"):
            RedisServer(tmp_path, port=port)


def test_a_free_port_that_somebody_takes_first(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1]] * 2)
        free_port = sys.modules["labdaq.store.redis.serve"].free_port
        monkeypatch.setattr("labdaq.store.redis.serve.free_port", lambda host: next(ports, None) or free_port(host))
        with RedisServer() as server:
            assert server.port != taken.getsockname()[1]


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot use"):
        RedisServer(tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"host": "0.0.0.0"}, "give it a password"),
        ({"host": "example.org"}, "give it a password"),
        ({"port": 0}, "port is 0"),
        ({"port": 65536}, "port is 65536"),
        ({"password": "a\nb"}, "one line"),
        ({"max_nbytes": 1}, "max_nbytes is 1"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises(LayoutError, match=message):
        RedisServer(**arguments)


def test_where_nothing_is_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFoundError, match=r"redis-server nor valkey-server .*install redis-server"):
        RedisServer()
    with pytest.raises(pytest.skip.Exception, match="valkey"):
        with redis_server():
            pass


def test_valkey_will_do(monkeypatch, tmp_path):
    program = tmp_path / "valkey-server"
    program.symlink_to(find_redis_server())
    monkeypatch.setenv("PATH", str(tmp_path))
    with RedisServer() as server:
        assert psutil.Process(server.pid).cmdline()[0].endswith(("valkey-server", f":{server.port}"))


def test_other_machines_with_a_password():
    with RedisServer(host="0.0.0.0", password="secret") as server:
        assert server.url.startswith("redis://:secret@127.0.0.1:")
        keep_a_note(server.url)


# -------------------------------------------------------------------------------------------- serving


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_until_it_is_told_to_end(number, tmp_path):
    script = f"from labdaq.store.redis.serve import *; serve_redis({str(tmp_path)!r}, port=None, report=print)"
    process = subprocess.Popen([sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("redis://127.0.0.1:")
        (server,) = psutil.Process(process.pid).children()
        keep_a_note(line.split()[0])
        process.send_signal(number)
        assert process.wait(LATE_S) == 0
        assert not server.is_running()
    finally:
        process.kill()
        process.communicate()


def test_serving_ends_when_the_server_does():
    lines, errors = [], []

    def serve():
        try:
            serve_redis(port=None, report=lines.append)
        except ResourceError as error:
            errors.append(str(error))

    thread = threading.Thread(target=serve)
    thread.start()
    until(lambda: lines)
    os.kill(int(lines[0].partition("process ")[2].partition(")")[0]), signal.SIGKILL)
    thread.join(LATE_S)
    assert "ended by itself" in errors[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_program_that_is_killed_leaves_no_server():
    script = "from labdaq.store.redis.serve import *; s = RedisServer(); print(s.pid, s.folder, flush=True); input()"
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid, folder = process.stdout.readline().split()
    process.kill()
    process.communicate()
    until(lambda: not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE)
    for path in Path(folder).iterdir():
        path.unlink()
    Path(folder).rmdir()


def test_a_program_that_forgets_it_leaves_no_server():
    script = "from labdaq.store.redis.serve import *; s = RedisServer(); print(s.pid, s.folder, flush=True)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LATE_S, check=True)
    pid, folder = said.stdout.split()
    assert not psutil.pid_exists(int(pid))
    assert not Path(folder).exists()
