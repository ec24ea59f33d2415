"""Pipelines from suites: what is made, and what runs."""

import sys
from pathlib import Path

import pytest
import yaml

from labdaq.errors import LayoutError, NotFoundError
from labdaq.pipeline import RunState
from labdaq.pipeline.suite import build, load_suite
from tests.pipeline.suite.files import SUITE, package, write

LEVEL = SUITE.replace("store: null", "store: runs")


def built(path, **settings):
    return build(load_suite(path), **settings)


def run(path, **settings):
    with built(path, **settings) as pipeline:
        return pipeline.run()


def rows(result, name="heights.csv"):
    lines = (result.folder / name).read_text().splitlines()[1:]
    return [[float(cell) for cell in line.split(",")[3:]] for line in lines]


def test_a_suite_runs_as_it_says(tmp_path):
    result = run(write(tmp_path, LEVEL))
    assert result.state == RunState.ENDED
    assert rows(result) == [[height, 3] for height in range(4, 10)]
    assert result.folder.parent == tmp_path / "runs"
    assert "height [mV]" in (result.folder / "heights.csv").read_text()


def test_a_run_keeps_its_suite(tmp_path):
    write(tmp_path, LEVEL, name="base.yaml")
    (tmp_path / "suite.yaml").write_text("base: base.yaml\nlimits: {events: 2}\n")
    result = run(tmp_path / "suite.yaml")
    kept = yaml.safe_load((result.folder / "suite.yaml").read_text())
    assert kept["limits"] == {"seconds": 20, "events": 2}
    assert kept["workers"]["find"]["settings"] == {"n": 3}


def test_its_runs_end_by_its_limits_or_others(tmp_path):
    path = write(tmp_path, SUITE.replace("seconds: 20", "events: 7"))
    with built(path) as pipeline:
        assert pipeline.run().events == 7
        assert pipeline.run(events=3).events == 3


def test_the_store_may_be_another(tmp_path):
    assert run(write(tmp_path), store=tmp_path / "kept").folder.parent == tmp_path / "kept"


def test_a_ring_is_made_to_fit_its_source(tmp_path):
    text = SUITE.replace("counting.pulses", "counting.Pulses").replace("dtype: float64, shape: [8], ", "")
    with built(write(tmp_path, text)) as pipeline:
        ring = pipeline.rings["raw"]
        assert (ring.dtype, ring.shape, ring.header) == ("f4", (8,), {"unit": "mV"})
        assert pipeline.run().events == 10


def test_a_ring_without_dtype_needs_a_source_that_has_one(tmp_path):
    with pytest.raises(LayoutError, match=r"suite\.yaml:5: rings\.raw: dtype is missing"):
        built(write(tmp_path, SUITE.replace("dtype: float64, shape: [8], ", "")))


def test_brackets_call_a_function_for_what_it_makes(tmp_path):
    text = LEVEL.replace("counting.find", "counting.make_find()").replace("parameters: {find.level: 4}", "")
    assert len(rows(run(write(tmp_path, text)))) == 10


def test_a_compiled_filter_has_its_settings_from_who_makes_it(tmp_path):
    text = SUITE.replace("    reads: raw", "    reads: raw\n    run_in: compiled")
    with pytest.raises(LayoutError, match=r"suite\.yaml:14: workers\.find\.settings: .* as counting\.find\(\)"):
        built(write(tmp_path, text))


def test_tasks_and_drains(tmp_path):
    text = SUITE.replace("    filter: counting.find", "    task: counting.copy")
    text = text.replace("table: {sink: heights.csv, reads: high}", "rest: {drain: high}")
    result = run(write(tmp_path, text.replace("parameters: {find.level: 4}", "")))
    assert result.ledger["rest"].accepted == 10


def test_settings_of_files(tmp_path):
    text = LEVEL.replace("{sink: heights.csv,", '{sink: heights.csv, settings: {separator: ";"},')
    assert ";" in (run(write(tmp_path, text)).folder / "heights.csv").read_text()


@pytest.mark.parametrize(
    "sink",
    ["h.csv", "h.txt", "h.parquet", "h.h5", "h.hdf5", "h.nxs", "h.zarr", "store"],
)
def test_sinks_that_labdaq_brings(tmp_path, sink):
    with built(write(tmp_path, SUITE.replace("heights.csv", sink))) as pipeline:
        assert "table" in pipeline.nodes


def test_functions_in_processes_go_as_they_are(tmp_path):
    text = LEVEL.replace("    reads: raw", "    reads: raw\n    run_in: processes")
    result = run(write(tmp_path, text.replace("seconds: 20", "drain_timeout_s: 60")))
    assert result.errors == ()
    assert rows(result) == [[height, 3] for height in range(4, 10)]


@pytest.mark.parametrize(
    ("old", "new", "kind", "told"),
    [
        ("events: 10", "evnts: 10", LayoutError, r"10: workers\.pulses\.settings\.evnts: .* did you mean 'events'"),
        ("n: 3", "m: 3", LayoutError, r"15: workers\.find\.settings\.m: counting\.find does not take this"),
        ("counting.find", "counting.fnd", NotFoundError, r"13: workers\.find\.filter: .*did you mean 'find'"),
        ("counting.find", "cuonting.find", NotFoundError, r"13: workers\.find\.filter: .*did you mean 'counting'"),
        ("counting.find", "counting.level", LayoutError, r"14: workers\.find\.settings: .* takes no settings"),
        ("counting.find", "find", NotFoundError, r"13: workers\.find\.filter: 'find' is no worker of an installed"),
        ("counting.find", "__import__('os')", LayoutError, r"13: workers\.find\.filter: expected module\.attribute"),
        ("counting.find", "counting.RECORD()", LayoutError, r"14: workers\.find\.settings: .* takes no settings"),
        ("counting.pulses", "broken.x", LayoutError, r"9: .* broken raised Zero.*line 2"),
        ("counting.pulses", "wrong.x", LayoutError, r"9: workers\.pulses\.source: importing wrong raised SyntaxError"),
        ("counting.pulses", "needy.x", LayoutError, r"9: .*importing needy needs 'absent_package'"),
        ("counting.pulses", "leaving.x", LayoutError, r"9: .*importing leaving raised SystemExit"),
        ("counting.pulses", "broken_later.Source", LayoutError, r"10: workers\.pulses\.settings: .*OSError: off"),
        ("modules: modules", "modules: moduls", NotFoundError, r"3: modules: .*did you mean 'modules'"),
        ("heights.csv", "heights.cvs", NotFoundError, r"18: workers\.table\.sink: .*they end in \.csv"),
        ("heights.csv", "../heights.csv", LayoutError, r"18: workers\.table\.sink: .*without folders"),
        ("heights.csv,", "h.zarr, settings: {a: 1},", LayoutError, r"18: workers\.table\.settings: .* no settings"),
        ("float64, shape: [8]", "float32, shape: [8]", LayoutError, ""),
        ("find.level", "find.levle", NotFoundError, r"20: parameters\.find\.levle: .*did you mean 'find\.level'"),
        ("find.level: 4", "find.level: 101", LayoutError, r"20: parameters\.find\.level: 101\.0 mV is not possible"),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_told_with_file_line_and_path(tmp_path, old, new, kind, told):
    text = SUITE.replace(old, new)
    if not told:  # of a ring that does not fit its source
        text, told = text.replace("counting.pulses", "counting.Pulses").replace(new, old), "8: workers.pulses: source"
    path = write(
        tmp_path,
        text,
        broken="\n1 / 0\n",
        wrong="def\n",
        needy="import absent_package\n",
        leaving="raise SystemExit(3)\n",
        broken_later="class Source:\n    def __init__(self, events):\n        raise OSError('off')\n",
    )
    with pytest.raises(kind, match=told) as raised:
        built(path)
    assert str(raised.value).startswith(f"{path}:")


class TestModules:
    def test_the_path_is_as_before(self, tmp_path):
        before = list(sys.path), sys.dont_write_bytecode
        built(write(tmp_path)).close()
        assert (list(sys.path), sys.dont_write_bytecode) == before
        assert [path.name for path in (tmp_path / "modules").iterdir()] == ["counting.py"]

    def test_what_was_edited_holds(self, tmp_path):
        path = write(tmp_path, LEVEL)
        first = built(path)
        code = (tmp_path / "modules" / "counting.py").read_text()
        (tmp_path / "modules" / "counting.py").write_text(code.replace("event.data.max(), n)", "-1, n)", 1))
        with first, built(path) as second:
            assert rows(second.run())[0] == [-1, 3]
            assert rows(first.run())[0] == [4, 3]

    def test_two_suites_may_have_modules_of_one_name(self, tmp_path):
        one = built(write(tmp_path / "one", LEVEL, helper="height = 1"))
        code = "import numpy as np\nfrom labdaq.roles import Parameter\nlevel = Parameter(1.0)\n"
        code += "def pulses(events):\n    return [np.full(8, 50.0)]\ndef find(event, n):\n    return level < 9\n"
        text = LEVEL.replace("writes: high", "writes: same").replace("reads: high", "reads: same")
        text = text.replace("  high:", "  same: {dtype: float64, shape: [8]}\n  high:").replace("heights.csv", "store")
        two = built(write(tmp_path / "two", text, counting=code))
        with one, two:
            assert two.run().ledger["table"].accepted == 1
            assert one.run().ledger["table"].accepted == 6

    @pytest.mark.parametrize("name", ["queue", "numpy", "graphlib"])
    def test_a_module_may_not_hide_another(self, tmp_path, name):
        path = write(tmp_path, **{name: ""})
        with pytest.raises(LayoutError, match=rf"suite\.yaml:3: modules: .*{name}\.py has the name of a module"):
            built(path)

    def test_modules_may_import_each_other(self, tmp_path):
        path = write(tmp_path, LEVEL, counting="from helper_of_suite import pulses, find, level\n")
        (tmp_path / "modules" / "helper_of_suite.py").write_text(
            (Path(__file__).parent / "files.py").read_text().split('COUNTING = """\\\n')[1].split('"""')[0]
        )
        assert len(rows(run(path))) == 6

    def test_workers_of_installed_packages_have_names(self, tmp_path, monkeypatch):
        code = "def count(events):\n    import numpy as np\n    return [np.full(8, 5.0)] * events\n"
        package(tmp_path, "labdaq.workers", "counted", "counting_package:count", code)
        monkeypatch.syspath_prepend(tmp_path)
        assert run(write(tmp_path, SUITE.replace("counting.pulses", "counted"))).events == 10
