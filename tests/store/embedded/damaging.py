"""Stores that are copied, to be damaged, and what is left in them."""

import shutil
import subprocess
import sys

import numpy as np

from labdaq.errors import LabdaqError
from labdaq.store import NumericStreamEncoder

__all__ = ["copied", "expected_of", "make", "read_all", "refusal_of", "run"]


def run(*command, timeout=60):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *map(str, command)], capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refusal_of(call):
    """What a call raised, if that is an error of ours."""
    try:
        call()
    except LabdaqError as error:
        return error
    return None


def make(store, encoder=None, name="s"):
    scan = store.create_scan({"name": "muon", "number": 1, "data_policy": "none"})
    return scan.create_stream(name, encoder or NumericStreamEncoder("f8"))


def copied(example, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(example[0], folder)
    return folder


def expected_of(length, per_batch, is_json):
    batches = length // per_batch
    if is_json:
        return [point for number in range(batches) for point in (number, {"number": number})]
    return np.repeat(np.arange(float(batches)), per_batch).tolist()


def read_all(store, key):
    """Everything, as lists; a typed error in place of what cannot be read."""
    try:
        stream = store.open_stream(key)
        extent = stream.extent()
        points = stream[extent.first : extent.length]
        return extent, points if isinstance(points, list) else points.tolist()
    except LabdaqError as error:
        return None, error
