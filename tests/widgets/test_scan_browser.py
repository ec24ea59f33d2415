"""The scan browser: searched, chosen, drawn, compared, by hand and by widgets."""

import numpy as np
import pytest

from labdaq import DataStore, Pipeline, widgets
from labdaq.errors import LayoutError, NotFoundError
from labdaq.store import NumericStreamEncoder
from labdaq.widgets.scan_columns import ScanColumns


def kept(store, number, comment="", name="plateau", points=100, **streams):
    scan = store.create_scan({"name": name, "number": number, "data_policy": "none"}, {"comment": comment})
    made = [(scan.create_stream("rate", NumericStreamEncoder(float), info={"unit": "1/s"}), np.arange(points) * number)]
    for stream, values in streams.items():
        encoder = NumericStreamEncoder(values.dtype, values.shape[1:])
        made.append((scan.create_stream(stream, encoder), values))
    scan.prepare()
    scan.start()
    for stream, values in made:
        stream.send(np.asarray(values, stream.dtype))
    scan.stop()
    scan.close()
    return scan


@pytest.fixture
def store():
    with DataStore("memory://") as made:
        yield made


@pytest.fixture
def browser(store):
    kept(store, 1, "before lunch", volt=np.linspace(0, 1, 100))
    kept(store, 2, "after lunch", volt=np.linspace(1, 2, 100))
    kept(store, 3, "", name="gamma", wave=np.ones((4, 50), np.float32))
    with widgets.browse(store) as made:
        yield made


def numbers(browser):
    return [scan.number for scan in browser.found]


def test_scans_are_found_by_words_and_fields(browser):
    assert numbers(browser) == [3, 2, 1]
    assert numbers(browser.search("LUNCH")) == [2, 1]
    assert numbers(browser.search("after lunch")) == [2]
    assert numbers(browser.search("name=plat* number=2-5")) == [2]
    assert numbers(browser.search("name=nobody")) == []
    assert "no scan fits" in browser.status
    with pytest.raises(LayoutError, match="there are"):
        browser.search("colour=red")


def test_columns_of_several_scans_are_laid_over_each_other(browser, front_end):
    page = front_end.show(browser)
    browser.choose(1, 2).plot("rate", "volt", "points")
    assert page.data["scan 1"]["y"].tolist() == (np.arange(100) * 2.0).tolist()
    assert page.data["scan 0"]["x"][-1] == 1
    assert browser.status == "plateau 1: 100 points; plateau 2: 100 points"
    assert browser.figure.yaxis.axis_label == "rate (1/s)"
    assert browser.compare()["comment"] == ["before lunch", "after lunch"]
    assert "before lunch" in browser.controls.about.value
    browser.plot("rate", kind="histogram")
    assert page.data["scan 0"]["y"].sum() == 200
    browser.choose(3)
    assert browser.y == "rate"
    browser.plot("wave", kind="line")
    assert page.data["scan 0"]["y"].tolist() == [1.0] * 50
    browser.choose(1, 3).plot("volt")
    assert browser.status == "plateau 1: 100 points; gamma 3 has no volt"


def test_the_widgets_do_the_same(browser):
    controls = browser.controls
    controls.search.value = "name=plateau"
    assert [label.split()[1] for label, _ in controls.scans.options] == ["2", "1"]
    controls.scans.value = [key for _, key in controls.scans.options]
    controls.y.value, controls.kind.value = "volt", "histogram"
    assert (browser.y, browser.kind, len(browser.chosen)) == ("volt", "histogram", 2)
    controls.search.value = "colour=red"
    assert "there are" in controls.about.value


def test_what_is_not_there_is_refused_in_words(browser, store, tmp_path):
    with pytest.raises(NotFoundError, match="their numbers are 3, 2, 1"):
        browser.choose(8)
    with pytest.raises(NotFoundError, match="choose scans first"):
        browser.plot("rate")
    browser.choose(1)
    with pytest.raises(NotFoundError, match="there are rate, volt"):
        browser.plot("height")
    with pytest.raises(LayoutError, match="one of line, points, histogram"):
        browser.plot("rate", kind="pie")
    with pytest.raises(LayoutError, match="at most"):
        browser.choose(*range(9))
    with pytest.raises(LayoutError, match="1 or more"):
        widgets.browse(store, most=0)
    with pytest.raises(NotFoundError):
        widgets.browse(tmp_path / "nowhere")


def test_one_peak_among_many_points_is_seen_and_numbers_that_are_none_leave_gaps(store):
    values = np.zeros(50_000)
    values[31_234], values[100:200] = 7, np.nan
    kept(store, 5, high=values, empty=np.full(20, np.nan))
    with widgets.browse(store) as browser:
        browser.choose(5).plot("high")
        assert np.nanmax(browser._lines[0][2]) == 7
        browser.plot("empty")
        browser.plot("empty", kind="histogram")
        assert browser.snapshot().png.startswith(b"\x89PNG")


def test_without_a_page_there_is_constant_text_and_a_picture(browser):
    data, _ = browser._repr_mimebundle_()
    assert data["text/plain"] == "<scans of memory://>"
    assert browser.choose(1).snapshot().png.startswith(b"\x89PNG")


def test_a_scan_that_grows_is_followed(store, front_end):
    scan = store.create_scan({"name": "slow", "number": 1, "data_policy": "none"})
    stream = scan.create_stream("rate", NumericStreamEncoder(float))
    scan.prepare()
    scan.start()
    stream.send(1.0)
    with widgets.browse(store) as browser:
        page = front_end.show(browser)
        browser.choose(1)
        stream.send([2.0, 3.0])
        stream.join()
        browser.look()
        assert page.data["scan 0"]["y"].tolist() == [1, 2, 3]
        assert page.settings["status"]["text"] == "slow 1: 3 points"
    scan.stop()
    scan.close()


def test_tables_that_a_run_wrote_are_columns(tmp_path):
    pulse = np.dtype([("height", "f4"), ("time", "f8")])
    with Pipeline("muon", store=tmp_path) as daq:
        pulses = daq.ring("pulses", pulse, header={"units": {"height": "mV"}})
        daq.source(list(np.array([(3, 1), (4, 2)], pulse)), pulses)
        daq.sink("pulses.csv", pulses)
        daq.run()
    with widgets.browse(tmp_path) as browser:
        browser.choose(1).plot("pulses.csv: height")
        assert browser._lines[0][2].tolist() == [3, 4]
        assert browser.figure.yaxis.axis_label == "pulses.csv: height (mV)"
        with pytest.raises(NotFoundError, match=r"it has pulses\.csv: height"):
            ScanColumns(browser.chosen[0]).read("width")
