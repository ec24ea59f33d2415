"""`labdaq store …`: what it prints, what it leaves, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from labdaq.cli import app
from labdaq.cli.store import _nbytes
from labdaq.errors import LayoutError
from labdaq.store import DataStore, JsonStreamEncoder, NumericStreamEncoder


def call(*arguments, env=None):
    return CliRunner().invoke(app, ["store", *map(str, arguments)], catch_exceptions=False, env=env)


@pytest.fixture
def folder(tmp_path):
    """A store with two closed scans, of which the second has points."""
    folder = tmp_path / "lab"
    with DataStore(folder) as store:
        store.create_scan({"name": "dark", "number": 1, "data_policy": "none"}).close()
        scan = store.create_scan({"name": "muon", "number": 2, "data_policy": "none", "session": "night"})
        delay = scan.create_stream("delay", NumericStreamEncoder(float), {"unit": "us"})
        scan.create_stream("notes", JsonStreamEncoder())
        scan.info["gain"] = 20
        scan.prepare()
        scan.start()
        delay.send(np.arange(5.0))
        scan.stop()
        scan.close()
    return folder


class TestListing:
    def test_newest_first(self, folder):
        result = call("ls", "--store", folder)
        assert result.exit_code == 0
        first, second = result.output.splitlines()
        assert "muon 2" in first
        assert "2 streams" in first
        assert "dark 1" in second

    def test_by_name_and_as_json(self, folder):
        (found,) = json.loads(call("ls", "da*", "--json", "-s", folder).output)
        assert (found["name"], found["number"], found["state"]) == ("dark", 1, "CLOSED")
        assert call("ls", "nothing", "-s", folder).output == "no scans\n"

    def test_environment_names_the_store(self, folder):
        assert "muon" in call("ls", env={"LABDAQ_STORE": str(folder)}).output

    def test_looking_makes_no_store(self, tmp_path):
        result = call("ls", "-s", tmp_path / "none")
        assert result.exit_code == 1
        assert "there is no store" in result.output
        assert not (tmp_path / "none").exists()
        assert call("ls", "-s", f"labdaq://{tmp_path}/none").exit_code == 1
        assert not (tmp_path / "none").exists()


class TestShowing:
    def test_last(self, folder):
        output = call("show", "-s", folder).output
        assert "'muon' 2, CLOSED" in output
        assert "session      night" in output
        assert "5 x float64 us  sealed" in output
        assert '"gain": 20' in output

    def test_by_name_and_key_as_json(self, folder):
        shown = json.loads(call("show", "dark", "--json", "-s", folder).output)
        assert shown["streams"] == []
        assert json.loads(call("show", shown["key"], "--json", "-s", folder).output) == shown

    def test_unknown(self, folder):
        result = call("show", "nobody", "-s", folder)
        assert result.exit_code == 1
        assert "'nobody'" in result.output


def test_export(folder, tmp_path):
    path = tmp_path / "delays.csv"
    assert call("export", path, "--stream", "delay", "-s", folder).exit_code == 0
    assert "4" in path.read_text()
    again = call("export", path, "--stream", "delay", "-s", folder)
    assert again.exit_code == 1
    assert "exists" in again.output


class TestUpkeep:
    def test_trim(self, folder):
        result = call("trim", "--limit", "0", "--protect", "0", "-s", folder)
        assert result.exit_code == 0
        assert "freed 40 B of 40 B in 1 streams" in result.output

    def test_verify(self, folder):
        result = call("verify", "-s", folder)
        assert result.exit_code == 0
        assert result.output.startswith("ok  delay")
        (segment,) = (path for path in folder.glob("streams/*/data.*") if path.stat().st_size)
        segment.write_bytes(bytes(40))
        result = call("verify", "-s", folder)
        assert result.exit_code == 1
        assert "are not what was written" in result.output

    def test_repair(self, folder):
        assert call("repair", "-s", folder).output == "nothing to repair\n"
        (folder / "catalogue.db").write_bytes(b"garbage" * 1000)
        assert call("ls", "-s", folder).exit_code == 1
        output = call("repair", "-s", folder).output
        assert "made a new one" in output
        assert "now to labdaq:scan:" in output
        assert "recovered" in call("ls", "-s", folder).output

    @pytest.mark.parametrize(
        ("text", "nbytes"), [("10", 10), ("10GB", 10**10), ("1.5 MiB", 3 * 2**19), ("1e9", 10**9), ("2k", 2000)]
    )
    def test_sizes(self, text, nbytes):
        assert _nbytes(text) == nbytes

    @pytest.mark.parametrize("text", ["", "many", "10 GBit", "-1", ".", "1.2.3", "1e400", "KB"])
    def test_no_sizes(self, text):
        with pytest.raises(LayoutError):
            _nbytes(text)


def test_serve_until_interrupted(tmp_path):
    redis = pytest.importorskip("labdaq.testing.redis")
    with redis.redis_server():
        pass  # skips without a server
    command = [sys.executable, "-m", "labdaq.cli", "store", "serve", "--port", "0", "--folder", str(tmp_path / "redis")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        url = server.stdout.readline().split()[0]
        with DataStore(url) as store:
            store.create_scan({"name": "served", "number": 1, "data_policy": "none"}).close()
        assert "served 1" in call("ls", "-s", url).output
        server.send_signal(signal.SIGINT)
        assert server.wait(20) in (0, 130)
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    assert Path(tmp_path / "redis").is_dir()
