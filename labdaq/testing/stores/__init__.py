"""The contract of stores, as tests: a new engine subclasses them and must pass.

::

    class TestMyStores(StoreTests):
        is_shared_by_processes = True

        @pytest.fixture
        def new_store(self, tmp_path):
            with DataStore(tmp_path / "store") as store:
                yield store
"""

from labdaq.testing.stores.cursors import CursorTests, GroupTests
from labdaq.testing.stores.deletion import DeletionTests
from labdaq.testing.stores.indices import IndexTests, TrimTests
from labdaq.testing.stores.processes import ProcessTests
from labdaq.testing.stores.scans import ScanTests
from labdaq.testing.stores.search import SearchTests
from labdaq.testing.stores.streams import WriterTests

__all__ = ["StoreTests"]


class StoreTests(
    ScanTests, DeletionTests, SearchTests, WriterTests, IndexTests, TrimTests, CursorTests, GroupTests, ProcessTests
):
    """What every store promises, whatever its engine."""
