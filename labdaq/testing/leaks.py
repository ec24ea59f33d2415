"""What a process holds, and what a test left behind.

An inventory names every thread, child process, file descriptor and piece of shared memory that belongs to
this process. The fixture `no_leaks` takes one before each test and compares afterwards. To use it for the
tests of a plug-in, import it in their ``conftest.py``::

    from labdaq.testing import no_leaks

Descriptors and mapped memory can be named on Linux only; elsewhere they are not checked.
"""

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from labdaq.native import mapping

__all__ = ["inventory", "leaks_since", "no_leaks"]

Inventory = dict[Hashable, str]

# They serve the whole interpreter from their first use on, and end with it.
_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
_HELPER_PIPES = {
    "multiprocessing.resource_tracker": ("_resource_tracker", ("_fd",)),
    "multiprocessing.forkserver": ("_forkserver", ("_forkserver_alive_fd",)),
}
_HELPER_THREADS = ("tqdm",)


def _threads() -> Inventory:
    threads = [t for t in threading.enumerate() if not type(t).__module__.startswith(_HELPER_THREADS)]
    return {("thread", t.ident, t.name): f"thread {t.name!r}{' (daemon)' * t.daemon}" for t in threads}


def _children() -> Inventory:
    found: Inventory = {}
    for child in psutil.Process().children(recursive=True):
        command = _command(child)
        if command and not any(helper in command for helper in _HELPERS):
            found["child", child.pid, child.create_time()] = f"child process {child.pid}: {command[:120]}"
    return found


def _command(process: psutil.Process) -> str:
    """What a process runs; nothing for one that has just gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return "a zombie, ended but not waited for"
    except psutil.NoSuchProcess:
        return ""


def _helper_descriptors() -> set[int | None]:
    found: set[int | None] = set()
    for module, (name, attributes) in _HELPER_PIPES.items():
        helper = getattr(sys.modules.get(module), name, None)
        found.update(getattr(helper, attribute, None) for attribute in attributes)
    return found


def _is_held_by_a_user(target: str) -> bool:
    """Whether an open file is somebody's work; not a terminal, the interpreter or an installed package."""
    if target.startswith(str(mapping.folder() / "labdaq-")):
        return True
    installed = (sys.prefix, sys.base_prefix)
    return not target.startswith(("/proc/", "/dev/", *(f"{place}{os.sep}" for place in installed)))


def _descriptors() -> Inventory:
    found: Inventory = {}
    helpers = _helper_descriptors()
    for entry in _listed("/proc/self/fd"):
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if _is_held_by_a_user(target) and int(entry.name) not in helpers:
            found["descriptor", entry.name, target] = f"file descriptor {entry.name}: {target}"
    return found


def _is_ring_memory(path: str) -> bool:
    return path.startswith(("/memfd:labdaq", str(mapping.folder() / "labdaq-")))


def _mappings() -> Inventory:
    found: Inventory = {}
    for inode, path in _mapped_files("self"):
        if _is_ring_memory(path):
            found["mapping", inode, path] = f"mapped memory: {path} (inode {inode})"
    return found


def _mapped_files(pid: int | str) -> Iterator[tuple[str, str]]:
    """Inode and path of what a process has mapped of ours; nothing where it may not be seen."""
    try:
        text = Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return
    for line in text.splitlines():
        fields = line.split(maxsplit=5) if "labdaq" in line else []  # one of thousands, before and after each test
        if len(fields) == 6:
            yield fields[4], fields[5]


def _named_memory() -> Inventory:
    names = [path.name for path in mapping.folder().glob("labdaq-*") if not path.is_dir()]  # folders are of other tests
    return {("memory", name): f"shared memory {mapping.folder() / name}" for name in names}


def _listed(folder: str) -> Iterable[Path]:
    try:
        return list(Path(folder).iterdir())
    except OSError:
        return []


_KINDS: tuple[Callable[[], Inventory], ...] = (_threads, _children, _descriptors, _mappings, _named_memory)


def inventory() -> Inventory:
    """Everything that this process holds now.

    Returns
    -------
    dict
        A readable description of each thing, by a key which names it uniquely.

    Examples
    --------
    >>> any(text.startswith("thread 'MainThread'") for text in inventory().values())
    True
    """
    return {key: text for kind in _KINDS for key, text in kind().items()}


def leaks_since(before: Inventory, patience: float = 2.0) -> list[str]:
    """What has been added to an inventory and does not go away.

    Parameters
    ----------
    before
        An earlier :func:`inventory`.
    patience
        How long to wait for things to go that are about to end (seconds).

    Returns
    -------
    list of str
        One line for each thing that is left; empty when all is clean.

    Examples
    --------
    >>> before = inventory()
    >>> descriptor, other = os.pipe()
    >>> leaks_since(before, patience=0)  # doctest: +ELLIPSIS
    ['file descriptor ...: pipe:[...]', 'file descriptor ...: pipe:[...]']
    >>> os.close(descriptor); os.close(other)
    >>> leaks_since(before)
    []
    """
    deadline = time.monotonic() + patience
    while left := _added(before):
        if time.monotonic() >= deadline:
            return [text for key, text in left.items() if not _belongs_to_others(key)]
        gc.collect()  # only now: after every test it would cost more than the tests
        time.sleep(0.02)
    return []


def _added(before: Inventory) -> Inventory:
    return {key: text for key, text in inventory().items() if key not in before}


def _belongs_to_others(key: Hashable) -> bool:
    """Whether named memory is mapped by a process that is not ours: another labdaq on this machine."""
    kind, name, *_ = key if isinstance(key, tuple) else (key, "")
    if kind != "memory":
        return False
    ours = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    path = str(mapping.folder() / str(name))
    others = [pid for pid in psutil.pids() if pid not in ours]
    return any(mapped.startswith(path) for pid in others for _, mapped in _mapped_files(pid))


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail a test which leaves threads, child processes, descriptors or shared memory behind."""
    before = inventory()
    yield
    # The traceback of a failed test keeps its local variables alive; pytest notes it here.
    if hasattr(sys, "last_value"):
        return
    if left := leaks_since(before):
        pytest.fail("the test left behind\n  " + "\n  ".join(left), pytrace=False)
