"""The command line: what it prints, what it leaves, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

import labdaq
from labdaq.cli import app
from labdaq.errors import NotFoundError
from labdaq.native import cache_folder, mapping


@dataclass(frozen=True)
class ReaderLine:
    name: str
    lag: int
    rate_hz: float


@dataclass(frozen=True)
class RingLine:
    name: str
    capacity: int
    voided: int
    readers: tuple[ReaderLine, ...]


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def ring():
    with labdaq.Ring("counted", dtype="f4", shape=(4,), capacity=8, space="shared") as ring:
        with ring.writer() as writer:
            writer.put([1, 2, 3, 4])
        yield ring


@pytest.fixture
def leftover():
    """Memory of a process that was killed: the names of the new files."""
    before = set(mapping.folder().glob("labdaq-*"))
    code = (
        "import labdaq, os, signal\n"
        "ring = labdaq.Ring('orphan', dtype='f4', shape=(4,), capacity=8, space='shared')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    names = [path.name for path in set(mapping.folder().glob("labdaq-*")) - before]
    yield names
    for name in names:
        (mapping.folder() / name).unlink(missing_ok=True)


def test_help_names_every_command():
    shown = call("--help").output
    assert all(name in shown for name in ("warm", "demo", "stat", "doctor"))


def test_version():
    assert call("--version").output == f"labdaq {labdaq.__version__}\n"


def test_the_installed_command_is_this_one():
    script = Path(sysconfig.get_path("scripts")) / "labdaq"
    shown = subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout
    assert shown == f"labdaq {labdaq.__version__}\n"


def test_wrong_arguments_give_exit_code_2():
    assert call("stat", "--watch", "soon").exit_code == 2


def test_warm_says_where_the_code_is_kept():
    done = call("warm")
    assert done.exit_code == 0
    assert str(cache_folder()) in done.output


class TestStat:
    def test_table_shows_the_ring(self, ring):
        done = call("stat")
        assert done.exit_code == 0
        assert ring.name in done.output

    def test_table_says_what_is_not_zero(self, monkeypatch):
        readers = (ReaderLine("filter", lag=3, rate_hz=1e4), ReaderLine("view", lag=0, rate_hz=0.0))
        rings = [RingLine("waveforms", capacity=128, voided=0, readers=readers)]
        monkeypatch.setattr("labdaq.ring.statistics_of_all", lambda: rings)
        assert call("stat").output.split("\n") == [
            "waveforms            capacity 128",
            "  filter             lag 3  rate_hz 10000",
            "  view",
            "",
        ]

    def test_without_rings(self, monkeypatch):
        monkeypatch.setattr("labdaq.ring.statistics_of_all", list)
        assert call("stat").output == "no rings in shared memory\n"

    def test_json_is_one_list(self, ring):
        shown = json.loads(call("stat", "--json").output)
        assert ring.name in {entry["name"] for entry in shown}

    def test_another_process_sees_the_ring(self, ring):
        command = [sys.executable, "-m", "labdaq.cli", "stat", "--json"]
        shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert ring.name in {entry["name"] for entry in shown}

    @pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process on Windows")
    def test_watching_ends_with_ctrl_c(self, ring):
        command = [sys.executable, "-m", "labdaq.cli", "stat", "--watch", "0.1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watcher:
            watcher.stdout.readline()
            watcher.send_signal(signal.SIGINT)
            _, complaints = watcher.communicate(timeout=20)
        assert watcher.returncode == 0
        assert complaints == b""


class TestDoctor:
    def test_every_line_is_well_or_has_a_remedy(self):
        done = call("doctor")
        lines = done.output.splitlines()
        remedies = [line for line in lines if line.strip().startswith("->")]
        assert len([line for line in lines if line.startswith("!!")]) == len(remedies)
        assert done.exit_code == bool(remedies)
        looked_at = ("Python", "numba", "processors", "shared memory", "socket buffer", "notebook", "GPU")
        assert all(name in done.output for name in looked_at)

    @pytest.mark.parametrize(("granted", "advice"), [(1 << 20, True), (1 << 30, False)])
    def test_a_small_socket_buffer_comes_with_the_command_that_enlarges_it(
        self, granted, advice, tmp_path, monkeypatch
    ):
        (tmp_path / "rmem_max").write_text(f"{granted}\n")
        monkeypatch.setattr("labdaq.cli.doctor._SOCKET_BUFFER", tmp_path / "rmem_max")
        assert ("sysctl -w net.core.rmem_max=67108864" in call("doctor").output) == advice

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="named memory goes with its process on Windows")
    def test_what_a_dead_process_left_is_found_and_removed(self, leftover):
        assert leftover
        found = call("doctor")
        assert found.exit_code == 1
        assert "--clean" in found.output
        cleaned = call("doctor", "--clean")
        assert cleaned.exit_code == 0
        for name in leftover:
            assert name in found.output
            assert f"removed {name}" in cleaned.output
            assert not (mapping.folder() / name).exists()

    def test_what_is_in_use_is_not_removed(self, ring):
        call("doctor", "--clean")
        assert ring.name in call("stat").output


class TestDemo:
    def test_muon_prints_its_summary_and_leaves_files(self, tmp_path):
        done = call("demo", "muon", "--events", 300, "--seed", 1, "--out", tmp_path)
        assert done.exit_code == 0
        assert "lifetime" in done.output
        assert any(tmp_path.iterdir())

    def test_an_error_of_labdaq_is_one_line(self, monkeypatch):
        def run(**_):
            raise NotFoundError("no recordings in nowhere; it has none")

        monkeypatch.setattr("labdaq.demos.muon.run", run)
        done = call("demo", "muon")
        assert done.exit_code == 1
        assert done.stderr == "labdaq: no recordings in nowhere; it has none\n"
