"""`labdaq lab`: the course is copied, and what somebody changed stays."""

import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from typer.testing import CliRunner

from labdaq.cli import app, course
from labdaq.cli.course import copy_course, course_folder
from labdaq.errors import LayoutError, NotFoundError


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A course of two notebooks."""
    made = tmp_path / "brought"
    (made / "pictures").mkdir(parents=True)
    (made / ".ipynb_checkpoints").mkdir()
    for name in ("00_start.ipynb", "01_next.ipynb", "pictures/a.png", ".ipynb_checkpoints/x.ipynb"):
        (made / name).write_text("first")
    monkeypatch.setattr(course, "_PLACES", (made,))
    return made


def test_nothing_that_was_changed_is_overwritten(source, tmp_path):
    mine = tmp_path / "mine"
    done = copy_course(mine)
    assert done.copied == ("00_start.ipynb", "01_next.ipynb", "pictures/a.png")
    assert done.first == mine / "00_start.ipynb"
    (mine / "00_start.ipynb").write_text("my answers")
    for name in ("00_start.ipynb", "01_next.ipynb"):
        (source / name).write_text("second")
    again = copy_course(mine)
    assert (again.copied, again.kept) == (("01_next.ipynb",), ("00_start.ipynb",))
    assert (mine / "00_start.ipynb").read_text() == "my answers"
    assert (mine / "01_next.ipynb").read_text() == "second"
    assert "left as they are: 00_start.ipynb" in str(again)
    assert copy_course(mine).copied == ()


def test_files_that_were_there_before_are_somebody_elses(source, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "00_start.ipynb").write_text("another experiment")
    (tmp_path / "mine" / ".labdaq-course.json").write_text("damaged")
    assert copy_course(tmp_path / "mine").kept == ("00_start.ipynb",)
    assert (tmp_path / "mine" / "00_start.ipynb").read_text() == "another experiment"


def test_what_is_not_possible_is_refused(source, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(LayoutError, match="is a file"):
        copy_course(tmp_path / "file")
    monkeypatch.setattr(course, "_PLACES", (tmp_path / "nowhere",))
    with pytest.raises(NotFoundError, match="not installed"):
        copy_course(tmp_path / "mine")


def test_the_course_is_there_and_its_copy_is_complete(tmp_path):
    done = CliRunner().invoke(app, ["lab", str(tmp_path), "--copy-only"])
    assert done.exit_code == 0, done.output
    notebooks = {path.name for path in course_folder().glob("*.ipynb")}
    assert {path.name for path in tmp_path.glob("*.ipynb")} == notebooks >= {"01_first_light.ipynb"}
    json.loads((tmp_path / "01_first_light.ipynb").read_text())


@pytest.mark.slow
def test_jupyterlab_is_opened_on_it(tmp_path):
    pytest.importorskip("jupyterlab")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--no-browser", f"--ServerApp.port={port}", "--IdentityProvider.token=secret"]
    command = [sys.executable, "-m", "labdaq.cli", "lab", str(tmp_path / "mine"), *options]
    address = f"http://127.0.0.1:{port}/api/contents?token=secret"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while (said := _answer(address)) is None:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        finally:
            _end_server(port)
        process.wait(20)
    assert "01_first_light.ipynb" in said


def _answer(address):
    try:
        with urllib.request.urlopen(address, timeout=5) as page:
            return page.read().decode()
    except OSError:
        return None


def _end_server(port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/shutdown?token=secret", method="POST")
    with urllib.request.urlopen(request, timeout=20):
        pass
