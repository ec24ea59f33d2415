"""What Binder does with the folder `binder` works: its pins, its steps, and the settings of its start."""

import os
import resource
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = [Requirement(line) for line in (BINDER / "requirements.txt").read_text().splitlines() if line[0] != "#"]
MEMORY_NBYTES = 2 << 30


def needed(extra: str | None = None) -> list[Requirement]:
    """What the notebooks of the project need, with the extras that they name."""
    lines = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    found = []
    for one in map(Requirement, lines):
        found += [part for name in one.extras for part in needed(name)] if one.name == "labdaq" else [one]
    return found


def test_every_pin_is_exact_and_there_is_one_for_all_that_notebooks_need():
    pinned = {canonicalize_name(pin.name): str(pin.specifier) for pin in PINS}
    assert len(pinned) == len(PINS)
    assert all(pin.startswith("==") and "*" not in pin for pin in pinned.values())
    for one in needed() + needed("notebook"):
        assert one.specifier.contains(pinned[canonicalize_name(one.name)].removeprefix("==")), one


def test_the_python_is_one_that_labdaq_runs_on():
    python = (BINDER / "runtime.txt").read_text().strip().removeprefix("python-")
    assert python in SpecifierSet(PROJECT["requires-python"])


def test_start_leaves_room_for_others_and_runs_what_it_is_given(tmp_path):
    show = "import os; from labdaq.native import mapping; print(mapping.folder(), os.environ['LABDAQ_FRAMES_PER_S'])"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    for name in ("LABDAQ_SHARED_MEMORY", "LABDAQ_FRAMES_PER_S"):
        environment.pop(name, None)
    command = [BINDER / "start", sys.executable, "-c", show]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "labdaq-rings"), "10"]
    assert (tmp_path / "labdaq-rings").is_dir()


def in_little_memory(command, cwd, **environment):
    """Run a step with as much memory as Binder allows, and raise what it wrote if it fails."""
    limits = MEMORY_NBYTES, MEMORY_NBYTES
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, limits),
    )
    if done.returncode:
        raise AssertionError(f"{command}:\n{done.stdout[-4000:]}")
    return done.stdout


def skip_without_a_package_index(folder):
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-cache-dir",
        "--retries",
        "0",
        "--timeout",
        "5",
    ]
    done = subprocess.run([*command, "--dest", folder, f"six=={version('six')}"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="Binder is Linux, and so are its limits of memory")
def test_its_steps_end_in_a_notebook_that_runs(tmp_path):
    skip_without_a_package_index(tmp_path / "wheels")
    place = tmp_path / "labdaq"
    shutil.copytree(ROOT / "binder", place / "binder")
    shutil.copytree(ROOT / "notebooks", place / "notebooks", ignore=shutil.ignore_patterns(".*"))
    shutil.copytree(ROOT / "labdaq", place / "labdaq", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    bin_ = tmp_path / "env" / "bin"
    settings = {
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "LABDAQ_CACHE": str(tmp_path / "cache"),
        "TMPDIR": str(tmp_path),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    settings |= {name: "" for name in ("PYTHONPATH", "LABDAQ_SHARED_MEMORY") if name in os.environ}

    pip = [bin_ / "python", "-m", "pip", "install", "--quiet", "--no-compile", "--disable-pip-version-check"]
    in_little_memory([*pip, "-r", "binder/requirements.txt"], place, **settings)
    in_little_memory(["binder/postBuild"], place, **settings)
    run = ["jupyter", "nbconvert", "--to", "markdown", "--execute", "--stdout", "notebooks/00_start.ipynb"]
    shown = in_little_memory(["binder/start", *run], place, **settings)
    assert "the ledger closes: True" in shown
    assert not list((tmp_path / "labdaq-rings").iterdir())
