"""The tests of this folder need a GPU; `run.sh` runs them all on a machine that has one."""

import pytest

from labdaq.errors import LabdaqError
from labdaq.native.cuda import cuda_device


def gpu_or_skip():
    """The GPU; without one a whole module is left out, and says why."""
    try:
        return cuda_device()
    except LabdaqError as error:
        pytest.skip(str(error), allow_module_level=True)
