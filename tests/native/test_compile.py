"""Machine code is loaded by a second process, never stale, and kept somewhere even where nothing can be written."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import labdaq

PACKAGE = Path(labdaq.__file__).parent
PROBE = """
import sys
from labdaq.native import cache_folder, clocks, jit
from labdaq.native.clocks import utc_ns
print(utc_ns() // 10**18, sum(utc_ns.stats.cache_hits.values()), cache_folder())
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of the package which may be edited."""
    target = tmp_path / "site" / "labdaq"
    (target / "native").mkdir(parents=True)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(PACKAGE / name, target / name)
    for path in (PACKAGE / "native").glob("*.py"):
        shutil.copy(path, target / "native" / path.name)
    return target


def run(copy, code=PROBE, **environment):
    keep = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    # -P: not the folder it is started in, which holds the package that is not meant
    command = [sys.executable, "-P", "-c", code]
    variables = {**keep, "PYTHONPATH": str(copy.parent), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, cwd=copy.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_second_process_loads_from_the_cache(copy, tmp_path):
    first = run(copy, LABDAQ_CACHE=str(tmp_path / "cache"))
    second = run(copy, LABDAQ_CACHE=str(tmp_path / "cache"))
    assert (first[1], second[1]) == ("0", "1")
    assert first[2] == second[2]
    assert Path(first[2]).is_relative_to(tmp_path / "cache")


def test_an_edited_callee_in_another_file_is_compiled_anew(copy, tmp_path):
    for name, source in (("callee", "return 20"), ("caller", "return answer()")):
        head = "from labdaq.native import jit\n" + "from labdaq.native.callee import answer\n" * (name == "caller")
        function = "answer" if name == "callee" else "ask"
        (copy / "native" / f"{name}.py").write_text(f"{head}@jit\ndef {function}():\n    {source}\n")
    ask = "from labdaq.native.caller import ask; print(ask(), sum(ask.stats.cache_hits.values()))"
    cache = str(tmp_path / "cache")
    assert run(copy, ask, LABDAQ_CACHE=cache) == ["20", "0"]
    assert run(copy, ask, LABDAQ_CACHE=cache) == ["20", "1"]
    callee = copy / "native" / "callee.py"
    callee.write_text(callee.read_text().replace("20", "1010"))
    assert run(copy, ask, LABDAQ_CACHE=cache) == ["1010", "0"]


def test_an_edit_elsewhere_leaves_the_cache_valid(copy, tmp_path):
    cache = str(tmp_path / "cache")
    assert run(copy, LABDAQ_CACHE=cache)[1] == "0"
    (copy / "native" / "unrelated.py").write_text("from labdaq.native.clocks import utc_ns\n")
    assert run(copy, LABDAQ_CACHE=cache)[1] == "1"


def test_only_the_newest_versions_are_kept(copy, tmp_path):
    code = tmp_path / "cache" / "code"
    for number in range(20):
        for module in ("native.clocks", "native.other"):
            (code / f"{module}-{number}").mkdir(parents=True)
            os.utime(code / f"{module}-{number}", (number, number))
    run(copy, LABDAQ_CACHE=str(tmp_path / "cache"))
    left = {path.name for path in code.glob("native.clocks-*")}
    assert len(left) == 8
    assert {"native.clocks-19", "native.clocks-13"} <= left
    assert len(list(code.glob("native.other-*"))) == 20


def test_without_a_home_the_code_goes_to_the_temporary_folder(copy, tmp_path):
    (tmp_path / "file").touch()  # no folder can be made below a file, not even by root
    (tmp_path / "tmp").mkdir()
    nowhere = {"HOME": str(tmp_path / "file" / "home"), "TMPDIR": str(tmp_path / "tmp")}
    first, second = run(copy, **nowhere), run(copy, **nowhere)
    assert (first[1], second[1]) == ("0", "1")
    assert Path(first[2]).is_relative_to(tmp_path / "tmp")


BECOME_SOMEBODY_ELSE = """
import numba, os
numba.njit(lambda x: x)(1)  # brings in what may be readable for root only
if os.getuid() == 0:  # who may write everywhere whatever the permissions say
    os.setgid(54321)
    os.setuid(54321)
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="users and permissions of Unix")
def test_a_read_only_installation_without_a_home_works(copy):
    site = Path(tempfile.mkdtemp())  # not tmp_path, which is closed to other users
    try:
        shutil.copytree(copy.parent, site / "site")
        (site / "tmp").mkdir()
        (site / "tmp").chmod(0o777)
        for path in (site, site / "site", *(site / "site").rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        code = BECOME_SOMEBODY_ELSE + PROBE
        found = [run(site / "site" / "labdaq", code, TMPDIR=str(site / "tmp")) for _ in range(2)]
        assert [hits for _, hits, _ in found] == ["0", "1"]
        assert all(Path(folder).is_relative_to(site / "tmp") for *_, folder in found)
    finally:
        for path in (site, *site.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(site)


def test_where_nothing_can_be_written_every_process_has_its_own(copy, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "tmp").mkdir()
    below = str(tmp_path / "file" / "x")
    taken = tmp_path / "tmp" / f"labdaq-cache-{os.getuid() if hasattr(os, 'getuid') else 0}"
    taken.touch()  # a file where the folder should be
    places = {"HOME": below, "LABDAQ_CACHE": below, "TMPDIR": str(tmp_path / "tmp")}
    first, second = run(copy, **places), run(copy, **places)
    assert (first[1], second[1]) == ("0", "0")
    assert first[2] != second[2]
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == [taken.name]


def test_a_folder_of_another_user_is_not_trusted(copy, tmp_path):
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("only root can give folders away")
    foreign = tmp_path / "theirs" / Path(run(copy, LABDAQ_CACHE=str(tmp_path / "mine"))[2]).name
    foreign.mkdir(parents=True)
    os.chown(foreign, 54321, 54321)
    environment = {"LABDAQ_CACHE": str(tmp_path / "theirs"), "HOME": str(tmp_path / "home")}
    assert Path(run(copy, **environment)[2]).is_relative_to(tmp_path / "home")


def test_compiled_functions_divide_by_zero_like_numpy():
    from labdaq.native import jit

    @jit(cache=False)
    def ratio(a, b):
        return a / b

    assert np.isinf(ratio(1.0, 0.0))
