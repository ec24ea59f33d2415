"""Run as a program: kills a process at its n-th operation on a file, for every n, and looks at what it left."""

import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import labdaq.store.embedded.segments as segments
from labdaq.store import DataStore
from labdaq.testing.store_faults import KINDS, Ledger, Victim, failing

MOST = 400
BATCHES = (1, 3, 9)
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # forcing things to a disk takes time


def everything(store: DataStore, tell) -> None:
    """A short life: every kind of stream is made, written, trimmed and sealed; a scan is deleted."""
    victim = Victim(store, tell)
    scan = victim.create()
    for count in BATCHES:
        for key in list(victim.streams):
            victim.send(key, count)
            victim.streams[key][0].join()
    for key in list(victim.streams):
        victim.trim(key, 4)
        victim.seal(key)
    for advance in (scan.stop, scan.close):
        advance()
        tell("scan", scan.key, int(scan.state))
    doomed = victim.create()
    for key in list(victim.streams):
        victim.send(key, 2)
    victim.delete(doomed.key)


def dies_at(n: int, folder: Path, sync_s: float | None) -> bool:
    """Whether a child was killed at its n-th operation; in any case, all that it was promised is there."""
    here, there = os.pipe()
    pid = os.fork()
    if pid == 0:
        with failing(n):
            everything(
                DataStore(folder, sync_s=sync_s), lambda *words: os.write(there, f"{json.dumps(words)}\n".encode())
            )
        os._exit(0)
    os.close(there)
    with os.fdopen(here) as told:
        lines = told.read().splitlines()
    _pid, status = os.waitpid(pid, 0)
    died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert died or status == 0, f"the victim raised at operation {n}"
    ledger = Ledger()
    for line in lines:
        ledger.note(*json.loads(line))
    with DataStore(folder, sync_s=None) as store:
        assert not (wrong := ledger.check(store)), wrong
        goes_on(store, ledger)
        assert not (wrong := ledger.check(store)), wrong
    return died


def goes_on(store: DataStore, ledger: Ledger) -> None:
    """The next writer takes over each stream that was not sealed, and makes streams of its own."""
    victim = Victim(store, ledger.note)
    for key, stream in list(ledger.streams.items()):
        if not stream.is_sealed:
            victim.go_on(key, stream.kind)
            victim.send(key, 5)
            victim.seal(key)
    victim.create()
    for key in victim.streams:
        victim.send(key, 2)


def main() -> None:
    segments.SEGMENT_NBYTES = 4096
    for sync_s in (None, 0):
        for n in range(1, MOST):
            folder = Path(tempfile.mkdtemp(dir=IN_MEMORY))
            try:
                died = dies_at(n, folder / "store", sync_s)
            finally:
                shutil.rmtree(folder)
            if not died:
                break
        assert n > 10 * len(KINDS), f"only {n} operations: are files written elsewhere?"
        assert n < MOST - 1
        print(f"sync_s={sync_s} {n - 1}")


if __name__ == "__main__":
    sys.exit(main())
