"""CSV: what is written reads back, a crash leaves whole lines, faults are told."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labdaq.errors import ClosedError, DataError, LayoutError, NotFoundError, ResourceError
from labdaq.files import CsvFile, read_csv

PULSE = np.dtype([("n", "i8"), ("delay", "f8"), ("height", "f4"), ("good", "?")])


def pulses(n, first=0):
    records = np.zeros(n, PULSE)
    records["n"] = np.arange(first, first + n)
    records["delay"] = 1 / (1 + records["n"])
    records["height"] = 0.1
    records["good"] = records["n"] % 2 == 0
    return records


@given(arrays(PULSE, st.integers(0, 20)), st.integers(1, 7))
def test_round_trip_is_exact(tmp_path_factory, records, size):
    path = tmp_path_factory.mktemp("csv") / "pulses.csv"
    with CsvFile(path, units={"delay": "us"}) as file:
        file.write(records[:0])
        for begin in range(0, len(records), size):
            file.write(records[begin : begin + size])
    table = read_csv(path, PULSE)
    for name in PULSE.names:
        np.testing.assert_array_equal(table.records[name], records[name])
    assert table.units == {"delay": "us"}


@pytest.mark.parametrize("dtype", ["i1", "u8", "f2", "f4", "f8", ">f4", "?", "U5", "S5", "M8[ns]"])
def test_every_kind_of_field(tmp_path, dtype):
    values = {"U": ["", 'a,"', "\n"], "S": [b"", b"a", b"b,c"]}.get(np.dtype(dtype).kind, [0, 1, 100])
    records = np.array([(value,) for value in values], [("x", dtype)])
    with CsvFile(tmp_path / "x.csv") as file:
        file.write(records)
    np.testing.assert_array_equal(read_csv(tmp_path / "x.csv", records.dtype).records, records)


def test_text_for_people(tmp_path):
    with CsvFile(tmp_path / "pulses.csv", units={"delay": "us", "height": "V"}) as file:
        file.write(pulses(2))
    assert (tmp_path / "pulses.csv").read_text() == "n,delay [us],height [V],good\n0,1.0,0.1,1\n1,0.5,0.1,0\n"


def test_kinds_are_guessed(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,c,d\n1,18446744073709551615,nan,left\n-2,0,3,right\n")
    table = read_csv(tmp_path / "x.csv")
    assert table.records.dtype == [("a", "i8"), ("b", "u8"), ("c", "f8"), ("d", "U5")]
    assert table.records["d"].tolist() == ["left", "right"]


def test_nothing_is_made_before_the_first_batch(tmp_path):
    CsvFile(tmp_path / "x.csv").close()
    assert not (tmp_path / "x.csv").exists()


def test_existing_file_is_kept(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("precious")
    with CsvFile(path) as file, pytest.raises(ResourceError, match="overwrite=True"):
        file.write(pulses(1))
    assert path.read_text() == "precious"
    with CsvFile(path, overwrite=True) as file:
        file.write(pulses(1))
    assert len(read_csv(path)) == 1


def test_killed_writer_leaves_its_batches(tmp_path):
    code = (
        "import os, signal, sys, numpy as np; from labdaq.files import CsvFile\n"
        "file = CsvFile(sys.argv[1])\n"
        "for i in range(20): file.write(np.full(100, i, [('i', 'i8')]))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    path = tmp_path / "x.csv"
    assert subprocess.run([sys.executable, "-c", code, path]).returncode == -signal.SIGKILL
    assert read_csv(path).records["i"].tolist() == np.repeat(range(20), 100).tolist()


@pytest.mark.parametrize("cut", [1, 3, 10])
def test_line_that_was_cut_short_is_left_out(tmp_path, cut):
    path = tmp_path / "x.csv"
    with CsvFile(path) as file:
        file.write(pulses(5))
    os.truncate(path, path.stat().st_size - cut)
    np.testing.assert_array_equal(read_csv(path, PULSE).records, pulses(4))


class TestFaults:
    @pytest.mark.parametrize(
        "records",
        [np.zeros(3), np.zeros((2, 2), PULSE), [1, 2], np.zeros(2, [("x", "O")]),
         np.zeros(2, [("w", "f4", 3)]), np.zeros(2, [("c", "c8")])],
        ids=["no fields", "2-D", "list", "objects", "array in a field", "complex"],
    )  # fmt: skip
    def test_what_does_not_fit(self, tmp_path, records):
        with CsvFile(tmp_path / "x.csv") as file, pytest.raises(LayoutError):
            file.write(records)
        assert not (tmp_path / "x.csv").exists()

    def test_other_fields_than_before(self, tmp_path):
        with CsvFile(tmp_path / "x.csv") as file:
            file.write(pulses(1))
            with pytest.raises(LayoutError, match="holds records"):
                file.write(np.zeros(1, [("n", "i8")]))
        assert len(read_csv(tmp_path / "x.csv")) == 1

    def test_units_of_unknown_fields(self, tmp_path):
        with (
            CsvFile(tmp_path / "x.csv", units={"dealy": "us"}) as file,
            pytest.raises(LayoutError, match="dealy"),
        ):
            file.write(pulses(1))

    def test_write_after_close(self, tmp_path):
        file = CsvFile(tmp_path / "x.csv")
        file.close()
        file.close()
        with pytest.raises(ClosedError):
            file.write(pulses(1))

    def test_folder_that_is_not_there(self, tmp_path):
        with CsvFile(tmp_path / "no" / "x.csv") as file, pytest.raises(ResourceError, match="No such file"):
            file.write(pulses(1))

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_full_disk(self):
        with CsvFile("/dev/full") as file, pytest.raises(ResourceError, match="No space left") as told:
            file.write(pulses(1))
        assert told.value.errno == 28

    @pytest.mark.skipif(sys.platform == "win32", reason="needs file size limits")
    def test_disk_that_becomes_full_keeps_whole_batches(self, tmp_path):
        code = (
            "import resource, signal, sys, numpy as np\n"
            "from labdaq.errors import ResourceError; from labdaq.files import CsvFile\n"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
            "file = CsvFile(sys.argv[1])\n"
            "try:\n"
            "    for i in range(100): file.write(np.full(50, i, [('i', 'i8')]))\n"
            "except ResourceError: print('told', i)"
        )
        done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.csv"], capture_output=True, text=True)
        assert done.stdout.startswith("told"), done.stderr
        batches = int(done.stdout.split()[1])
        assert read_csv(tmp_path / "x.csv").records["i"].tolist() == np.repeat(range(batches), 50).tolist()

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            (b"", DataError),
            (b"a,,c\n1,2,3\n", DataError),
            (b"a,b\n1,2\n3\n", DataError),
            (b"\xff\xfe\n", DataError),
        ],
        ids=["empty", "nameless", "short line", "binary"],
    )
    def test_damaged_file(self, tmp_path, text, error):
        (tmp_path / "x.csv").write_bytes(text)
        with pytest.raises(error, match=r"x\.csv"):
            read_csv(tmp_path / "x.csv")

    def test_values_of_another_kind(self, tmp_path):
        (tmp_path / "x.csv").write_text("n\none\n")
        with pytest.raises(DataError, match="'n'"):
            read_csv(tmp_path / "x.csv", [("n", "i8")])
        with pytest.raises(LayoutError, match="fields n"):
            read_csv(tmp_path / "x.csv", [("m", "i8")])

    def test_missing_file(self, tmp_path):
        with pytest.raises(ResourceError, match="No such file"):
            read_csv(tmp_path / "x.csv")


TITLES = {"delay": "Decay time (us)", "height": "1st chA; height"}


class TestTitles:
    @pytest.mark.parametrize("separator", [",", "\t", ";"])
    def test_round_trip(self, tmp_path, separator):
        path = tmp_path / "x.txt"
        with CsvFile(path, titles=TITLES, units={"n": "1", "delay": "us"}, separator=separator) as file:
            file.write(pulses(3))
        headings = path.read_text().splitlines()[0].replace('"', "")
        assert headings == separator.join(["n [1]", "Decay time (us)", "1st chA; height", "good"])
        for given_ in (separator, None):
            table = read_csv(path, PULSE, titles=TITLES, separator=given_)
            np.testing.assert_array_equal(table.records, pulses(3))
            assert table.units == {"n": "1"}

    def test_tables_of_mimocorb(self, tmp_path):
        pandas = pytest.importorskip("pandas")
        titles = {"counter": "event id", "timestamp": "time of event (UTC)", "decay_time": "decay time (ns)"}
        frame = pandas.DataFrame(
            {"event id": [3, 4], "time of event (UTC)": [1.5e9, 1.6e9], "decay time (ns)": [2.5, 1e-7]}
        )
        frame.to_csv(tmp_path / "x.txt", sep="\t", index=False)
        records = read_csv(tmp_path / "x.txt", titles=titles).records
        assert records.dtype.names == ("counter", "timestamp", "decay_time")
        assert records.tolist() == [(3, 1.5e9, 2.5), (4, 1.6e9, 1e-7)]
        with CsvFile(tmp_path / "y.txt", titles=titles, separator="\t") as file:
            file.write(records)
        pandas.testing.assert_frame_equal(pandas.read_csv(tmp_path / "y.txt", sep="\t"), frame)

    def test_titles_that_do_not_fit(self, tmp_path):
        for titles, told in (({"dealy": "x"}, "dealy"), ({"delay": "n"}, "same heading"), ({"n": "#n"}, "comment")):
            with CsvFile(tmp_path / "x.csv", titles=titles) as file, pytest.raises(LayoutError, match=told):
                file.write(pulses(1))
        for separator in (" ", "|"):
            with pytest.raises(LayoutError, match="separate"):
                CsvFile(tmp_path / "x.csv", separator=separator)
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "x.csv").write_text("a,b\n1,2\n")
        with pytest.raises(NotFoundError, match="'Delay'; there are a, b"):
            read_csv(tmp_path / "x.csv", titles={"delay": "Delay"})
        with pytest.raises(DataError, match="several columns b"):
            read_csv(tmp_path / "x.csv", titles={"b": "a"})


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2.5\n", "a\tb\n1\t2.5\n", "a;b\r\n1;2.5\r\n", "a  b\n 1\t2.5\n\n", "#a,b\n1,2.5\n", "# a b\n1 2.5\n",
     "# made by hand; with care\n# a, b\n1, 2.5\n", "# a comment\na;b\n1;2.5\n", "\ufeffa;b\n1;2.5\n",
     '"a";"b"\n"1";"2.5"\n'],
)  # fmt: skip
def test_tables_of_other_programs(tmp_path, text):
    (tmp_path / "x.txt").write_bytes(text.encode())
    records = read_csv(tmp_path / "x.txt").records
    assert records.dtype == [("a", "i8"), ("b", "f8")]
    assert records.tolist() == [(1, 2.5)]


@pytest.mark.parametrize("text", ["a,b\n", "a;b\n", "#a b\n"])
def test_tables_without_records(tmp_path, text):
    (tmp_path / "x.txt").write_text(text)
    table = read_csv(tmp_path / "x.txt", separator=" " if " " in text else None)
    assert (table.records.dtype.names, len(table)) == (("a", "b"), 0)


def test_numpy_wrote_it(tmp_path):
    np.savetxt(tmp_path / "x.txt", [[1, 2], [3, 4]], header="first line\na b")
    assert read_csv(tmp_path / "x.txt").records.tolist() == [(1, 2), (3, 4)]


TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=6)


@given(st.lists(st.tuples(TEXTS, st.integers(-9, 9)), max_size=5), st.sampled_from([",", "\t", ";"]))
def test_any_text_comes_back(tmp_path_factory, rows, separator):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    records = np.array(rows, [("text", "U6"), ("n", "i2")])
    with CsvFile(path, separator=separator) as file:
        file.write(records)
    np.testing.assert_array_equal(read_csv(path, records.dtype).records, records)


@given(st.binary(max_size=200))
def test_garbage_is_told(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_bytes(content)
    try:
        read_csv(path)
    except (DataError, LayoutError):
        return
