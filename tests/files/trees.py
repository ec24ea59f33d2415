"""What must hold for every file of growing datasets; each format's test module runs it on its own classes."""

import contextlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labdaq.errors import ClosedError, DataError, LayoutError, MissingExtraError, NotFoundError, ResourceError

ENERGY = "entry/measurement/energy"
# The same tests run on several classes.
shared = settings(suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow], max_examples=30)
NUMBERS = st.sampled_from(["i1", "u2", "i8", "u8", "f2", "f4", ">f4", "f8", "c8", "?"])


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


class TreeContract:
    """Subclasses set ``File``, ``Reader``, ``suffix`` and ``package``."""

    File = Reader = None
    suffix = package = ""

    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / f"scans{self.suffix}"

    def read(self, path, name=ENERGY, *span, **options):
        with self.Reader(path) as file:
            return file.read(name, *span, **options)

    @shared
    @given(st.data(), NUMBERS, st.integers(1, 5), st.integers(0, 3))
    def test_round_trip_is_exact(self, tmp_path_factory, data, dtype, size, compression):
        path = tmp_path_factory.mktemp("tree") / f"x{self.suffix}"
        points = data.draw(arrays(dtype, array_shapes(max_dims=3, max_side=6)))
        with self.File(path, compression=compression) as file:
            file.dataset("energy", points[:0])
            for begin in range(0, len(points), size):
                file.append("energy", points[begin : begin + size])
        found = self.read(path)
        assert found.dtype.newbyteorder("=") == points.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, points)

    @shared
    @given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=5), max_size=9))
    def test_texts(self, tmp_path_factory, texts):
        path = tmp_path_factory.mktemp("tree") / f"x{self.suffix}"
        with self.File(path) as file:
            file.dataset("energy", np.array([], str))
            file.append("energy", texts)
        assert self.read(path) == texts
        assert self.read(path, ENERGY, 1, 3) == texts[1:3]

    @shared
    @given(st.lists(arrays("f4", st.tuples(st.integers(0, 4), st.just(2))), min_size=1, max_size=9))
    def test_ragged_points(self, tmp_path_factory, points):
        path = tmp_path_factory.mktemp("tree") / f"x{self.suffix}"
        with self.File(path) as file:
            file.dataset("energy", points[:1], ragged=True, units="V")
            file.append("energy", points[1:])
        for span in ((), (1, 3), (-2, None), (5, 2)):
            found = self.read(path, ENERGY, *span)
            expected = points[slice(*span)] if span else points
            assert len(found) == len(expected)
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_array_equal(one, other)
        with self.Reader(path) as file:
            ((name, info),) = [(name, info) for name, info in file.names().items() if "measurement" in name]
        assert (name, info.is_ragged, info.shape, info.units) == (ENERGY, True, (len(points),), "V")

    def test_chunks_are_filled_in_order(self, path):
        numbers = np.arange(5000)
        with self.File(path) as file:
            file.dataset("energy", numbers[:1])
            for begin in range(1, 5000, 7):
                file.append("energy", numbers[begin : begin + 7])
        np.testing.assert_array_equal(self.read(path), numbers)
        assert self.read(path, ENERGY, 1020, 1030).tolist() == list(range(1020, 1030))
        with self.Reader(path) as file:
            pieces = list(file.iterate(ENERGY, 1500))
        assert [len(piece) for piece in pieces] == [1500, 1500, 1500, 500]
        np.testing.assert_array_equal(np.concatenate(pieces), numbers)

    def test_listing(self, path):
        with self.File(path) as file:
            for scan in ("scan_1", "scan_2"):
                file.entry(scan, title="a scan", attributes={"sample": "Cu", "range": {"low": 1}})
                file.dataset("energy", [1.0, 2.0], units="keV", attributes={"channels": ["A", "B"]})
                file.dataset("counts", np.zeros((2, 3), "u4"))
        with self.Reader(path) as file:
            found = {name: info for name, info in file.names().items() if "measurement" in name}
            about = file.attributes("scan_2")
            assert file.attributes()["default"] == "scan_1"
        energy, counts = found["scan_1/measurement/energy"], found["scan_2/measurement/counts"]
        assert (energy.shape, energy.dtype, energy.units) == ((2,), "f8", "keV")
        assert energy.attributes["channels"] == ["A", "B"]
        assert (counts.shape, counts.dtype, counts.units, len(found)) == ((2, 3), "u4", None, 4)
        assert (about["sample"], about["range"], about["NX_class"]) == ("Cu", '{"low": 1}', "NXentry")

    def test_lists_take_the_dtype_of_the_dataset(self, path):
        with self.File(path) as file:
            file.dataset("energy", np.array([1], "u2"))
            file.append("energy", [65535])
            with pytest.raises(LayoutError):
                file.append("energy", [65536])
        assert self.read(path).tolist() == [1, 65535]

    def test_name_stands_for_a_complete_file_only(self, tmp_path, path):
        file = self.File(path)
        file.dataset("energy", [1.0])
        assert names_in(tmp_path) == [f"{path.name}.part"]
        file.close()
        file.close()
        assert names_in(tmp_path) == [path.name]

    def test_points_before_an_exception_are_kept(self, path):
        with contextlib.suppress(KeyError), self.File(path) as file:
            file.dataset("energy", [1.0])
            raise KeyError
        assert self.read(path).tolist() == [1.0]

    def test_who_wants_all_or_nothing_discards(self, tmp_path, path):
        with self.File(path) as file:
            file.dataset("energy", [1.0])
        with contextlib.suppress(KeyError), self.File(path, overwrite=True) as file:
            file.entry("scan")
            file.dataset("energy", [2.0] * 5000)
            file.dataset("spikes", [[1.0], [1.0, 2.0]], ragged=True)
            file.discard()
            raise KeyError
        assert (names_in(tmp_path), self.read(path).tolist()) == ([path.name], [1.0])
        with pytest.raises(ClosedError):
            file.append("energy", [1.0])

    def test_what_is_complete_is_not_discarded(self, tmp_path, path):
        with self.File(path) as file:
            file.dataset("energy", [1.0])
        with self.File(path, overwrite=True) as other:
            file.discard()
            other.dataset("energy", [2.0])
        assert self.read(path).tolist() == [2.0]
        other.discard()
        other.discard()
        assert (names_in(tmp_path), self.read(path).tolist()) == ([path.name], [2.0])

    @pytest.mark.parametrize("name", ["x" * 5000, "a\0b"], ids=["long", "zero"])
    def test_names_that_no_file_has(self, tmp_path, name):
        for make in (self.File, self.Reader):
            with pytest.raises((ResourceError, DataError)):
                make(tmp_path / f"{name}{self.suffix}")

    def test_killed_writer_leaves_no_file_of_that_name(self, tmp_path, path):
        code = (
            f"import os, signal, sys; from labdaq.files import {self.File.__name__} as File\n"
            "file = File(sys.argv[1]); file.dataset('energy', [1.0] * 5000)\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        assert subprocess.run([sys.executable, "-c", code, path]).returncode == -signal.SIGKILL
        assert names_in(tmp_path) == [f"{path.name}.part"]
        with self.File(path) as file:
            file.dataset("energy", [2.0])
        assert (names_in(tmp_path), self.read(path).tolist()) == ([path.name], [2.0])

    def test_existing_file_is_kept(self, tmp_path, path):
        for value in (1.0, 2.0):
            with self.File(path, overwrite=value > 1) as file:
                file.dataset("energy", [value])
            with pytest.raises(ResourceError, match="overwrite=True"):
                self.File(path)
        assert self.read(path).tolist() == [2.0]
        assert names_in(tmp_path) == [path.name]

    def test_name_taken_meanwhile_is_kept(self, tmp_path, path):
        file = self.File(path)
        file.dataset("energy", [1.0])
        path.write_text("precious")
        with pytest.raises(ResourceError, match="exists"):
            file.close()
        assert path.read_text() == "precious"
        assert names_in(tmp_path) == [path.name, f"{path.name}.part"]

    @pytest.mark.parametrize(
        "data",
        [1.0, [[1], [1, 2]], ["a", None], ["\0"], [["a"]], np.zeros(2, "M8[ns]"), np.zeros(2, [("a", "f4")]), [b"a"]],
        ids=["scalar", "ragged", "objects", "zero byte", "2-D text", "times", "records", "bytes"],
    )
    def test_what_does_not_fit(self, path, data):
        with self.File(path) as file:
            with pytest.raises(LayoutError):
                file.dataset("energy", data)
            file.dataset("energy", [1.0])
            with pytest.raises(LayoutError):
                file.append("energy", data)
        assert self.read(path).tolist() == [1.0]

    @pytest.mark.parametrize("more", [np.zeros(1, "f8"), np.zeros((1, 2), "f4"), ["a"], [1j]])
    def test_points_of_another_kind(self, path, more):
        with self.File(path) as file:
            file.dataset("energy", np.zeros(1, "f4"))
            with pytest.raises(LayoutError, match="do not fit"):
                file.append("energy", more)

    @pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".zarray", "__x", "a\0", "\udcff"])
    def test_names_are_no_paths(self, path, name):
        with self.File(path) as file:
            for make in (file.entry, lambda name: file.dataset(name, [1.0])):
                with pytest.raises(LayoutError):
                    make(name)

    def test_names_that_are_taken_or_missing(self, path):
        with self.File(path) as file:
            file.entry("scan")
            file.dataset("energy", [1.0])
            file.dataset("text", ["a"])
            file.plot("energy")
            for make in (lambda: file.entry("scan"), lambda: file.dataset("energy", [1]), lambda: file.plot("text"),
                         lambda: file.dataset("none", [], ragged=True)):  # fmt: skip
                with pytest.raises(LayoutError):
                    make()
        with self.File(path, overwrite=True) as file:
            file.dataset("energy", [1.0])
            with pytest.raises(NotFoundError, match="energy"):
                file.append("counts", [1.0])
            with pytest.raises(NotFoundError, match="energy"):
                file.plot("energy", axes=["counts"])
            with pytest.raises(LayoutError, match="attribute"):
                file.dataset("x", [1.0], attributes={"x": object()})
        with self.Reader(path) as file:
            for name in ("entry/measurement/counts", "entry", "", "../x", f"{ENERGY}/x"):
                with pytest.raises(NotFoundError, match="energy"):
                    file.read(name)

    def test_use_after_close(self, path):
        file = self.File(path)
        file.dataset("energy", [1.0])
        file.close()
        for use in (lambda: file.append("energy", [1.0]), lambda: file.entry("x"), lambda: file.dataset("x", [1])):
            with pytest.raises(ClosedError):
                use()
        reader = self.Reader(path)
        reader.close()
        reader.close()
        for use in (lambda: reader.read(ENERGY), reader.names, reader.attributes):
            with pytest.raises(ClosedError):
                use()

    def test_more_than_the_limit(self, path):
        with self.File(path, compression=9) as file:
            file.dataset("energy", np.zeros(100_000))
        with pytest.raises(DataError, match="at most 5000"):
            self.read(path, limit=5000)
        with pytest.raises(DataError, match="chunk"):
            self.read(path, ENERGY, 0, 10, limit=5000)

    def test_wrong_compression_and_folder(self, tmp_path, path):
        with pytest.raises(LayoutError, match="from 0"):
            self.File(path, compression=10)
        with pytest.raises(ResourceError, match="No such file"):
            self.Reader(tmp_path / "none")
        assert names_in(tmp_path) == []

    @pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
    @pytest.mark.parametrize("points", [200_000, 3000], ids=["while writing", "at the end"])
    def test_full_disk(self, tmp_path, path, points):
        # In a process of its own, which must also end in order.
        code = (
            "import resource, signal, sys, numpy as np\n"
            f"from labdaq.errors import ResourceError; from labdaq.files import {self.File.__name__} as File\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "file = File(sys.argv[1]); file.dataset('energy', [0.0])\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
            "try:\n"
            "    with file:\n"
            f"        for i in range({points} // 1000): file.append('energy', np.random.default_rng(i).random(1000))\n"
            "except ResourceError as error: print('told', error.errno)\n"
            "file.close()"
        )
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, "told 27\n"), done.stderr
        assert names_in(tmp_path) == []

    def test_without_the_package_the_extra_is_named(self, path, monkeypatch):
        monkeypatch.setitem(sys.modules, self.package, None)
        for make in (self.File, self.Reader):
            with pytest.raises(MissingExtraError, match=r"labdaq\[store\]"):
                make(path)
