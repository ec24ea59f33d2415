"""What tests of mimoCoRB2's workers share."""

import pytest

from tests.compat.bench import Bench


@pytest.fixture
def bench(tmp_path):
    """Buffers and workers, given back at the end."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()
