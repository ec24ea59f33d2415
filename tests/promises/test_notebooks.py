"""Every notebook runs from top to bottom, and then once more, in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_twice_in_a_row(path, tmp_path):
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    # The settings of the project do not go along, so that nothing but the notebook is run.
    command += ["-c", os.devnull, "--rootdir", str(tmp_path), "--nbval-lax", "--nbval-current-env", copy.name]
    for time in ("first", "second"):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"the {time} time:\n{done.stdout[-4000:]}"
