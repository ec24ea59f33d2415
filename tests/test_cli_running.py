"""`labdaq run`, `replay`, `new` and `devices`: what they do, keys, signals and exit codes."""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
from typer.testing import CliRunner

from labdaq.cli import app
from labdaq.cli.live import StatusLine, status_of
from labdaq.cli.workspaces import KINDS, new_workspace
from labdaq.errors import LayoutError, NotFoundError, ResourceError
from labdaq.pipeline import attach
from labdaq.pipeline.running.snapshots import RingSnapshot, Snapshot
from tests.pipeline.suite.files import SUITE, package, write

POSIX = pytest.mark.skipif(os.name != "posix", reason="keys and signals are those of POSIX")
ENDLESS = """
import itertools, time
import numpy as np
def pulses():
    for number in itertools.count():
        time.sleep(0.001)
        yield np.full(8, float(number))
"""
RUNNING = SUITE.replace("counting.pulses\n    settings: {events: 10}", "endless.pulses").replace("seconds: 20", "")


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def suite(tmp_path):
    return write(tmp_path, SUITE.replace("store: null", "store: runs"))


class TestRun:
    def test_the_result_is_printed(self, suite):
        done = call("run", suite)
        assert done.exit_code == 0
        assert "run 1 of 'heights': ended, the source has ended" in done.output
        assert "find: in 10 = accepted 6 + rejected 4" in done.output

    def test_options_go_before_the_suite(self, suite, tmp_path):
        kept = tmp_path / "kept"
        done = call("run", suite, "--events", 8, "--set", "find.level=6", "--store", kept, "--comment", "second try")
        assert done.exit_code == 0
        assert "find: in 8 = accepted 2 + rejected 6" in done.output
        assert str(kept / "heights_0001") in done.output
        assert '"second try"' in call("store", "show", "--json", "--store", kept).output

    def test_a_folder_of_runs_starts_from_where_one_is(self, suite, tmp_path, monkeypatch):
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        assert call("run", suite, "--store", "kept").exit_code == 0
        assert (tmp_path / "here" / "kept" / "heights_0001").is_dir()

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            (["--set", "find.level=101"], "--set find.level=101: 101.0 mV is not possible"),
            (["--set", "find.level=high"], "'high' is not possible"),
            (["--set", "find.levl=3"], "did you mean 'find.level'?"),
            (["--set", "find.level"], "write worker.name=value"),
        ],
    )
    def test_wrong_parameters_give_exit_code_2(self, suite, options, told):
        done = call("run", suite, *options)
        assert (done.exit_code, done.stdout) == (2, "")
        assert told in done.stderr

    def test_a_wrong_suite_gives_exit_code_2(self, tmp_path):
        done = call("run", write(tmp_path, SUITE.replace("reads: raw", "reads: row")))
        assert done.exit_code == 2
        assert "suite.yaml:16: workers.find.reads: there is no ring 'row'" in done.stderr

    def test_what_cannot_be_wired_gives_exit_code_2(self, tmp_path):
        done = call("run", write(tmp_path, SUITE.replace("sink: heights.csv, reads: high", "drain: raw")))
        assert done.exit_code == 2
        assert "ring 'high' is written by filter 'find', and nobody reads it" in done.stderr

    def test_a_run_that_fails_gives_exit_code_1(self, tmp_path):
        code = "def pulses(events):\n    raise OSError('unplugged')\n    yield\n"
        text = SUITE.replace("counting.pulses", "failing.pulses")
        done = call("run", write(tmp_path, text, failing=code), "--quiet")
        assert done.exit_code == 1
        assert "unplugged" in done.stdout

    def test_suites_of_others_are_handed_on(self, tmp_path, monkeypatch):
        code = "class Run:\n    def __init__(self, path): pass\n    def run(self, events, seconds): return events\n"
        package(tmp_path, "labdaq.suites", "mimocorb2", "taking_more:Run", code)
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "other.yaml").write_text("Buffers: {}\nWorkers: {}\n")
        assert call("run", tmp_path / "other.yaml", "--events", 7).output == "7\n"
        assert call("run", tmp_path / "other.yaml", "--comment", "x").exit_code == 2

    def test_help_has_the_exit_codes(self):
        shown = " ".join(call("run", "--help").output.split())
        assert "130 interrupted by Ctrl-C" in shown


class TestReplay:
    def test_a_run_goes_through_the_filters_of_now(self, tmp_path):
        text = SUITE.replace("store: null", "store: runs").replace(
            "limits:", "  raws: {sink: store, reads: raw}\nlimits:"
        )
        path = write(tmp_path, text)
        assert call("run", path).exit_code == 0
        done = call("replay", 1, path, "--set", "find.level=8")
        assert done.exit_code == 0, done.stderr
        assert "run 2 of 'heights'" in done.output
        assert "find: in 10 = accepted 2 + rejected 8" in done.output

    def test_the_workspace_does_what_the_page_on_suites_says(self, tmp_path):
        suite = new_workspace(tmp_path / "mine")
        assert call("run", suite, "--events", 30, "--quiet").exit_code == 0
        done = call("replay", 1, suite, "--ring", "accepted", "--quiet")
        assert done.exit_code == 0, done.stderr
        assert "run 2 of 'muon': ended" in done.output

    def test_where_the_recorded_run_is_and_where_the_new_one_goes(self, tmp_path):
        text = SUITE.replace("store: null", "store: runs").replace(
            "limits:", "  raws: {sink: store, reads: raw}\nlimits:"
        )
        path, other, third = write(tmp_path, text), tmp_path / "other", tmp_path / "third"
        assert call("run", path, "--quiet").exit_code == 0
        done = call("replay", 1, path, "--store", other, "--quiet")
        assert done.exit_code == 0, done.stderr
        assert (other / "heights_0001").is_dir()
        assert call("replay", 2, path, "--store", other).exit_code == 2
        assert call("replay", 1, path, "--store", other, "--quiet").exit_code == 0
        done = call("replay", 2, path, "--from", other, "--store", third, "--quiet")
        assert done.exit_code == 0, done.stderr
        assert (third / "heights_0001").is_dir()
        assert [folder.name for folder in (tmp_path / "runs").glob("heights_*")] == ["heights_0001"]

    def test_a_suite_that_keeps_nothing_is_replayed_from_where_it_was_told_to_keep_it(self, tmp_path):
        path, other = (
            write(tmp_path, SUITE.replace("limits:", "  raws: {sink: store, reads: raw}\nlimits:")),
            tmp_path / "x",
        )
        assert call("run", path, "--store", other, "--quiet").exit_code == 0
        assert "run 2 of 'heights'" in call("replay", 1, path, "--store", other, "--quiet").output

    def test_what_is_not_there_gives_exit_code_2(self, suite):
        call("run", suite, "--quiet")
        assert call("replay", 7, suite).exit_code == 2
        assert "did you mean 'pulses'" in call("replay", 1, suite, "--source", "pulse").stderr
        assert call("replay", 1, suite, "--timing", "slow").exit_code == 2


class TestNew:
    def test_the_workspace_runs_as_it_is(self, tmp_path):
        made = call("new", tmp_path / "mine")
        suite = made.output.split()[-1]
        assert {path.name for path in (tmp_path / "mine").iterdir()} == {"suite.yaml", "modules", "config", "target"}
        done = call("run", suite, "--events", 100)
        assert done.exit_code == 0, done.stderr
        kept = {path.name for path in (tmp_path / "mine" / "target" / "muon_0001").iterdir()}
        assert {"decays.csv", "waveforms.parquet", "suite.yaml"} <= kept

    def test_nothing_is_overwritten(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")
        done = call("new", tmp_path)
        assert done.exit_code == 1
        assert "nothing is overwritten" in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_a_file_is_no_place(self, tmp_path):
        (tmp_path / "mine").touch()
        with pytest.raises(LayoutError, match="is a file"):
            new_workspace(tmp_path / "mine")
        with pytest.raises(ResourceError):
            new_workspace(tmp_path / "mine" / "below")

    def test_kinds_are_listed(self, tmp_path):
        with pytest.raises(NotFoundError, match="no workspace of kind 'moun'; there are: muon"):
            new_workspace(tmp_path / "mine", "moun")

    @pytest.mark.skipif(not KINDS["mimocorb"].is_dir(), reason="this labdaq has no workspace of mimoCoRB")
    def test_mimocorb(self, tmp_path):
        made = call("new", tmp_path / "old", "--kind", "mimocorb")
        assert made.exit_code == 0
        assert (tmp_path / "old" / "lifetime_setup.yaml").is_file()


def test_devices_have_a_state():
    done = call("devices")
    assert done.exit_code == 0
    assert done.output.strip()


def snapshot(events):
    rings = (RingSnapshot("raw", events, 10.0, 0.25, {}), RingSnapshot("high", 0, 0.0, 0.0, {}))
    return Snapshot(1.5, "RUNNING", events, rings, (), 0.012)


def test_the_status_is_one_line():
    assert status_of(snapshot(1200), 800.0) == "running  1.5 s  1200 events  800/s  dead 1.2 %  raw 25 %  high 0 %"


class Gone:
    """A terminal that was closed."""

    def isatty(self):
        return True

    def write(self, text):
        raise OSError(5, "Input/output error")


def test_a_terminal_that_is_gone_does_not_end_the_run(tmp_path):
    from labdaq.pipeline.suite import build, load_suite

    with build(load_suite(write(tmp_path))) as pipeline:
        status = StatusLine(pipeline.start(), Gone())
        status.end()
        assert pipeline.wait().events == 10
        status.show()


# ------------------------------------------------------------- as a process: signals and a terminal

PATIENCE_S = 90  # everything may have to be compiled first
COMMAND = [sys.executable, "-m", "labdaq.cli", "run"]


def until(told, condition):
    """Read what is told until it holds something; all of it."""
    deadline, text = time.monotonic() + PATIENCE_S, ""
    while condition not in text:
        assert time.monotonic() < deadline, text
        if select.select([told], [], [], 1)[0]:
            new = os.read(told, 4096).decode()
            assert new, text
            text += new
    return text


def awaited(look):
    """What somebody else makes come true."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


@pytest.fixture
def started():
    """Start a process, which does not outlive the test."""
    with ExitStack() as stack:

        def start(*command, **settings):
            process = subprocess.Popen(command, **settings)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


@POSIX
class TestProcess:
    @pytest.fixture
    def kept(self, tmp_path):
        return write(tmp_path, RUNNING.replace("store: null", "store: runs"), endless=ENDLESS)

    @pytest.fixture
    def logged(self, tmp_path):
        """Wait for a line in the log of the first run."""
        return lambda text: awaited(lambda: any(text in log.read_text() for log in tmp_path.glob("runs/*/log.txt")))

    @staticmethod
    def check_drained(process, code):
        output, complaints = process.communicate(timeout=30)
        assert (process.returncode, complaints) == (code, "")
        assert "ended, asked to" in output
        assert "undelivered" not in output

    def test_ctrl_c_drains(self, kept, logged, started):
        process = started(*COMMAND, kept, stdin=subprocess.DEVNULL, **PIPES)
        logged("idle -> running")
        process.send_signal(signal.SIGINT)
        self.check_drained(process, 130)

    def test_sigterm_drains_also_without_a_standard_input(self, kept, logged, started):
        process = started("sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, kept, **PIPES)
        logged("idle -> running")
        process.send_signal(signal.SIGTERM)
        self.check_drained(process, 0)

    def test_a_second_ctrl_c_aborts(self, tmp_path, logged, started):
        """With a pipe as standard input, and a sink that needs long for what is in its ring."""
        text = RUNNING.replace("store: null", "store: runs").replace("sink: heights.csv", "sink: endless.wait")
        text = text.replace("limits: {}", "limits: {drain_timeout_s: 60}")
        code = f"{ENDLESS}\ndef wait(event):\n    time.sleep(0.8)\n"
        process = started(*COMMAND, write(tmp_path, text, endless=code), stdin=subprocess.PIPE, **PIPES)
        for state in ("idle -> running", "running -> draining"):
            logged(state)
            process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "run 1 of 'heights': failed" in output

    def test_others_can_attach_to_it(self, kept, logged, started, tmp_path):
        process = started(*COMMAND, kept, stdin=subprocess.DEVNULL, **PIPES)
        logged("idle -> running")
        awaited(lambda: list(tmp_path.glob("runs/*/attach.json")))
        with attach("heights", tmp_path / "runs") as run:
            assert run.rings == {"raw": {}, "high": {"units": {"height": "mV"}}}
            with run.observe("raw") as tap:
                assert tap.read(timeout=30).data.shape == (8,)
            run.set_parameter("find.level", 7)
            with pytest.raises(LayoutError, match="is not possible"):
                run.set_parameter("find.level", 101)
            run.note("from elsewhere")
            awaited(lambda: run.snapshot().events)
            run.stop()
            self.check_drained(process, 0)
            assert run.result.ledger.is_closed
            assert "from elsewhere" in (run.folder / "notes.txt").read_text()

    def test_keys_and_the_terminal_afterwards(self, kept, started):
        import pty
        import termios

        here, there = pty.openpty()
        before = termios.tcgetattr(there)
        program = (
            "import os, sys, fcntl, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
            "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
        )
        command = [sys.executable, "-c", program, *COMMAND[1:], kept]
        process = started(*command, stdin=there, stdout=there, stderr=there)
        try:
            until(here, "running  ")
            assert not termios.tcgetattr(there)[3] & termios.ICANON
            os.write(here, b"p")
            until(here, "paused  ")
            os.write(here, b"xpR")  # one that does nothing, one that changes nothing, and one in capitals
            until(here, "running  ")
            os.write(here, b"s")
            told = until(here, "files: ")
            assert process.wait(30) == 0
            assert "ended, asked to" in told
            assert termios.tcgetattr(there) == before
        finally:
            os.close(here)
            os.close(there)
