"""The wheel: what is in it, that its core runs with nothing else, and what it says when an extra is missing."""

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
FOR_DEVELOPERS = {"docs", "test"}
COLLECTIONS = {"all"}
KINDS = {".py", ".typed", ".js", ".yaml", ".txt", ".ipynb"}

# What runs with the core alone: a ring, a pipeline with a compiled filter, a file, and a store.
CORE = """
import labdaq, numpy as np, sys
assert labdaq.__file__.startswith(sys.argv[1]), labdaq.__file__
stack = labdaq.sim.MuonStack(seed=1)
find = labdaq.kernels.decay_filter([("++--", "0+--"), ("++--", "--+0")], 90, 35, sample_interval_ns=10)
with labdaq.Pipeline("muon") as daq:
    raw = daq.ring("raw", stack.dtype, stack.shape, capacity=128)
    pulses = daq.ring("pulses", labdaq.kernels.DECAY)
    daq.source(stack, raw)
    daq.filter(find, raw, pulses, run_in="compiled")
    daq.sink("pulses.csv", pulses)
    result = daq.run(events=200)
assert result.ledger.is_closed
print(len(labdaq.open_run(result.number).table("pulses")), "pulses")
"""
# For each extra something that needs it.
NEEDS = {
    "notebook": ["labdaq.scope(labdaq.Ring('r', dtype='f4', shape=(8,), capacity=4))"],
    "store": [
        "labdaq.files.Hdf5File('x.h5')",
        "labdaq.files.read_parquet(some_file)",
        "labdaq.files.ZarrFile('x.zarr')",
    ],
    "analysis": ["labdaq.open_run(run).table('raw').to_pandas()"],
    "redis": ["labdaq.DataStore('redis://127.0.0.1:1')"],
    "stream": ["labdaq.OutputStream().configure(protocol='ipc', dtype='f4')"],
    "lsl": ["labdaq.stream.LslInlet().configure(name='eeg')"],
    "devices": ["labdaq.devices.SoundCard().open()"],
}
WITHOUT = """
import sys
class Refuser:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuser())
"""
TRIED = """
import json, labdaq, pathlib
with labdaq.Pipeline("kept") as daq:
    raw = daq.ring("raw", "f8", capacity=16)
    daq.source(lambda: iter([1.0, 2.0]), raw)
    daq.sink("store", raw)
    run = daq.run().number
some_file = pathlib.Path("x.parquet")
some_file.write_bytes(b"PAR1")
said = {}
for code in CODES:
    try:
        exec(code)
    except labdaq.errors.MissingExtraError as error:
        said[code] = str(error)
print(json.dumps(said))
"""


def modules_without(*names: str) -> set[str]:
    """Modules of all packages here that the core does not need, nor what it needs."""
    from importlib.metadata import PackageNotFoundError, packages_distributions, requires

    needed: set[str] = set()
    waiting = [canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]] + ["labdaq", *names]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        try:
            lines = [] if name == "labdaq" else requires(name) or []
        except PackageNotFoundError:
            continue
        for one in map(Requirement, lines):
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(one.name))
    found = packages_distributions().items()
    return {module for module, owners in found if not {canonicalize_name(owner) for owner in owners} & needed}


def run(folder, installed, code):
    """Run Python with the installed wheel, where nothing but the core can be imported."""
    refused = f"REFUSED = {sorted(modules_without())!r}\n"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", refused + WITHOUT + code, str(installed)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from this checkout."""
    pytest.importorskip("hatchling", reason="wheels are built by hatchling")
    place = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", place], check=True, cwd=ROOT)
    (made,) = place.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder into which it was unpacked, as pip does."""
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    return place


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a repository says what belongs to it")
def test_the_wheel_holds_the_package_the_course_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        nbytes = sum(one.file_size for one in archive.infolist())
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "labdaq"], text=True, cwd=ROOT)
    kept = {path for path in listed.splitlines() if (ROOT / path).is_file()}
    course = {f"labdaq/course/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == kept | course
    assert {Path(name).suffix for name in names - about} <= KINDS
    assert {Path(name).name for name in about} == {"METADATA", "WHEEL", "RECORD", "LICENSE", "entry_points.txt"}
    assert "py3-none-any" in wheel.name
    assert nbytes < 8 << 20


def test_the_core_runs_without_any_extra(installed, tmp_path):
    done = run(tmp_path, installed, CORE)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 0


def test_the_command_runs_without_any_extra(installed, tmp_path):
    done = run(tmp_path, installed, "from labdaq.cli import app\nsys.argv[1:] = ['doctor']\napp()")
    assert done.returncode in (0, 1), done.stderr
    assert "numba" in done.stdout


@pytest.fixture(scope="module")
def said(installed, tmp_path_factory):
    """What is told by each line that needs an extra, where there is none."""
    codes = [code for several in NEEDS.values() for code in several]
    done = run(tmp_path_factory.mktemp("missing"), installed, f"CODES = {codes!r}\n{TRIED}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("extra", NEEDS)
def test_a_missing_extra_is_named(said, extra):
    for code in NEEDS[extra]:
        assert f"pip install 'labdaq[{extra}]'" in said[code]


def test_every_extra_was_tried_and_every_extra_that_is_named_is_there():
    named = re.compile(r"labdaq\[([\w,]+)\]")
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "how_to").glob("*.md")]
    texts = [path.read_text(encoding="utf-8") for path in [*(ROOT / "labdaq").rglob("*.py"), *pages]]
    found = {extra for text in texts for names in named.findall(text) for extra in names.split(",")}
    assert found <= set(EXTRAS), found - set(EXTRAS)
    assert set(NEEDS) == set(EXTRAS) - FOR_DEVELOPERS - COLLECTIONS - {"cuda"}  # that one needs its machine, too


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_fresh_environment_with_the_wheel_has_a_working_core(wheel, tmp_path):
    """With an index of packages: the dependencies of the core, the wheel, its command, and the core itself."""
    venv.create(tmp_path / "fresh", with_pip=True)
    python = tmp_path / "fresh" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True)
    done = subprocess.run([python, "-c", CORE, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) > 0
