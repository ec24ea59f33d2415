"""The panel: buttons in the states they are allowed in, numbers, parameters, notes, and runs that fail."""

from threading import Event

import pytest

from labdaq import Parameter, Pipeline, attach, widgets
from labdaq.widgets.parameter_controls import ParameterControl
from labdaq.widgets.subject import grouped, rate_text


class Gate:
    """A source that gives events as long as it is open."""

    dtype, shape = "f8", ()

    def __init__(self):
        self.events = 0

    def open(self):
        self._is_interrupted = Event()

    def interrupt(self):
        self._is_interrupted.set()

    def acquire(self, event):
        if self._is_interrupted.wait(0.001):
            raise EOFError
        event.data[...] = self.events
        self.events += 1


class Above:
    """A filter with a parameter."""

    level = Parameter(3.0, unit="mV", low=0, high=1e6)

    def __call__(self, event):
        return bool(event.data > self.level)


@pytest.fixture
def wired(daq):
    raw, high = daq.ring("raw", "f8", capacity=16), daq.ring("high", "f8", capacity=16)
    daq.source(Gate(), raw, name="gate")
    daq.filter(Above(), raw, high, name="above")
    daq.drain(high)
    return daq


@pytest.fixture
def panel(wired):
    with widgets.panel(wired) as made:
        yield made


def enabled(panel):
    panel.look_now()
    return {name for name, button in panel.buttons.items() if not button.disabled}


def test_buttons_are_those_that_the_state_allows(panel, wired):
    assert enabled(panel) == {"start"}
    panel.buttons["start"].click()
    assert enabled(panel) == {"pause", "stop", "abort"}
    panel.buttons["pause"].click()
    assert enabled(panel) == {"resume", "stop", "abort"}
    panel.buttons["resume"].click()
    panel.buttons["stop"].click()
    assert wired.wait(10).state.name == "ENDED"
    assert enabled(panel) == {"start"}
    panel.buttons["start"].click()
    panel.buttons["abort"].click()
    assert wired.wait(10).state.name == "FAILED"
    assert "failed: asked to" in panel._log.value


def test_every_button_says_in_words_what_it_does(panel):
    for name, button in panel.buttons.items():
        assert button.description.lower() == name
        assert len(button.tooltip) > 10


def test_limits_are_taken_from_the_fields(panel, wired):
    panel.events.value = 20
    panel.buttons["start"].click()
    result = wired.wait(10)
    panel.look_now()
    assert result.events == 20
    assert panel.seen.events_limit == 20
    assert "100 % of 20 events" in panel._numbers.value


def test_a_limit_that_is_not_possible_is_told(panel):
    panel.events.value = -5
    panel.buttons["start"].click()
    assert "not negative" in panel._log.value
    assert enabled(panel) == {"start"}


def test_the_numbers_are_those_of_the_result(panel, wired):
    panel.events.value = 50
    panel.buttons["start"].click()
    result = wired.wait(10)
    panel.look_now()
    assert panel.seen.snapshot.events == 50
    assert f"in 50 = accepted {result.ledger['above'].accepted}" in panel._numbers.value
    assert "gate" in panel._numbers.value
    assert "<style" not in panel._numbers.value  # which would lay out the whole page anew with each change
    assert panel.seen.balance == tuple(map(str, result.ledger.nodes))
    assert panel.snapshot().png.startswith(b"\x89PNG")


def test_a_panel_before_the_first_run_and_after_the_end_is_one_too(wired):
    with widgets.panel(wired) as panel:
        assert "no run yet" in panel._numbers.value
        assert panel.snapshot().png.startswith(b"\x89PNG")
        data, _ = panel._repr_mimebundle_()
        assert data["text/plain"] == f"<panel of {wired.name}>"
        panel.buttons["start"].click()
        wired.stop()
        wired.wait(10)
        wired.close()
        panel.look_now()
        assert panel.seen.state == "ENDED"


def test_parameters_are_changed_while_it_runs(panel, wired, until):
    control = panel.controls["above.level"]
    panel.buttons["start"].click()
    control.input.value = 1e6
    until(lambda: wired.current.parameters)
    panel.look_now()
    assert "above: level = 1000000.0 from event" in panel._log.value
    wired.stop()
    wired.wait(10)
    wired.parameters["above.level"].set(7.0)
    panel.look_now()
    assert control.input.value == 7


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        (Parameter(1.0, low=0, high=2), "FloatSlider"),
        (Parameter(1, low=0, high=20), "IntSlider"),
        (Parameter(1.0, low=0), "FloatText"),
        (Parameter(1), "IntText"),
        (Parameter("a"), "Text"),
        (Parameter(True), "Checkbox"),
        (Parameter("a", choices=["a", "b"]), "Dropdown"),
    ],
)
def test_each_kind_of_parameter_has_the_control_that_fits(parameter, kind):
    control = ParameterControl("name", parameter, print)
    assert type(control.input).__name__ == kind
    assert control.input.description == (parameter.label or "name")  # what screen readers say
    control.close()


def test_a_value_that_is_not_possible_is_refused_in_words_and_the_old_one_returns():
    said = []
    parameter = Parameter(1.0, unit="V", low=0)
    control = ParameterControl("gain", parameter, said.append)
    control.input.value = -3.0
    assert said == ["gain: -3.0 V is not possible: at least 0 V"]
    assert (control.input.value, parameter.value) == (1.0, 1.0)
    control.close()


def test_notes_are_kept_with_the_run(tmp_path):
    with Pipeline("noted", store=tmp_path) as daq, widgets.panel(daq) as panel:
        raw = daq.ring("raw", "f8", capacity=16)
        daq.source(Gate(), raw)
        daq.drain(raw)
        panel.note.value = "too early"
        panel.add_note.click()
        assert "start one first" in panel._log.value
        panel.buttons["start"].click()
        panel.note.value = "moved the <detector>"
        panel.add_note.click()
        assert panel.note.value == ""
        daq.stop()
        folder = daq.wait(10).folder
        assert "moved the <detector>" in (folder / "notes.txt").read_text()
        assert "moved the &lt;detector&gt;" in panel._log.value


def test_a_run_that_fails_is_told_with_its_traceback(daq, until):
    raw = daq.ring("raw", "f8", capacity=16)

    def broken():
        yield 1.0
        raise ValueError("the cable is loose")

    daq.source(broken, raw)
    daq.drain(raw)
    with widgets.panel(daq) as panel:
        panel.buttons["start"].click()
        daq.wait(10)
        panel.look_now()
        assert panel.seen.state == "FAILED"
        assert "the cable is loose" in panel._numbers.value
        assert "Traceback" in panel._log.value


def test_a_pipeline_that_cannot_start_says_why(daq):
    daq.ring("raw", "f8", capacity=16)
    with widgets.panel(daq) as panel:
        panel.buttons["start"].click()
        assert "start: " in panel._log.value
        assert enabled(panel) == {"start"}


def test_it_is_brought_up_to_date_by_itself_and_sends_nothing_new_when_idle(wired, front_end, until):
    panel = widgets.panel(wired)
    panel._repr_mimebundle_()
    panel.buttons["start"].click()
    until(lambda: panel.seen.snapshot is not None and panel.seen.snapshot.events > 5)
    panel.buttons["stop"].click()
    wired.wait(10)
    for _ in range(2):
        panel.look_now()
    before = front_end.messages
    for _ in range(5):
        panel.look_now()
    assert front_end.messages == before


def test_a_run_of_another_process_is_shown_and_steered(tmp_path, until):
    with Pipeline("elsewhere", store=tmp_path) as daq:
        raw, high = daq.ring("raw", "f8", capacity=64), daq.ring("high", "f8", capacity=64)
        daq.source(Gate(), raw, name="gate")
        daq.filter(Above(), raw, high, name="above")
        daq.drain(high)
        folder = daq.start(seconds=100, detached=True).folder
    with attach(folder) as run, widgets.panel(run) as panel, widgets.rates(run) as rates:
        until(lambda: panel.seen.snapshot.events > 20)
        assert enabled(panel) == {"pause", "stop", "abort"}
        assert "gate" in panel._numbers.value
        assert "of 100 s" in panel._numbers.value
        assert {ring.name for ring in panel.seen.snapshot.rings} == {"raw", "high"}
        until(lambda: "raw" in rates.status)
        panel.controls["above.level"].input.value = 7.5
        until(lambda: panel.seen.snapshot is not None and "level = 7.5 from event" in panel._log.value)
        panel.look_now()
        assert panel.controls["above.level"].parameter.value == 7.5
        panel.controls["above.level"].input.value = -1.0
        assert "-1.0 mV is not possible" in "".join(panel._subject.log)
        assert panel.controls["above.level"].input.value == 7.5
        panel.buttons["pause"].click()
        until(lambda: panel.seen.state == "PAUSED")
        panel.note.value = "seen from here"
        panel.add_note.click()
        panel.buttons["stop"].click()
        until(lambda: run.is_over)
        panel.look_now()
        assert enabled(panel) == set()
        assert "paused -&gt; draining" in panel._log.value
        assert "seen from here" in (folder / "notes.txt").read_text()


def test_the_dashboard_is_panel_and_plots(wired, front_end, until):
    view = widgets.dashboard(wired)
    data, _ = view._repr_mimebundle_()
    assert data["text/plain"] == f"<dashboard of {wired.name}>"
    view.panel.buttons["start"].click()
    until(lambda: "/s" in view.plots[-1].status)
    wired.abort()
    wired.wait(10)
    assert view.snapshot().png.startswith(b"\x89PNG")
    view.close()


def test_counts_are_easy_to_read():
    assert grouped(1234567) == "1\u202f234\u202f567"
    assert [rate_text(one) for one in (0, 2.5, 999.4, 999.6, 2080.4)] == [
        "0 /s", "2.5 /s", "999 /s", "1\u202f000 /s", "2\u202f080 /s",
    ]  # fmt: skip
