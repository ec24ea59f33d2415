"""Nothing listens beyond this machine, and data that are read are no programs."""

import ast
import io
import pickle
import zipfile
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import psutil
import pytest

import labdaq
from labdaq.errors import LabdaqError
from labdaq.pipeline import Pipeline, Replay
from tests.pipeline.making import LONG_S, chain

PACKAGE = Path(labdaq.__file__).parent
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
LOADS_PROGRAMS = {
    ("pickle", "load"),
    ("pickle", "loads"),
    ("cloudpickle", "load"),
    ("cloudpickle", "loads"),
    ("yaml", "load"),
}
EXPLAINED = {
    "packet/decoding.py": "makes a function of names of fields, which are checked, and of numbers",
    "pipeline/running/processes.py": "a worker gets its work from the run that started it, with a key",
    "pipeline/running/detached.py": "likewise, through its standard input",
    "compat/mimocorb/worker.py": "likewise, through the call that started it",
    "stream/spawned.py": "likewise, through its standard input",
}


def listening():
    """Addresses on which this process and its children listen."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    found = [one for process in processes for one in process.net_connections(kind="inet")]
    return [ip_address(one.laddr.ip) for one in found if one.status == psutil.CONN_LISTEN]


@pytest.mark.promise("P8", "what a pipeline with processes and a stream open, without being asked for more, is local")
def test_nothing_listens_beyond_this_machine(saw):
    with Pipeline("local", store=None) as daq, labdaq.OutputStream() as out:
        out.configure(protocol="tcp", dtype="f4", shape=(-1, 4))
        seen = chain(daq, lambda event: True, run_in="processes")
        daq.start()
        assert seen.changed.wait(LONG_S)
        found = listening()
        daq.abort()
        daq.wait(LONG_S)
    assert found
    assert all(address.is_loopback for address in found)
    saw(f"{len(found)} sockets, all of the loopback")


class Bomb:
    """Unpickling it runs code."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (Path.touch, (self.place,))


def bombs(folder, place):
    """Files that would run code if they were taken for programs."""
    payload = pickle.dumps(Bomb(place))
    array = io.BytesIO()
    np.save(array, np.array([Bomb(place)], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(folder / "bomb.npz", "w") as archive:
        archive.writestr("data.npy", array.getvalue())
    (folder / "bomb.mimo").write_bytes(payload)
    path = f"!!python/object/apply:pathlib.Path ['{place}']"
    (folder / "bomb.yaml").write_text(f"!!python/object/apply:pathlib.Path.touch [{path}]")
    (folder / "bomb.csv").write_bytes(payload)
    (folder / "bomb.h5").write_bytes(payload)
    (folder / "bomb.parquet").write_bytes(payload)
    return sorted(folder.glob("bomb.*"))


@pytest.mark.promise("P8", "files that hold programs, under the names of all formats, are refused and not run")
def test_files_are_not_programs(tmp_path, saw):
    place = tmp_path / "it ran"
    files = bombs(tmp_path, place)
    for file in files:
        opened = Pipeline.from_yaml if file.suffix == ".yaml" else lambda file: Replay(file).open()
        with pytest.raises((LabdaqError, OSError)):
            opened(file)
        assert not place.exists(), file
    saw(f"{len(files)} files refused")


@pytest.mark.promise("P8", "no source file executes text or unpickles what it read, but for those that are explained")
def test_no_code_is_made_of_data(saw):
    files = sorted(PACKAGE.rglob("*.py"))
    found = {name for path in files for name in _dangerous(path)}
    assert found <= set(EXPLAINED), found - set(EXPLAINED)
    saw(f"{len(files)} files; {len(found)} explained")


def _dangerous(path):
    name = path.relative_to(PACKAGE).as_posix()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in RUNS_TEXT:
            yield name
        of_module = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name)
        if of_module and (called.value.id, called.attr) in LOADS_PROGRAMS:
            yield name
