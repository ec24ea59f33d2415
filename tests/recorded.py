"""Where recorded data lies, for the tests that use some."""

import os
from pathlib import Path

import pytest


def recorded(name):
    """Path of a file or folder of recorded data; skips the test on machines that have none."""
    folder = os.environ.get("LABDAQ_REAL_DATA")
    if not folder:
        pytest.skip("needs recorded data: set LABDAQ_REAL_DATA to their folder")
    return Path(folder) / name
